"""The types of queries, bodies and answers (contract, part 2); OpenAPI is written from them."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from ...actors.messages.heartbeat_monitor import AgentView
from ...actors.messages.killswitch import DrillResult
from ...protocol.patterns import FEW_STARS, MAX_STARS
from ..validation_messages import MUST

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


# -- bodies --------------------------------------------------------------------------------------


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
    """All that must have acknowledged have; false, too, while it is not known who that is."""
    agents: Acknowledgements
    message: str
    timestamp: str
    drill: DrillResult | None = None
    """The last one; `null`: never, as far as is known."""
    agents_known: bool = False
    """It is known who must acknowledge: since its start, or since the bus was proven to work
    again, the daemon has listened for one heartbeat of every agent."""


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
