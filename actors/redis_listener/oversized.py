"""A message with an item over the limit, as it comes off the socket: its beginning is kept. Pure.

hiredis would hold all of it, and copy it once more when it is complete: a hundred megabytes stop
everything else for a good part of a second, only to be refused by their length. That stands in
front of them.
"""

import re
from typing import Final

from ..payloads import MAX_PAYLOAD_BYTES, Cut

KEEP_BYTES: Final = 4096
"""How much of an item over the limit is kept: what ``bus.rejected`` shows of it."""

# What a length and its line end take at most; Redis allows items of 512 MB.
_LINE_BYTES: Final = 16
_ITEMS: Final = 4
_BEGIN: Final = b"*%d\r\n" % _ITEMS
_LENGTH: Final = re.compile(rb"\$(\d{1,12})\r\n")


def has_large_item(head: bytes) -> bool | None:
    """Whether the message that begins with ``head`` has an item over the limit.

    None: that cannot be seen yet. What is no message with four items, as all subscriptions by
    pattern bring, has none.
    """
    if not head.startswith(_BEGIN[: len(head)]):
        return False
    place = len(_BEGIN)
    for _ in range(_ITEMS):
        found = _LENGTH.match(head, place)
        if found is None:
            return None if len(head) < place + _LINE_BYTES else False
        length = int(found[1])
        if length > MAX_PAYLOAD_BYTES:
            return True
        place = found.end() + length + 2
    return False


class LargeMessage:
    """Takes in one such message, piece by piece, from its first byte on."""

    def __init__(self) -> None:
        self.items: list[bytes] = []
        """Those that are complete; what is over the limit is ``Cut``."""
        self._line = b""
        self._length = 0
        self._left = 0
        self._kept = bytearray()

    @property
    def complete(self) -> bool:
        """Whether all items are there."""
        return len(self.items) == _ITEMS

    def feed(self, piece: memoryview) -> int:
        """Take in the next bytes; returns how many of them belong to it."""
        place = 0
        while place < len(piece) and not self.complete:
            place += self._skip(piece[place:]) if self._left else self._read_line(piece[place:])
        return place

    def _read_line(self, piece: memoryview) -> int:
        before = len(self._line)
        line = (self._line + bytes(piece[:_LINE_BYTES])).partition(b"\n")
        self._line = line[0] + line[1]
        taken = len(self._line) - before
        if line[1]:
            self._begin(self._line)
            self._line = b""
        return taken

    def _begin(self, line: bytes) -> None:
        if line.startswith(b"$"):
            self._length = int(line[1:-2])
            self._left = self._length + 2
            self._kept = bytearray()

    def _skip(self, piece: memoryview) -> int:
        taken = min(self._left, len(piece))
        wanted = self._length if self._length <= MAX_PAYLOAD_BYTES else KEEP_BYTES
        if (room := wanted - len(self._kept)) > 0:
            self._kept += piece[: min(room, taken)]
        self._left -= taken
        if not self._left:
            whole = self._length <= MAX_PAYLOAD_BYTES
            self.items.append(bytes(self._kept) if whole else Cut(self._kept, self._length))
        return taken
