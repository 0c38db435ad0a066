"""To the StateKeeper, with its answers: the killswitch, the regime, and values to keep.

The HTTP server and the guard's record send stops, the HTTP server asks, the HeartbeatMonitor sends
:class:`SetState`. Events reach it as :mod:`~.events`.
"""

from typing import Final

import msgspec

from ...runtime import DeferredReply
from ..killswitch import KillswitchState, Trip
from .events import EventReplaced, EventsJournalled, StopFound, StopHeard
from .redis_listener import Published


class EngageKillswitch(msgspec.Struct, frozen=True):
    """Stop trading; answered by :class:`KillswitchEngaged`."""

    reason: str
    """1 to 500 characters."""
    triggered_by: str
    """Who asks."""
    request_id: str | None = None
    """The HTTP request, for the log."""


class EngageTrip(msgspec.Struct, frozen=True):
    """Put a stop in force that the guard has engaged and announced itself."""

    trip: Trip
    """The trip."""


class KillswitchEngaged(msgspec.Struct, frozen=True):
    """What has become of a stop when it was answered; what is still missing goes on being tried."""

    trip: Trip
    """The trip, in force."""
    already_active: bool
    """Whether another one was in force before."""
    latched: bool
    """On disk."""
    persisted: bool
    """Committed in PostgreSQL."""
    published_to: int
    """Receivers on Redis, without our own."""


class ReleaseKillswitch(msgspec.Struct, frozen=True):
    """Let trading go on; answered by the new :class:`KillswitchState`, or ``WrongTrip``."""

    trip_id: str
    """Which trip."""
    reason: str
    """Why it may."""
    released_by: str
    """Who says so."""
    request_id: str | None = None
    """The HTTP request, for the log."""


class GetKillswitch(msgspec.Struct, frozen=True):
    """Asks for the killswitch; answered by :class:`KillswitchView`."""


class KillswitchView(msgspec.Struct, frozen=True):
    """The killswitch as it is known here."""

    state: KillswitchState
    """Its state."""
    unknown: str | None
    """Why it cannot be known; agents treat this as active."""

    @property
    def status(self) -> str:
        """``active``, ``inactive`` or ``unknown``."""
        if self.state.enabled:
            return "active"
        return "unknown" if self.unknown else "inactive"


class GetRegime(msgspec.Struct, frozen=True):
    """Asks for the last regime; answered by a ``Regime`` or ``None``."""


class GetState(msgspec.Struct, frozen=True):
    """Asks for all values this actor knows; answered by a tuple of ``StateRow``."""


class SetState(msgspec.Struct, frozen=True):
    """Keep a value; told by other actors."""

    key: str
    """Its key in ``orchestrator_state``."""
    value: bytes
    """JSON."""


Message = (
    EventsJournalled
    | EventReplaced
    | StopFound
    | StopHeard
    | EngageKillswitch
    | EngageTrip
    | ReleaseKillswitch
    | GetKillswitch
    | GetRegime
    | GetState
    | SetState
    | Published
)


class EngageUnderWay:
    """An engage that waits for the news from Redis and PostgreSQL."""

    def __init__(self, reply: DeferredReply, result: KillswitchEngaged, revision: int) -> None:
        self.reply = reply
        self.result = result
        self.revision = revision
        self.published = False

    @property
    def complete(self) -> bool:
        """Whether there is nothing left to wait for."""
        return self.published and self.result.persisted


ACTIVE_COUNT_KEY: Final = "active_agents_count"
