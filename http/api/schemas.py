"""The types of queries, bodies and answers (contract, part 2); OpenAPI is written from them."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from ...actors.messages.heartbeat_monitor import AgentView
from ...actors.messages.killswitch import DrillResult
from ...protocol.patterns import FEW_STARS, MAX_STARS
from ...sql.events.event_reader import TypeRow
from ...sql.events.minute_counts import Bucket
from ..validation_messages import MUST
from .event_shape import EventShape

MAX_ID = 2**63 - 1

EventId = Annotated[int, Meta(ge=0, le=MAX_ID)]
Reason = Annotated[
    str,
    Meta(min_length=1, max_length=500, pattern=r"\S", extra={MUST: "must not be blank"}),
]
Name = Annotated[
    str,
    Meta(min_length=1, max_length=200, pattern=r"^[^\x00]*$", extra={MUST: "must not hold NUL"}),
]
Pattern = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        pattern=FEW_STARS,
        extra={MUST: f"must have at most {MAX_STARS} stars (*)"},
    ),
]


# -- queries -------------------------------------------------------------------------------------


class AgentsQuery(msgspec.Struct, frozen=True):
    """Filters of ``/health/agents``."""

    group: str | None = None
    """Only this group's."""
    status: str | None = None
    """`active`, `inactive`, `error` or `halted`."""
    alive: bool | None = None
    """Only those that are alive, or only the others."""


class EventsQuery(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}
):
    """The query of ``/bus/events``."""

    since: EventId | None = None
    """Events after this id, oldest first; 0 is as if it were not given."""
    after: EventId | None = None
    """As `since`, but 0 means: from the very first event."""
    before: Annotated[int, Meta(ge=1, le=MAX_ID)] | None = None
    """Events before this id, for paging backwards."""
    limit: Annotated[int, Meta(ge=1)] = 50
    """How many at most; above 200 it is 200."""
    type: Annotated[tuple[Pattern, ...], Meta(max_length=50)] = ()
    """Only these types; `*` matches any run of characters; may repeat."""
    source: str | None = None
    """Only from this source."""
    from_: datetime | None = None
    """Received at this time or later; a day alone is its beginning in UTC."""
    to: datetime | None = None
    """Received at this time or earlier; a day alone is its beginning in UTC."""
    processed: bool | None = None
    """Only events marked as processed, or only the others."""
    correlation_id: Annotated[str, Meta(min_length=1, max_length=1024)] | None = None
    """Only the events of this chain: those whose payload has this `correlation_id`, and the first,
    whose own name it is. No index helps: give `from` and `to`, or a `type`, on a large table."""
    order: Literal["asc", "desc"] = "desc"
    """Order within the page; which events are in it does not change."""


class HistogramQuery(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """The query of ``/bus/histogram``."""

    from_: datetime | None = None
    """Begin at this time; by default an hour before `to`. At most 31 days before it."""
    to: datetime | None = None
    """End at this time; by default now."""
    buckets: Annotated[int, Meta(ge=1, le=500)] = 60
    """About so many spans, each of whole minutes."""
    type: Annotated[tuple[Pattern, ...], Meta(max_length=50)] = ()
    """Only these types; `*` matches any run of characters; may repeat."""


# -- bodies --------------------------------------------------------------------------------------


class PostEvent(msgspec.Struct, frozen=True):
    """The body of ``POST /bus/events``."""

    type: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=200,
            pattern=r"^[^\s\x00-\x1f\x7f-\x9f]+$",
            extra={MUST: "must have no spaces and no control characters"},
        ),
    ]
    """The channel that it is published on; not one of the daemon's own."""
    payload: msgspec.Raw
    """Any JSON that PostgreSQL can store."""
    source: Name | None = None
    """Its source; by default what the payload says."""


class MarkProcessed(msgspec.Struct, frozen=True):
    """The body of ``POST /bus/events/processed``."""

    ids: Annotated[tuple[EventId, ...], Meta(min_length=1, max_length=1000)]
    """Ids of events."""


class Engage(msgspec.Struct, frozen=True):
    """The body of ``POST /risk/killswitch``: a stop is never refused for its form."""

    reason: Annotated[str, Meta(min_length=1, pattern=r"\S", extra={MUST: "must not be blank"})]
    """Why; not blank. Cut to 500 characters."""
    level: Any = "halt"
    """`halt`, or `reduce`: no new positions. Anything else is `halt` for `all`."""
    scope: Any = "all"
    """`all`, `group:<group>` or `agent:<id>`. Anything else is `halt` for `all`."""
    trip_id: Any = None
    """A new ULID for the trip, so that the call can be repeated; anything else is ignored."""


class Release(msgspec.Struct, frozen=True):
    """The body of ``POST /risk/killswitch/release``."""

    reason: Reason
    """Why it may resume; not blank."""
    trip_id: Annotated[str, Meta(min_length=1, max_length=100)]


# -- answers -------------------------------------------------------------------------------------


class ErrorAnswer(msgspec.Struct, frozen=True):
    """Every error."""

    error: str
    message: str
    timestamp: str
    request_id: str


class HealthAnswer(msgspec.Struct, frozen=True):
    """``/health``."""

    status: Literal["ok"]
    version: str
    instance: str
    env: str
    uptime_seconds: float
    websocket_clients: int
    timestamp: str


class WhoAmIAnswer(msgspec.Struct, frozen=True):
    """``/whoami``."""

    status: Literal["ok"]
    role: Literal["viewer", "tripper", "operator"]
    """What the caller may do; each includes those before it."""
    name: str | None
    """The token's name; null without a token."""
    timestamp: str


