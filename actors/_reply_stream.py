"""The bytes of one subscription, parsed: no socket and no clock inside.

Nothing here is done per message: the parser's inner loop is ``list.extend`` over
``iter(gets, …)``, all C, and answers to what we sent ourselves are looked for only while one is on
its way.
"""

from itertools import islice
from typing import Any, Final

import hiredis

_NOTHING: Final = object()
_MESSAGE: Final = b"pmessage"


class ServerRefused(Exception):
    """The server answered a command of ours by an error."""


class ReplyStream:
    """Messages in their order of arrival: lists ``[b"pmessage", pattern, channel, payload]``."""

    def __init__(self) -> None:
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        self._broken: Exception | None = None
        self.awaited = 0
        """Answers that are still on their way: confirmations of patterns, pongs."""

    def expect(self, answers: int) -> None:
        """So many answers of the server will come among the messages."""
        self.awaited += answers

    def feed(self, buffer: bytearray, size: int) -> None:
        """Add the first ``size`` bytes of ``buffer``."""
        self._reader.feed(buffer, 0, size)  # type: ignore[arg-type] # its stub forgets buffers

    def take(self, limit: int) -> list[Any]:
        """The next messages, at most ``limit``; empty when no whole one is left.

        Raises:
            hiredis.ProtocolError: What follows the messages taken so far is not Redis' protocol.
            ServerRefused: An answer was an error.
        """
        while self._broken is None:
            replies = self._parse(limit)
            messages = self._without_answers(replies) if self.awaited else replies
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

    def _without_answers(self, replies: list[Any]) -> list[Any]:
        messages = [reply for reply in replies if type(reply) is list and reply[0] == _MESSAGE]
        if len(messages) == len(replies):
            return replies
        self.awaited = max(0, self.awaited - (len(replies) - len(messages)))
        for reply in replies:
            if isinstance(reply, Exception):
                self._broken = ServerRefused(str(reply))
        return messages
