"""Sample: from the last prices of each symbol, what kind of market it is.

Listens on ``data.market.*`` in one timeframe (prices of three mixed would count each
step several times). Publishes on ``quant.regime.state`` every 15 s, and for the first
time as soon as every symbol seen has enough prices: agent_id, regime
(stable, neutral, volatile), trend (bullish, bearish, sideways), volatility,
symbols_analyzed, confidence (0 to 1), timestamp, symbol_details:
``{SYMBOL: {regime, trend, volatility, trend_strength, mean_return, data_points}}``.

Volatility is the standard deviation of the returns from one price to the next;
trend_strength is the mean return in units of it. A window that is not full yet, and
symbols that do not agree, lower the confidence.
"""

import math
import statistics
from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar

import msgspec

from ..agent import Agent
from ..event import Event

MAX_SYMBOLS = 1000
"""Maximum number of windows kept; a feed with more should have several detectors."""
LEAST_CONFIDENCE = 0.5
"""Share of the confidence that is left when no two symbols agree."""


class RegimeOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of the regime detector."""

    timeframe: str = "1m"
    """Only prices of this one count."""
    window: int = 20
    """Prices kept of each symbol."""
    min_prices: int = 3
    """A symbol with fewer is left out."""
    every_s: float = 15.0
    """From report to report."""
    stable_below: float = 0.006
    """Volatility under this is stable."""
    volatile_above: float = 0.013
    """Volatility over this is volatile."""
    trend_above: float = 0.25
    """A symbol with a trend_strength over this has a trend."""
    market_trend_above: float = 0.10
    """The same for the mean of all symbols, whose chance movements cancel out."""


class Reading(msgspec.Struct, frozen=True):
    """One symbol, analysed; the shape of ``symbol_details``."""

    regime: str
    trend: str
    volatility: float
    trend_strength: float
    mean_return: float
    data_points: int


def classify(volatility: float, options: RegimeOptions) -> str:
    """The regime for a volatility."""
    if volatility < options.stable_below:
        return "stable"
    return "volatile" if volatility > options.volatile_above else "neutral"


def trend_of(strength: float, threshold: float) -> str:
    """The trend for a trend strength."""
    if abs(strength) <= threshold:
        return "sideways"
    return "bullish" if strength > 0 else "bearish"


def analyse(prices: Sequence[float], options: RegimeOptions) -> Reading:
    """What the prices of one symbol say, oldest first; at least two."""
    returns = [after / before - 1 for before, after in pairwise(prices)]
    mean_return = statistics.fmean(returns)
    volatility = statistics.pstdev(returns)
    strength = mean_return / volatility if volatility > 0 else math.copysign(1.0, mean_return)
    strength = 0.0 if mean_return == 0 else strength
    return Reading(
        regime=classify(volatility, options),
        trend=trend_of(strength, options.trend_above),
        volatility=round(volatility, 6),
        trend_strength=round(strength, 4),
        mean_return=round(mean_return, 6),
        data_points=len(prices),
    )


def judge(readings: dict[str, Reading], options: RegimeOptions) -> dict[str, Any]:
    """The market's regime from those of its symbols, at least one.

    Returns:
        The payload without agent_id and timestamp.
    """
    all_of_them = list(readings.values())
    volatility = statistics.fmean(reading.volatility for reading in all_of_them)
    strength = statistics.fmean(reading.trend_strength for reading in all_of_them)
    regime = classify(volatility, options)
    return {
        "regime": regime,
        "trend": trend_of(strength, options.market_trend_above),
        "volatility": round(volatility, 6),
        "symbols_analyzed": len(readings),
        "confidence": _confidence(all_of_them, regime, options),
        "symbol_details": readings,
    }


def _confidence(readings: list[Reading], regime: str, options: RegimeOptions) -> float:
    filled = statistics.fmean(min(1, r.data_points / options.window) for r in readings)
    agreed = statistics.fmean(reading.regime == regime for reading in readings)
    return round(filled * (LEAST_CONFIDENCE + (1 - LEAST_CONFIDENCE) * agreed), 4)


class Windows:
    """The last prices of each symbol. Pure."""

    def __init__(self, options: RegimeOptions) -> None:
        self._options = options
        self._prices: dict[str, deque[float]] = {}

    def add(self, symbol: str, price: float) -> None:
        """Keep a price; beyond `MAX_SYMBOLS` new symbols are left out."""
        if symbol in self._prices or len(self._prices) < MAX_SYMBOLS:
            window = self._prices.setdefault(symbol, deque(maxlen=self._options.window))
            window.append(price)

    def readings(self) -> dict[str, Reading]:
        """The analysis of each symbol that has enough prices."""
        least = max(2, self._options.min_prices)
        return {
            symbol: analyse(list(prices), self._options)
            for symbol, prices in self._prices.items()
            if len(prices) >= least
        }

    def all_ready(self) -> bool:
        """Whether every symbol seen so far has enough prices."""
        least = max(2, self._options.min_prices)
        return all(len(prices) >= least for prices in self._prices.values())


class RegimeDetector(Agent):
    """Reports the regime of the market every 15 s."""

    agent_id = "regime-detector"
    name = "Regime Detector"
    group = "signals"
    version = "1.0"
    Options: ClassVar[type[msgspec.Struct]] = RegimeOptions
    options: RegimeOptions

    def __init__(self, **settings: Any) -> None:
        """See `Agent`."""
        super().__init__(**settings)
        self._windows = Windows(self.options)
        self._has_reported = False
        self._cause: dict[str, str] = {}
        self.call_on(f"data.market.*.{self.options.timeframe}", self.learn)
        self.call_every(self.options.every_s, self.report)

    def learn(self, event: Event) -> None:
        """Keep the price of an event; the first report need not wait for its turn."""
        price = read_price(event)
        if price is None:
            return
        self._windows.add(*price)
        self._cause = event.passed_on()
        if not self._has_reported and self._windows.all_ready():
            self.report()

    def report(self) -> None:
        """Publish the regime, if there are enough prices for one; the last price caused it."""
        readings = self._windows.readings()
        if readings:
            judged = judge(readings, self.options)
            self.publish("quant.regime.state", {"agent_id": self.agent_id, **judged, **self._cause})
            self._has_reported = True


def read_price(event: Event) -> tuple[str, float] | None:
    """Symbol and price of a market event; ``None`` if it has no sane price.

    The symbol is the payload's, else the third part of the channel.
    """
    payload = event.payload if isinstance(event.payload, dict) else {}
    price = payload.get("price")
    if isinstance(price, bool) or not isinstance(price, int | float):
        return None
    if not (math.isfinite(price) and price > 0):
        return None
    symbol = payload.get("symbol")
    return (symbol if isinstance(symbol, str) and symbol else event.channel.split(".")[2]), price