class Check(msgspec.Struct, frozen=True):
    """One part's readiness."""

    ok: bool
    message: str
    latency_ms: float | None = None
    warning: bool = False


class ReadyAnswer(msgspec.Struct, frozen=True):
    """``/ready``."""

    status: Literal["ok", "unavailable"]
    checks: dict[str, Check]
    timestamp: str


class AgentsAnswer(msgspec.Struct, frozen=True):
    """``/health/agents``."""

    status: Literal["ok"]
    timestamp: str
    agents: tuple[AgentView, ...]
    total_agents: int
    active_agents: int


class EventsAnswer(msgspec.Struct, frozen=True):
    """``/bus/events``."""

    status: Literal["ok"]
    timestamp: str
    events: list[EventShape]
    cursor: int
    """Where to continue: the next `since`."""
    has_more: bool
    """Whether more events match in this direction."""


class EventAnswer(msgspec.Struct, frozen=True):
    """``/bus/events/{id}``."""

    status: Literal["ok"]
    timestamp: str
    event: EventShape


class StoredAnswer(msgspec.Struct, frozen=True):
    """``POST /bus/events``."""

    status: Literal["stored", "accepted"]
    id: int | None
    ts: str


class ProcessedAnswer(msgspec.Struct, frozen=True):
    """``POST /bus/events/processed``."""

    status: Literal["ok"]
    updated: list[int]
    missing: list[int]


class TypesAnswer(msgspec.Struct, frozen=True):
    """``/bus/types``."""

    status: Literal["ok"]
    timestamp: str
    types: list[TypeRow]


class HistogramAnswer(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """``/bus/histogram``."""

    status: Literal["ok"]
    timestamp: str
    from_: str
    """Beginning of the first bucket, at or before the time asked for."""
    to: str
    """End of the last bucket, at or after the time asked for."""
    bucket_s: int
    """Length of a bucket in seconds, a multiple of 60; buckets begin at multiples of it (UTC)."""
    counted_from: str | None
    """Older events are still being counted in the background; null if all are."""
    buckets: list[Bucket]
    """Those with events, in order of time."""


class EngagedAnswer(msgspec.Struct, frozen=True):
    """``POST /risk/killswitch``."""

    status: Literal["activated"]
    timestamp: str
    reason: str
    message: str
    trip_id: str
    already_active: bool
    """Another trip was in force before."""
    latched: bool
    """It is on disk."""
    persisted: bool
    """It is committed in PostgreSQL by now."""
    streamed: bool
    """It is in the durable stream."""
    published_to: int
    """Receivers on the bus but our own."""
    level: str
    """`halt` or `reduce`."""
    scope: str
    """Whom it stops."""


class TripShape(msgspec.Struct, frozen=True):
    """One stop in force."""

    trip_id: str
    reason: str
    triggered_by: str
    at: str
    level: str
    scope: str


class Acknowledgements(msgspec.Struct, frozen=True):
    """Ids of agents, by how they stand to the trips in force that concern them."""

    acknowledged: tuple[str, ...] = ()
    """Have halted; the quiet ones included."""
    quiet: tuple[str, ...] = ()
    """Have no working orders and no handler that runs."""
    pending: tuple[str, ...] = ()
    """Must acknowledge, beat, and have not."""
    unreachable: tuple[str, ...] = ()
    """Must acknowledge, and do not beat; a gate shuts when its permit runs out."""
    without_gate: tuple[str, ...] = ()
    """Nothing holds them but what they do themselves."""


class KillswitchAnswer(msgspec.Struct, frozen=True):
    """``/risk/killswitch``."""

    status: Literal["active", "inactive", "unknown"]
    enabled: bool
    reason: str | None
    triggered_by: str | None
    trip_id: str | None
    last_triggered: str | None
    released_at: str | None
    trips: tuple[TripShape, ...]
    complete: bool
    """All that must have acknowledged have."""
    agents: Acknowledgements
    message: str
    timestamp: str
    drill: DrillResult | None = None
    """The last one; `null`: never, as far as is known."""


class EffectiveQuery(msgspec.Struct, frozen=True):
    """The query of ``/risk/killswitch/effective``."""

    agent: Name
    """Its id."""


class EffectiveAnswer(msgspec.Struct, frozen=True):
    """``/risk/killswitch/effective``."""

    agent: str
    permission: Literal["allowed", "reduce", "halt", "unknown"]
    """`unknown` is to be treated as `halt`."""
    trips: tuple[TripShape, ...]
    """Those in force that concern it."""


class RegimeAnswer(msgspec.Struct, frozen=True):
    """``/regime/state`` once there is one."""

    status: Literal["ok"]
    timestamp: str
    regime: msgspec.Raw


class NoRegimeAnswer(msgspec.Struct, frozen=True):
    """``/regime/state`` before the first report."""

    status: Literal["no_data"]
    message: str
    timestamp: str


class StateValue(msgspec.Struct, frozen=True):
    """One key of ``orchestrator_state``."""

    key: str
    value: msgspec.Raw
    updated_at: str | None


class StatesAnswer(msgspec.Struct, frozen=True):
    """``/state``."""

    status: Literal["ok"]
    timestamp: str
    state: tuple[StateValue, ...]


class StateAnswer(msgspec.Struct, frozen=True):
    """``/state/{key}``."""

    status: Literal["ok"]
    timestamp: str
    key: str
    value: msgspec.Raw
    updated_at: str | None
