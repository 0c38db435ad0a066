"""A feed in asyncio: a loop in a thread of its own reads, the agent's timer publishes.

The kit calls plain functions and refuses ``async def`` handlers. Whatever exists for asyncio only
(a venue's websocket, say) runs beside them like this. The two meet in a dict of the last price of
each symbol: however fast the feed or slow the bus, nothing piles up. Run it as a process.

The feed here is lines over TCP: ``AAPL 190.25``.
"""

import asyncio
import threading
from typing import ClassVar

import msgspec
from orchestrator.agents import Agent, every
from orchestrator.agents.payloads import Quote


class FeedOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The agent's options."""

    host: str = "127.0.0.1"
    """Of the feed."""
    port: int = 7000
    """Of the feed."""
    silent_s: float = 10.0
    """A feed that says nothing for so long is connected to anew."""
    retry_s: float = 1.0
    """Between attempts."""


class Feed(Agent):
    """Publishes the last price of each symbol, four times a second at most."""

    agent_id, name, group = "feed-1", "Feed", "ingestion"
    Options: ClassVar[type[msgspec.Struct]] = FeedOptions
    options: FeedOptions

    def on_start(self) -> None:
        """Begin to read."""
        self._fresh: dict[str, float] = {}
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._reading = self._loop.create_task(self._read_for_ever())
        self._thread = threading.Thread(target=self._run_loop, name="feed-loop", daemon=True)
        self._thread.start()

    @every(0.25)
    def publish_fresh(self) -> None:
        """Publish what has come since the last time."""
        with self._lock:
            fresh, self._fresh = self._fresh, {}
        for symbol, price in fresh.items():
            self.publish(f"data.market.{symbol}.1m", Quote(symbol, price, timeframe="1m"))

    def on_stop(self) -> None:
        """End the loop."""
        self._loop.call_soon_threadsafe(self._reading.cancel)
        self._thread.join(0.5)

    # -- in the loop's thread --------------------------------------------------------

    def _run_loop(self) -> None:
        try:
            self._loop.run_until_complete(asyncio.wait([self._reading]))
        finally:
            self._loop.close()

    async def _read_for_ever(self) -> None:
        while True:
            try:
                await self._read()
            except (OSError, EOFError, ValueError, TimeoutError) as error:
                self.report_error(f"feed: {error or type(error).__name__}")
            await asyncio.sleep(self.options.retry_s)

    async def _read(self) -> None:
        reader, writer = await asyncio.open_connection(self.options.host, self.options.port)
        try:
            while True:
                line = await asyncio.wait_for(reader.readline(), self.options.silent_s)
                if not line:
                    raise EOFError("the feed has closed the connection")
                symbol, price = line.decode().split()
                with self._lock:
                    self._fresh[symbol] = float(price)
                self.clear_error()
        finally:
            writer.close()
