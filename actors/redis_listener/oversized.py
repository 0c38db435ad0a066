"""Strings over the limit of payloads, as they come off the socket: their beginning is kept. Pure.

hiredis would hold all of such a string, and copy it once more when it is complete: a hundred
megabytes block everything else for a good part of a second, only to be rejected by their length.

:class:`LargeMessage` takes in one message of a subscription, once :func:`has_large_item` has seen
that length; :class:`ReplyParser` parses replies to commands.
"""

import re
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import hiredis

from ..payloads import MAX_PAYLOAD_BYTES, Cut

KEEP_BYTES: Final = 4096
"""How much of an item over the limit is kept: what ``bus.rejected`` shows of it."""

# What a length and its line end take at most; Redis allows items of 512 MB.
_LINE_BYTES: Final = 16
_ITEMS: Final = 4
_BEGIN: Final = b"*%d\r\n" % _ITEMS
_LENGTH: Final = re.compile(rb"\$(\d{1,12})\r\n")

INCOMPLETE: Final = object()
"""The reply is not complete yet."""


def has_large_item(head: bytes) -> bool | None:
    """Whether the message that begins with ``head`` has an item over the limit.

    None: unknown yet. What is not a message of four items, the form of all
    messages of a subscription by pattern, has none.
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
    """Takes in one message with an oversized item, piece by piece, from its first byte on."""

    def __init__(self) -> None:
        self.items: list[bytes] = []
        """The complete ones; what is over the limit is a ``Cut``."""
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


class ReplyParser:
    """Parses one reply at a time: take it before the next command is sent.

    A small reply goes straight to hiredis. One that grows beyond the limit of payloads is walked
    through from its first byte on, and of each string over the limit only the beginning is fed.

    Args:
        error: Makes an exception of the server's error text.
    """

    def __init__(self, error: Callable[[str], Exception]) -> None:
        self._error = error
        self._reader = self._new_reader()
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._truncator: _Truncator | None = None

    def feed(self, piece: memoryview) -> None:
        """Add what was read next."""
        if self._truncator is not None:
            self._feed(self._truncator.walk(bytes(piece)))
            return
        self._held.append(bytes(piece))
        self._held_bytes += len(piece)
        self._feed(self._held[-1:])
        if self._held_bytes > MAX_PAYLOAD_BYTES:
            self._restart()

    def take(self) -> Any:
        """The reply, an error too; or ``INCOMPLETE``.

        Raises:
            hiredis.ProtocolError: What was read is not Redis' protocol.
        """
        reply = self._reader.gets()
        if reply is not INCOMPLETE:
            if self._truncator is not None:
                reply = self._truncator.restored(reply)
            self._held, self._held_bytes, self._truncator = [], 0, None
        return reply

    def _restart(self) -> None:
        """The reply is long: a string in it may be oversized."""
        self._reader = self._new_reader()
        self._truncator = _Truncator()
        held, self._held = self._held, []
        for piece in held:
            self._feed(self._truncator.walk(piece))

    def _feed(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            self._reader.feed(piece)

    def _new_reader(self) -> hiredis.Reader:
        return hiredis.Reader(notEnoughData=INCOMPLETE, replyError=self._error)


class _Truncator:
    """Walks through a reply and leaves out all but the beginning of oversized strings.

    An unguessable mark takes their place, by which they are recognised afterwards.
    """

    def __init__(self) -> None:
        self._mark = secrets.token_bytes(16)
        self._sizes: list[int] = []
        self._line = b""
        self._steps: deque[tuple[int, bool]] = deque()

    def walk(self, piece: bytes) -> Iterator[bytes]:
        """The parts of ``piece`` that are kept."""
        place = 0
        while place < len(piece):
            if self._steps:
                left, keep = self._steps.popleft()
                taken = min(left, len(piece) - place)
                if keep:
                    yield piece[place : place + taken]
                if taken < left:
                    self._steps.appendleft((left - taken, keep))
                place += taken
                continue
            end = piece.find(b"\n", place) + 1 or len(piece)
            self._line += piece[place:end]
            place = end
            if self._line.endswith(b"\n"):
                line, self._line = self._line, b""
                yield self._begin(line)

    def _begin(self, line: bytes) -> bytes:
        length = int(line[1:]) if line.startswith(b"$") else -1
        if length <= MAX_PAYLOAD_BYTES:
            if length >= 0:
                self._steps.append((length + 2, True))
            return line
        self._steps += ((KEEP_BYTES, True), (length - KEEP_BYTES, False), (2, True))
        mark = self._mark + b"%d:" % len(self._sizes)
        self._sizes.append(length)
        return b"$%d\r\n%b" % (len(mark) + KEEP_BYTES, mark)

    def restored(self, reply: Any) -> Any:
        """``reply`` with a ``Cut`` for each string that was truncated."""
        if not self._sizes:
            return reply
        if isinstance(reply, list):
            return [self.restored(item) for item in reply]
        if isinstance(reply, bytes) and reply.startswith(self._mark):
            number, _, kept = reply[len(self._mark) :].partition(b":")
            return Cut(kept, self._sizes[int(number)])
        return reply
