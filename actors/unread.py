"""Questions about what must be read first: they wait for it a little, then are refused.

An actor that has not read its table yet knows nothing of it: an empty list would look like the
truth.
"""

from collections.abc import Callable
from typing import Any, Final

from ..runtime import DeferredReply, Refusal

WAIT_S: Final = 1.8
"""How long a question waits; the asker is answered within 2 s."""


class NotRead(Refusal):
    """What is asked about has not been read since the start."""

    def __init__(self, what: str, why: str | None = None) -> None:
        super().__init__(what, why)
        self.what = what
        self.why = why

    def __str__(self) -> str:
        return f"{self.what} has not been read yet{f': {self.why}' if self.why else ''}"


class Unread:
    """Something that is read once after a start, and the questions that wait for it.

    Args:
        what: It, for people.
        defer: The actor's ``defer_reply``.
        after: Its ``after``.
    """

    def __init__(
        self,
        what: str,
        *,
        defer: Callable[[], DeferredReply],
        after: Callable[[float, Callable[[], object]], object],
    ) -> None:
        self.is_read = False
        """Whether it has been."""
        self.why: str | None = None
        """Why it has not, where that is known."""
        self._what = what
        self._defer = defer
        self._after = after
        self._waiting: dict[DeferredReply, Callable[[], Any]] = {}

    def ask(self, answer: Callable[[], Any], *, wait_s: float) -> Any:
        """The answer; before it is read the reply waits, ``wait_s`` at most. In a handler.

        Raises:
            NotRead: It is not to wait; after a wait the asker gets the same.
        """
        if self.is_read:
            return answer()
        if wait_s <= 0:
            raise NotRead(self._what, self.why)
        reply = self._defer()
        self._waiting[reply] = answer
        self._after(wait_s, lambda: self._refuse(reply))
        return None

    def read(self) -> None:
        """It has been read: answer the pending questions."""
        self.is_read, self.why = True, None
        waiting, self._waiting = self._waiting, {}
        for reply, answer in waiting.items():
            reply.set(answer())

    def _refuse(self, reply: DeferredReply) -> None:
        if self._waiting.pop(reply, None) is not None:
            reply.set_exception(NotRead(self._what, self.why))
