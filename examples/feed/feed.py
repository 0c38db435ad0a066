"""A feed in asyncio: a task reads, a timer publishes.

The two meet in a dict of the last price of each symbol: however fast the feed or slow the bus,
nothing piles up. All of it runs in one loop, so that no lock is needed.

The feed here is lines over TCP: ``AAPL 190.25``.
"""

import asyncio
from typing import ClassVar

import msgspec
from orchestrator.agents import AsyncAgent, every
from orchestrator.agents.payloads import Quote


class FeedOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The agent's options."""

    host: str = "127.0.0.1"
    """Of the feed."""
    port: int = 7000
    """Of the feed."""
    silent_s: float = 10.0
    """A feed that is silent for this long is reconnected."""
    retry_s: float = 1.0
    """Between attempts."""


class Feed(AsyncAgent):
    """Publishes the last price of each symbol, four times a second at most."""

    agent_id, name, group = "feed-1", "Feed", "ingestion"
    Options: ClassVar[type[msgspec.Struct]] = FeedOptions
    options: FeedOptions

    async def on_start(self) -> None:
        """Begin to read."""
        self._fresh: dict[str, float] = {}
        self.spawn(self._read_for_ever())

    @every(0.25)
    async def publish_fresh(self) -> None:
        """Publish what has come since the last time."""
        fresh, self._fresh = self._fresh, {}
        for symbol, price in fresh.items():
            await self.publish(f"data.market.{symbol}.1m", Quote(symbol, price, timeframe="1m"))

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
                self._fresh[symbol] = float(price)
                self.clear_error()
        finally:
            writer.close()
