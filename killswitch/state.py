"""What the Killswitch works on: its memory, the copies, its neighbours; and its refusals."""

import secrets
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ..protocol.timestamps import utc_now
from ..protocol.trips import Stop
from ..runtime import Address, OrchestratorError, Refusal
from .audit import AuditTrail
from .copies import LatchCopy, RowCopy
from .heard_events import HeardEvents
from .lease import Lease
from .redis_link import RedisLink


class WrongTrip(Refusal):
    """The trip to be released is not in force, or is being released."""


class FileStillThere(Refusal):
    """A trip file that a person made is still there: it would engage again."""


class NotResumable(Refusal):
    """A stop is in force for this agent, or it has no gate."""


class NotLatched(OrchestratorError):
    """The latch does not hold the release: it does not count."""


@dataclass(slots=True)
class Memory:
    """What outlives the actor's runs."""

    stop: Stop = field(default_factory=Stop)
    """Everything that is known."""
    heard: HeardEvents = field(default_factory=HeardEvents)
    """How far the journal has been heard."""
    boot: str = field(default_factory=lambda: secrets.token_hex(8))
    """Marks this daemon's announcements."""
    seq: int = 0
    """Announcements that were events."""
    retold: int = 0
    """Announcements that were none."""


@dataclass(frozen=True, slots=True)
class Copies:
    """The three copies, and the lease."""

    latch: LatchCopy
    """On disk."""
    row: RowCopy
    """In PostgreSQL."""
    link: RedisLink
    """In Redis; publishes, too."""
    lease: Lease
    """Which permits are issued."""
    folder: Path
    """Where damaged bytes are kept aside."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Whom the Killswitch tells."""

    persister: Address
    """Stores its events while Redis is away."""
    broadcaster: Address
    """Gets notices for the people at the screens."""
    state_keeper: Address
    """Shows the stop's document among the other values."""
    on_change: Callable[[bool], None] = lambda _: None
    """Called with whether everything is stopped, now and whenever that may have changed."""
    on_silent: Callable[[str], object] = lambda _: None
    """Called with each managed agent that has to be ended since its gate is silent."""
    on_halted: Callable[[float], object] = lambda _: None
    """Called at each agent's first receipt, with the seconds since the trip."""
    managed: Collection[str] = ()
    """Agents that this daemon runs as processes."""
    audit: AuditTrail | None = None
    """Notes every transition."""
    hand_made: Callable[[], list[str]] = list
    """Names of the trip files made by hand that are there."""


def holds(stop: Stop, trip_id: str) -> bool:
    """Whether a copy with these sets knows the trip, in force or released."""
    return stop.find(trip_id) is not None or stop.released(trip_id) is not None


def not_in_force(stop: Stop, trip_id: str) -> str:
    """Why a trip cannot be released, for `WrongTrip`."""
    if not stop.in_force:
        return "the killswitch is not active, there is nothing to release"
    known = ", ".join(trip.id for trip in stop.trips)
    return f"trip {trip_id} is not in force; in force: {known}"


def once_released(stop: Stop, trip_ids: Iterable[str]) -> Stop:
    """What is known once these releases count, which the latch does not hold yet.

    A stop that comes meanwhile is judged by it: what joined a trip whose release is under way
    would end with it, although it came after the person had decided.
    """
    for trip_id in trip_ids:
        stop = stop.with_release(trip_id, utc_now())
    return stop
