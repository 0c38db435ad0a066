"""asyncio on a bench: no thread, and `asyncio.sleep` takes no time but the bench's."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from .event_loop import wrapped
from .simulation import VirtualClock

T = TypeVar("T")

RESOLUTION_S: Final = 1e-6
"""A timer is due by then: Unix seconds as floats have no more digits than this."""
PATIENCE_S: Final = 10.0
"""How long one waits for a socket, of the machine's time."""


class BenchLoop:
    """See `event_loop.Loop`. While a handler waits, the bench's clock goes on at once.

    Args:
        clock: the bench's.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._loop = _VirtualLoop(clock)

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """See `event_loop.Loop`."""
        return wrapped(function, self._run)

    async def offload(self, call: Callable[[], T]) -> T:
        """See `event_loop.Loop`. Nothing runs in the background of a test."""
        return call()

    def turn(self) -> None:
        """Run the tasks as far as they come without waiting."""
        for _round in range(len(asyncio.all_tasks(self._loop)) + 1):
            self._loop.call_soon(self._loop.stop)
            _alone(self._loop.run_forever)

    def due_s(self) -> float:
        """When a task is due that sleeps; infinity if none does."""
        return self._loop.due_s()

    def run(self) -> None:
        """See `event_loop.Loop`; a bench calls `turn` instead."""

    def end(self) -> None:
        """See `event_loop.Loop`."""
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self._run(_gathered(tasks))

    def close(self) -> None:
        """See `event_loop.Loop`."""
        self._loop.close()

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return _alone(lambda: self._loop.run_until_complete(coroutine))


async def _gathered(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.wait(tasks)


def _alone(call: Callable[[], T]) -> T:
    """Call while another agent's loop runs in this thread: one that asks waits for the other."""
    outer = asyncio._get_running_loop()  # noqa: SLF001 - documented, for those who write loops
    asyncio._set_running_loop(None)  # noqa: SLF001
    try:
        return call()
    finally:
        asyncio._set_running_loop(outer)  # noqa: SLF001


class _VirtualLoop(asyncio.SelectorEventLoop):
    """A loop that goes by the bench's clock."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(_Selector(clock))
        self._clock = clock
        self._clock_resolution = RESOLUTION_S

    def time(self) -> float:
        return self._clock.monotonic_s()

    def due_s(self) -> float:
        timers = [timer for timer in self._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
        return min((float(timer.when()) for timer in timers), default=float("inf"))


class _Selector(selectors.DefaultSelector):
    """Instead of waiting for a timer, sets the clock; waits for sockets only without one."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            found = super().select(PATIENCE_S)
            if not found:
                raise TimeoutError("a handler waits for what never comes on this bench")
            return found
        found = super().select(0)
        if not found and timeout > 0:
            self._clock.set(self._clock.monotonic_s() + timeout)
        return found
