"""Answers of Redis in which what is over the limit is cut, as they come off the socket. Pure.

hiredis would hold all of an answer and copy it: an entry of a hundred megabytes stops everything
else. A small answer goes straight to it; one that grows beyond the limit of payloads is walked
through from its first byte on, and of each string over the limit only the beginning is passed on.
"""

import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import hiredis

from ..payloads import MAX_PAYLOAD_BYTES, Cut
from .oversized import KEEP_BYTES

NOTHING: Final = object()
"""No whole answer is there yet."""


class CutReplies:
    """One answer at a time: nothing is asked before the answer before it has been taken.

    Args:
        error: Makes one of what the server says is wrong.
    """

    def __init__(self, error: Callable[[str], Exception]) -> None:
        self._error = error
        self._reader = self._new_reader()
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._cutter: _Cutter | None = None

    def feed(self, piece: memoryview) -> None:
        """Add what came next."""
        if self._cutter is not None:
            self._pass(self._cutter.walk(bytes(piece)))
            return
        self._held.append(bytes(piece))
        self._held_bytes += len(piece)
        self._pass(self._held[-1:])
        if self._held_bytes > MAX_PAYLOAD_BYTES:
            self._begin_again()

    def take(self) -> Any:
        """The answer, errors too; or ``NOTHING``.

        Raises:
            hiredis.ProtocolError: It is none.
        """
        answer = self._reader.gets()
        if answer is not NOTHING:
            if self._cutter is not None:
                answer = self._cutter.restored(answer)
            self._held, self._held_bytes, self._cutter = [], 0, None
        return answer

    def _begin_again(self) -> None:
        """It is long: something in it may be too long."""
        self._reader = self._new_reader()
        self._cutter = _Cutter()
        held, self._held = self._held, []
        for piece in held:
            self._pass(self._cutter.walk(piece))

    def _pass(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            self._reader.feed(piece)

    def _new_reader(self) -> hiredis.Reader:
        return hiredis.Reader(notEnoughData=NOTHING, replyError=self._error)


class _Cutter:
    """Walks through an answer and leaves out what is behind the beginning of too long strings.

    A mark that nobody can guess stands in their place, so that they are known afterwards.
    """

    def __init__(self) -> None:
        self._mark = secrets.token_bytes(16)
        self._sizes: list[int] = []
        self._line = b""
        self._steps: deque[tuple[int, bool]] = deque()

    def walk(self, piece: bytes) -> Iterator[bytes]:
        """What of ``piece`` is passed on."""
        place = 0
        while place < len(piece):
            if self._steps:
                left, passed = self._steps.popleft()
                taken = min(left, len(piece) - place)
                if passed:
                    yield piece[place : place + taken]
                if taken < left:
                    self._steps.appendleft((left - taken, passed))
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

    def restored(self, answer: Any) -> Any:
        """``answer`` with a ``Cut`` for each string that was cut."""
        if not self._sizes:
            return answer
        if isinstance(answer, list):
            return [self.restored(item) for item in answer]
        if isinstance(answer, bytes) and answer.startswith(self._mark):
            number, _, kept = answer[len(self._mark) :].partition(b":")
            return Cut(kept, self._sizes[int(number)])
        return answer
