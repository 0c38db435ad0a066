"""The asyncio loop in which everything of an `AsyncAgent` runs, a thread of its own."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, Final, Protocol, TypeVar

T = TypeVar("T")

LEAVE_S: Final = 1.0
"""How long tasks may take to end once they are cancelled; a stop has 2 s in all."""


class Loop(Protocol):
    """Runs what the author wrote, for the handlers' job, which waits meanwhile."""

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function as one that the handlers' job can call; it runs in the loop."""

    async def offload(self, call: Callable[[], T]) -> T:
        """Run what blocks, without holding up the loop."""

    def run(self) -> None:
        """Run the loop until `end`. Blocks."""

    def end(self) -> None:
        """End `run`; its tasks are cancelled. Any thread."""

    def close(self) -> None:
        """Free what it holds, once `run` has ended."""


class ThreadLoop:
    """The loop of one agent."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """See `Loop`. Plain functions run in the loop too, so that no locks are needed."""
        return wrapped(
            function, lambda made: asyncio.run_coroutine_threadsafe(made, self._loop).result()
        )

    async def offload(self, call: Callable[[], T]) -> T:
        """See `Loop`."""
        return await asyncio.to_thread(call)

    def run(self) -> None:
        """See `Loop`."""
        try:
            self._loop.run_forever()
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            if tasks:
                self._loop.run_until_complete(asyncio.wait(tasks, timeout=LEAVE_S))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()

    def end(self) -> None:
        """See `Loop`."""
        self._loop.call_soon_threadsafe(self._loop.stop)

    def close(self) -> None:
        """See `Loop`."""
        if not self._loop.is_running():
            self._loop.close()


def wrapped(
    function: Callable[..., Any], run: Callable[[Coroutine[Any, Any, Any]], Any]
) -> Callable[..., Any]:
    """``function``, async or plain, as a plain one that ``run`` runs; its marks are kept."""

    async def called(*args: Any) -> Any:
        result = function(*args)
        return await result if iscoroutinefunction(function) else result

    @wraps(function)
    def call(*args: Any) -> Any:
        return run(called(*args))

    return call
