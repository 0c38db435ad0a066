"""The answer to one ask, given later than by the handler's return."""

from typing import Any

import pykka


class DeferredReply:
    """The right to answer one ask later, from a linked greenlet or a later message."""

    __slots__ = ("_future", "_pending")

    def __init__(self, future: pykka.Future[Any], pending: "set[DeferredReply]") -> None:
        self._future = future
        self._pending = pending
        pending.add(self)

    @property
    def future(self) -> pykka.Future[Any]:
        """The future itself, to pass the whole question on to another actor."""
        self._pending.discard(self)
        return self._future

    def set(self, value: Any = None) -> None:
        """Answer; only the first answer counts."""
        self._pending.discard(self)
        self._future.set(value)

    def set_exception(self, error: BaseException) -> None:
        """Answer by an exception, raised in the asker."""
        self._pending.discard(self)
        self._future.set_exception((type(error), error, None))
