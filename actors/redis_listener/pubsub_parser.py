"""The bytes of one subscription, parsed: no socket and no clock inside.

No Python code runs per message: the inner loop is ``list.extend`` over ``iter(gets, …)``, all C,
and replies to our own commands are looked for only while one is expected. While few messages come,
their size on the wire is counted, so that the start of an incomplete one is known, and an oversized
one is recognised by its length, before it has arrived. In a burst that would cost more than the
parsing (M: 0.2 µs a message); it is left out until a read ends with a complete message.
"""

from itertools import chain, islice
from typing import Any, Final

import hiredis

from .oversized import LargeMessage, has_large_item

_NOTHING: Final = object()
_MESSAGE: Final = b"pmessage"
_ARRAY_BYTES: Final = len(b"*4\r\n")

_ITEMS: Final = 4

# More messages than this at once are a burst.
_BURST: Final = 64


def _size_of_item(length: int) -> int:
    return len(b"$%d\r\n\r\n" % length) + length


_SIZES: Final = [_size_of_item(length) for length in range(4096)]


class ServerRefused(Exception):
    """The server answered one of our commands with an error."""


class PubsubParser:
    """Messages in order of arrival: lists ``[b"pmessage", pattern, channel, payload]``."""

    def __init__(self) -> None:
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        self._broken: Exception | None = None
        self._buffer = memoryview(b"")
        self._unparsed = 0
        self._counting = True
        self._head = b""
        self._looking = True
        self._large: LargeMessage | None = None
        self.awaited = 0
        """Replies still expected: confirmations of patterns, pongs."""

    def expect(self, replies: int) -> None:
        """``replies`` to our own commands will come among the messages."""
        self.awaited += replies

    def forgive(self) -> None:
        """Go on after `take` has raised ``ServerRefused``: the command could be done without."""
        if isinstance(self._broken, ServerRefused):
            self._broken = None

    def feed(self, buffer: bytearray, size: int) -> None:
        """Add the first ``size`` bytes of ``buffer``, which stays as it is until all is taken."""
        start = 0
        if self._large is not None:
            start = self._large.feed(memoryview(buffer)[:size])
        self._buffer = memoryview(buffer)[start:size]
        self._unparsed += size - start
        self._reader.feed(buffer, start, size - start)  # type: ignore[arg-type] # so its stub

    def take(self, limit: int) -> list[Any]:
        """The next messages, at most ``limit``; empty when no complete one is left.

        An item over the limit of payloads is a ``Cut``.

        Raises:
            hiredis.ProtocolError: What follows the messages taken so far is not Redis' protocol.
            ServerRefused: A reply was an error.
        """
        if self._large is not None:
            if not self._large.complete:
                return []
            message, self._large = self._large, None
            return [message.items]
        while self._broken is None:
            replies = self._parse(limit)
            messages = self._without_replies(replies) if self.awaited else replies
            if messages or (not replies and self._broken is None):
                return messages
        raise self._broken

    def _parse(self, limit: int) -> list[Any]:
        replies: list[Any] = []
        try:
            replies.extend(islice(iter(self._reader.gets, _NOTHING), limit))
        except hiredis.HiredisError as error:
            self._broken = error  # raised once those before it are taken
            return replies
        if replies:
            self._count(replies, all_parsed=len(replies) < limit)
        if len(replies) < limit and self._counting and self._looking and self._unparsed:
            self._check_incomplete()
        return replies

    def _count(self, replies: list[Any], *, all_parsed: bool) -> None:
        """Count the bytes left after ``replies``, if that is cheap."""
        if len(replies) > _BURST:
            self._counting = False
        if self._counting:
            self._unparsed -= _size_of(replies)
        elif all_parsed and not self._reader.has_data() and self._ends_with(replies[-1]):
            self._counting, self._unparsed = True, 0
        self._head, self._looking = b"", True

    def _ends_with(self, reply: Any) -> bool:
        """Whether the last read ends with ``reply``, a message."""
        if type(reply) is not list or len(reply) != _ITEMS:
            return False
        wire = b"*4\r\n" + b"".join([b"$%d\r\n%b\r\n" % (len(item), item) for item in reply])
        return len(self._buffer) >= len(wire) and self._buffer[-len(wire) :] == wire

    def _check_incomplete(self) -> None:
        """Switch to :class:`LargeMessage` if the message that has begun has an oversized item."""
        fresh = self._unparsed - len(self._head)
        self._head += bytes(self._buffer[len(self._buffer) - fresh :])
        found = has_large_item(self._head)
        if found is None:
            return
        if found:
            self._large = LargeMessage()
            self._large.feed(memoryview(self._head))
            self._reader = hiredis.Reader(notEnoughData=_NOTHING)
            self._unparsed = 0
        self._head, self._looking = b"", found  # after a large message comes another one

    def _without_replies(self, replies: list[Any]) -> list[Any]:
        messages = [reply for reply in replies if type(reply) is list and reply[0] == _MESSAGE]
        if len(messages) == len(replies):
            return replies
        self.awaited = max(0, self.awaited - (len(replies) - len(messages)))
        for reply in replies:
            if isinstance(reply, Exception):
                self._broken = ServerRefused(str(reply))
        return messages


def _size_of(replies: list[Any]) -> int:
    """Bytes on the wire."""
    sizes = _SIZES
    try:
        items = sum(map(sizes.__getitem__, map(len, chain.from_iterable(replies))))
    except (IndexError, TypeError):  # a long item, or a number
        return sum(map(_size_of_one, replies))
    return items + _ARRAY_BYTES * len(replies)


def _size_of_one(reply: Any) -> int:
    if isinstance(reply, int):
        return len(b":%d\r\n" % reply)
    if isinstance(reply, bytes):
        return _size_of_item(len(reply))
    if isinstance(reply, list):
        return _ARRAY_BYTES + sum(map(_size_of_one, reply))
    return len(b"-%b\r\n" % str(reply).encode())
