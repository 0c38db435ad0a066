"""The messages on the bus and the events made of them (contract, part 1); AsyncAPI is written so.

The daemon itself reads far less strictly: any JSON is an event.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ...actors.messages.heartbeat_monitor import AgentView

Count = Annotated[int, Meta(ge=0)]


class Traced(msgspec.Struct, frozen=True, kw_only=True):
    """What any producer may add, and agents of the kit do."""

    source: str | UnsetType = UNSET
    """Who publishes it; becomes the event's source."""
    agent_id: str | UnsetType = UNSET
    """The agent; the event's source where there is no `source`."""
    timestamp: str | UnsetType = UNSET
    """The producer's clock."""
    seq: Count | UnsetType = UNSET
    """Rises by one per source and channel; a jump is reported as `bus.gap`."""
    boot: str | UnsetType = UNSET
    """The producer's run; a new one restarts `seq`."""
    correlation_id: str | UnsetType = UNSET
    """What it belongs to."""
    causation_id: str | UnsetType = UNSET
    """What it comes of."""
    traceparent: str | UnsetType = UNSET
    """W3C trace context."""


class Heartbeat(Traced, frozen=True, kw_only=True):
    """A sign of life, every 5 s."""

    name: str | UnsetType = UNSET
    """For people; the id if absent."""
    group: str | UnsetType = UNSET
    """`unknown` if absent."""
    status: str | UnsetType = UNSET
    """`active`, `offline`, `error`, `halted`, or a word that means one of them."""
    interval_s: float | UnsetType = UNSET
    """How often it beats."""
    version: str | UnsetType = UNSET
    """Of the agent."""
    error: str | UnsetType = UNSET
    """What is wrong, with status `error`."""
    last_error: str | UnsetType = UNSET
    """The same."""
    trip_id: str | UnsetType = UNSET
    """With status `halted`: the trip that is acknowledged."""


class Killswitch(Traced, frozen=True, kw_only=True):
    """The stop. Whatever is not an object with `enabled` exactly `false` engages it."""

    enabled: bool
    """`true` while any trip is in force. `false` never releases one: only an HTTP call does."""
    reason: str | UnsetType = UNSET
    """Why."""
    triggered_by: str | UnsetType = UNSET
    """Who."""
    trip_id: str | UnsetType = UNSET
    """The daemon's id of the trip, or the producer's own name for it."""
    level: Literal["halt", "reduce"] = "halt"
    """`reduce`: no new positions."""
    scope: Annotated[str, Meta(pattern="^(all|group:.+|agent:.+)$")] = "all"
    """Whom it stops."""
    trips: tuple[dict[str, Any], ...] | UnsetType = UNSET
    """All that is in force, in the daemon's messages."""
    released: dict[str, Any] | UnsetType = UNSET
    """`trip_id`, `reason` and `by` of the release that the daemon's message is about."""
    durable: bool | UnsetType = UNSET
    """Whether the same bytes are in the durable stream."""


class Quote(Traced, frozen=True, kw_only=True):
    """A price, as the quotes agent publishes it."""

    symbol: str
    price: float
    volume: int
    bid: float
    ask: float
    exchange: str
    timeframe: str


class Candidate(Traced, frozen=True, kw_only=True):
    """What a strategy proposes."""

    symbol: str
    strategy: str
    action: str
    score: float
    confidence: float
    parameters: dict[str, Any]


class SymbolRegime(msgspec.Struct, frozen=True):
    """One symbol's part in a regime."""

    regime: Literal["stable", "neutral", "volatile"]
    trend: Literal["bullish", "bearish", "sideways"]
    volatility: float
    trend_strength: float
    mean_return: float
    data_points: int


class RegimeReport(Traced, frozen=True, kw_only=True):
    """The market regime."""

    regime: Literal["stable", "neutral", "volatile"]
    trend: Literal["bullish", "bearish", "sideways"]
    volatility: float
    """Standard deviation of returns."""
    symbols_analyzed: int
    confidence: Annotated[float, Meta(ge=0, le=1)]
    symbol_details: dict[str, SymbolRegime]
    """By symbol."""


# -- events that the daemon itself makes -------------------------------------------------------


class AgentEvent(AgentView, frozen=True, kw_only=True):
    """An agent came, went, or reported an error: its row, and why."""

    reason: str
    count: int
    """Changes that this event stands for: more than one of an agent that flaps."""


class ActorRestarted(msgspec.Struct, frozen=True):
    """A part of the daemon failed and runs again."""

    actor: str
    reason: str
    restarts: int


class Gap(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """Something may be, or is, missing."""

    cause: Literal["subscription", "downtime", "sequence", "stream"]
    from_: str | None
    """The last moment that was heard."""
    to: str
    """The first moment that was heard again."""
    patterns: list[str] | UnsetType = UNSET
    """What was not heard."""
    source: str | UnsetType = UNSET
    """Whose numbers jumped."""
    channel: str | UnsetType = UNSET
    """On which channel."""
    first: int | UnsetType = UNSET
    """The first number missing."""
    last: int | UnsetType = UNSET
    """The last number missing."""
    count: int | None = None
    """How many; `null` if unknown."""


class Rejected(msgspec.Struct, frozen=True):
    """A message that cannot be stored as JSON."""

    channel: str
    reason: str
    size: int
    """Bytes of the message."""
    raw: str
    """Its first 4 KiB, base64."""


class Dropped(msgspec.Struct, frozen=True):
    """Events for which there was no room left."""

    reason: str
    types: dict[str, int]
    """How many of each type."""
    count: int


class RuleBroken(msgspec.Struct, frozen=True):
    """An agent was over the limit of a rule of the settings."""

    rule: str
    """Its name."""
    kind: Literal["acting", "messages"]
    agent_id: str
    """Whose messages: an agent, or `(all)`, `(others)`, `(unnamed)`."""
    group: str | None
    """The agent's, if it is known."""
    channel: str
    """Of the last message."""
    counted: int
    """Messages within the window."""
    limit: int
    """So many are allowed."""
    window_s: float
    level: Literal["halt", "reduce"]
    scope: str
    """With `level`: what is stopped, or would be."""
    dry_run: bool
    """Whether it only says so."""
    trip_id: str | None
    """The stop that it asked for; `null` in a dry run, and while one is in force already."""
    reason: str
    """In words."""
    suppressed: int
    """Others by the same rule since its last event."""
    timestamp: str
