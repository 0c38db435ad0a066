"""Sample: prices from a random walk, as a market feed would bring them.

Publishes on ``data.market.<SYMBOL>.<1m|5m|15m>``: each symbol every 2 s, in one of the
timeframes (half of them ``1m``). Payload: symbol, price, volume, bid, ask, exchange,
timeframe, source, agent_id, timestamp.
"""

import math
import random
from typing import Any, ClassVar

import msgspec

from ..agent import Agent

BASE_PRICES = {
    "STLA": 14.0,
    "TSLA": 250.0,
    "AAPL": 190.0,
    "NVDA": 120.0,
    "MSFT": 420.0,
    "GOOGL": 165.0,
    "AMZN": 185.0,
}
"""Where the walks begin, and where they are pulled back to. Other symbols: 100."""
OTHER_BASE_PRICE = 100.0
EXCHANGES = {"STLA": "NYSE"}
"""All others trade at NASDAQ."""
TIMEFRAMES = ("1m", "5m", "1m", "15m")
"""The order in which a symbol's quotes go round."""

MAX_STEP = 0.02
"""No price moves by more than 2 % at once."""
MOODS = (0.25, 0.6, 1.0)
"""How much of that a symbol uses: calm, usual, wild. So the regime has something to detect."""
MOOD_LASTS_STEPS = 150
"""Mean number of steps until a mood changes: 5 min."""
PULL = 0.02
"""Share of the way back to the base price that a step is shifted by; without it a
walk of such steps comes near zero within days."""
SPREAD = 0.0005
"""Between bid and ask, relative to the price."""


class Walk:
    """The price of one symbol. Pure but for the generator."""

    def __init__(self, base_price: float, rng: random.Random) -> None:
        self._base_price = base_price
        self._rng = rng
        self._mood = rng.choice(MOODS)
        self.price = base_price
        """Unrounded."""

    def step(self) -> float:
        """Move by ±2 % at most and return the price."""
        if self._rng.random() < 1 / MOOD_LASTS_STEPS:
            self._mood = self._rng.choice(MOODS)
        pull = PULL * math.log(self._base_price / self.price)
        drift = self._rng.uniform(-MAX_STEP, MAX_STEP) * self._mood + pull
        self.price *= 1 + max(-MAX_STEP, min(MAX_STEP, drift))
        return self.price


def quote(symbol: str, price: float, timeframe: str, rng: random.Random) -> dict[str, Any]:
    """The payload for a price, without source, agent_id and timestamp."""
    half_spread = price * SPREAD / 2
    return {
        "symbol": symbol,
        "price": round(price, 4),
        "volume": rng.randint(100, 10_000),
        "bid": round(price - half_spread, 4),
        "ask": round(price + half_spread, 4),
        "exchange": EXCHANGES.get(symbol, "NASDAQ"),
        "timeframe": timeframe,
    }


class QuotesOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of the quotes agent."""

    symbols: tuple[str, ...] = tuple(BASE_PRICES)
    """Each has a walk of its own."""
    every_s: float = 2.0
    """From step to step."""
    seed: int = 42
    """For the same prices each time."""


class QuotesAgent(Agent):
    """Publishes a quote of each symbol every 2 s."""

    agent_id = "quotes-agent"
    name = "Quotes Agent"
    group = "ingestion"
    version = "1.0"
    Options: ClassVar[type[msgspec.Struct]] = QuotesOptions
    options: QuotesOptions

    def on_start(self) -> None:
        """Begin all walks at their base prices."""
        self._rng = random.Random(self.options.seed)  # noqa: S311 - no secret
        self._walks = {
            symbol: Walk(BASE_PRICES.get(symbol, OTHER_BASE_PRICE), self._rng)
            for symbol in self.options.symbols
        }
        self._tick = 0
        self.call_every(self.options.every_s, self.publish_quotes, at_start=True)

    def publish_quotes(self) -> None:
        """Move every price and publish it."""
        for symbol, walk in self._walks.items():
            timeframe = TIMEFRAMES[self._tick % len(TIMEFRAMES)]
            payload = quote(symbol, walk.step(), timeframe, self._rng)
            ids = {"source": self.agent_id, "agent_id": self.agent_id}
            self.publish(f"data.market.{symbol}.{timeframe}", {**payload, **ids})
        self._tick += 1
