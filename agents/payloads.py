"""The contract's own payloads as types, for `on_event(..., model=...)` and `Agent.publish`.

Fields that a payload may have beyond these are passed over (contract: fields may be added). What
is left at its default is not published.
"""

from typing import Annotated, Any, Literal

import msgspec

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
"""From 0 to 1."""
Price = Annotated[float, msgspec.Meta(gt=0)]
"""More than nothing."""


class Quote(msgspec.Struct, frozen=True, omit_defaults=True):
    """``data.market.<SYMBOL>.<timeframe>``."""

    symbol: str
    """Such as ``AAPL``."""
    price: Price
    """Last."""
    volume: float | None = None
    """Traded."""
    bid: float | None = None
    """Best."""
    ask: float | None = None
    """Best."""
    exchange: str | None = None
    """Where."""
    timeframe: str | None = None
    """``1m``, ``5m``, ``15m``."""


class Candidate(msgspec.Struct, frozen=True, omit_defaults=True):
    """``strategy.candidate``: a trade that a strategy suggests."""

    symbol: str
    """Such as ``AAPL``."""
    action: Literal["BUY", "SELL", "HOLD"]
    """What to do."""
    score: float | None = None
    """How good it is, by the strategy's own measure."""
    confidence: Share | None = None
    """How sure the strategy is."""
    strategy: str | None = None
    """Its name."""
    parameters: dict[str, Any] = {}
    """Its settings."""


class SymbolRegime(msgspec.Struct, frozen=True, omit_defaults=True):
    """One symbol in ``symbol_details`` of a `Regime`."""

    regime: Literal["stable", "neutral", "volatile"]
    """How much it moves."""
    trend: Literal["bullish", "bearish", "sideways"]
    """Where to."""
    volatility: float
    """Standard deviation of the returns."""
    trend_strength: float
    """Mean return in units of the volatility."""
    mean_return: float
    """From one price to the next."""
    data_points: int
    """Prices looked at."""


class Regime(msgspec.Struct, frozen=True, omit_defaults=True):
    """``quant.regime.state``."""

    regime: Literal["stable", "neutral", "volatile"]
    """Of the market."""
    trend: Literal["bullish", "bearish", "sideways"]
    """Of the market."""
    volatility: float
    """Mean of the symbols'."""
    symbols_analyzed: int
    """How many."""
    confidence: Share
    """Less where symbols disagree or prices are few."""
    symbol_details: dict[str, SymbolRegime] = {}
    """By symbol."""


class Heartbeat(msgspec.Struct, frozen=True, omit_defaults=True):
    """``heartbeat.<agent_id>``."""

    agent_id: str
    """The agent."""
    status: str
    """As reported, such as ``active``."""
    name: str | None = None
    """For people."""
    group: str | None = None
    """Such as ``signals``."""
    interval_s: float | None = None
    """From beat to beat."""
    version: str | None = None
    """Of the agent."""
