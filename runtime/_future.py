"""The future of an ask: a value that one greenlet sets and others wait for."""

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any

import gevent
import pykka
from gevent.hub import Waiter

ExcInfo = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]

_UNSET: Any = object()


class GreenletFuture(pykka.Future[Any]):
    """pykka's future for greenlets of one loop; not for use from other threads."""

    __slots__ = ("_error", "_value", "_waiters")

    def __init__(self) -> None:
        super().__init__()
        self._value: Any = _UNSET
        self._error: BaseException | None = None
        self._waiters: list[Waiter[Any]] = []

    def ready(self) -> bool:
        """Whether a value or an exception has been set."""
        return self._value is not _UNSET or self._error is not None

    def get(self, *, timeout: float | None = None) -> Any:
        """Wait up to ``timeout`` seconds for the value.

        Raises:
            pykka.Timeout: The time passed first.
            Exception: Whatever was set with :meth:`set_exception`.
        """
        if self._get_hook is not None:
            return super().get(timeout=timeout)
        if not self.ready():
            self._wait(timeout)
        if self._error is not None:
            raise self._error
        return self._value

    def _wait(self, timeout: float | None) -> None:
        waiter: Waiter[Any] = Waiter()
        self._waiters.append(waiter)
        timer = None
        if timeout is not None:
            timer = gevent.get_hub().loop.timer(timeout)
            timer.start(waiter.switch, None)
        try:
            waiter.get()
        finally:
            if timer is not None:
                timer.stop()
                timer.close()
            if waiter in self._waiters:
                self._waiters.remove(waiter)
        if not self.ready():
            raise pykka.Timeout(f"{timeout} seconds")

    def set(self, value: Any = None) -> None:
        """Set the value; the first setting counts, later ones are ignored."""
        if not self.ready():
            self._value = value
            self._wake()

    def set_exception(self, exc_info: ExcInfo | None = None) -> None:
        """Set the exception that :meth:`get` raises (by default the one being handled)."""
        if not self.ready():
            self._error = (exc_info or sys.exc_info())[1] or RuntimeError("no exception given")
            self._wake()

    def _wake(self) -> None:
        if self._waiters:
            run_callback: Callable[..., Any] = gevent.get_hub().loop.run_callback
            for waiter in self._waiters:
                run_callback(waiter.switch, None)
            self._waiters.clear()


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
