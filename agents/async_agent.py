"""The kit for asyncio.

::

    class Ticker(AsyncAgent):
        agent_id, group = "ticker-1", "ingestion"

        async def on_start(self) -> None:
            self.spawn(self.read())  # runs concurrently with the handlers, until the agent stops

        async def read(self) -> None:
            async with websockets.connect(self.options.url) as venue:
                async for line in venue:
                    await self.publish("data.market.AAPL.1m", json.loads(line))

        @on_event("strategy.candidate")
        async def on_candidate(self, event: Event) -> None:
            await self.book(event.payload)

All that the author writes runs in one loop, in a thread of its own; handlers, timers and hooks
still one at a time: one that awaits delays the others, tasks of `AsyncAgent.spawn` go on.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from functools import partial
from typing import Any, ClassVar

import msgspec

from .agent import Agent
from .event import Event


class AsyncAgent(Agent):
    """An `Agent` whose handlers, timers and hooks may be ``async def``. A process of its own.

    ``publish``, ``ask`` and ``reply`` are awaited; all else is as in `Agent`. Where something
    else blocks (`State.set` waits for the disk): ``await asyncio.to_thread(…)``.
    """

    takes_async: ClassVar[bool] = True

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._tasks: set[asyncio.Task[Any]] = set()

    async def publish(  # type: ignore[override]
        self,
        channel: str,
        payload: Mapping[str, Any] | msgspec.Struct,
        *,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        durable: bool = False,
    ) -> int:
        """See `Agent.publish`. Does not hold up the loop."""
        call = partial(
            super().publish,
            channel,
            payload,
            correlation_id=correlation_id,
            causation_id=causation_id,
            durable=durable,
        )
        return await self.engine.offload(call)

    async def ask(  # type: ignore[override]
        self,
        channel: str,
        payload: Mapping[str, Any] | msgspec.Struct,
        timeout_s: float = 5.0,
    ) -> Event:
        """See `Agent.ask`. Does not hold up the loop."""
        return await self.engine.offload(partial(super().ask, channel, payload, timeout_s))

    async def reply(  # type: ignore[override]
        self, event: Event, payload: Mapping[str, Any] | msgspec.Struct
    ) -> int:
        """See `Agent.reply`. Does not hold up the loop."""
        return await self.engine.offload(partial(super().reply, event, payload))

    def spawn(self, coroutine: Coroutine[Any, Any, object]) -> asyncio.Task[Any]:
        """Run concurrently with the handlers until it ends or the agent does. From the loop only.

        What it raises makes the heartbeat say ``error``, as by `Agent.report_error`.
        """
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.report_error(error)
