"""To the Killswitch, with its answers.

The HTTP server engages, releases and asks; guard and trip files send stops, the HeartbeatMonitor
heartbeats. Events reach it as :mod:`~.events`.
"""

from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from ...protocol.heartbeat import GateBeat
from ...protocol.targets import STOP_ALL, Target
from ...protocol.trips import Stop, Trip
from ...protocol.ways import Way


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sent a heartbeat."""

    agent: str
    """Its id."""
    group: str
    """Its group."""
    interval_s: float = 5.0
    """How often it beats."""


EXECUTION: Final = "execution"
"""Agents of this group place orders: they must acknowledge, with a gate or without."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Who has acknowledged; ids of agents, sorted."""

    acknowledged: tuple[str, ...] = ()
    """Halted; those that are quiet included."""
    quiet: tuple[str, ...] = ()
    """Halted, without working orders, no handler running."""
    pending: tuple[str, ...] = ()
    """Must acknowledge, beat, and have not."""
    unreachable: tuple[str, ...] = ()
    """Must acknowledge, and do not beat: a gate shuts when the permit runs out."""
    without_gate: tuple[str, ...] = ()
    """In scope, not bound to acknowledge, and not known to have halted."""
    known: bool = False
    """Whether it is known who must acknowledge: since the registry was read, and the bus proven to
    work, every agent has had the time for a beat."""

    @property
    def complete(self) -> bool:
        """Whether all have acknowledged that must; False while it is not known who that is."""
        return self.known and not self.pending and not self.unreachable


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, for the audit trail."""

    name: str | None = None
    """The token's."""
    role: str | None = None
    """The token's."""
    address: str | None = None
    """Where from; ``unix`` for the control socket."""


class Engage(msgspec.Struct, frozen=True):
    """An authorised call to stop; answered by :class:`Engaged`."""

    reason: str
    """Why; cut to 500 characters."""
    triggered_by: str
    """Who asks; cut to 100 characters."""
    target: Target = STOP_ALL
    """What it stops."""
    way: Way = Way.PROCESS
    """How it came; what says nothing else comes from an actor of this process."""
    trip_id: str = ""
    """The id that the caller gives to the trip: a ULID; the same call may come by several ways."""
    request_id: str | None = None
    """The HTTP request, for the log."""
    asker: Asker = Asker()
    """Who asks."""


class TakeTrip(msgspec.Struct, frozen=True):
    """Put a stop in force that was made elsewhere, under its own id: the guard's."""

    trip: Trip
    """It."""


class FileFound(msgspec.Struct, frozen=True):
    """A trip file was found; answered by whether the latch holds its trip."""

    name: str
    """``TRIP``, ``killswitch`` or ``TRIP.<ulid>``."""
    data: bytes
    """Its beginning."""


class Engaged(msgspec.Struct, frozen=True):
    """What had become of a stop when it was answered; what is missing is retried."""

    trip: Trip
    """The trip, in force."""
    already_active: bool
    """Whether another one was in force before."""
    standing: Standing
    """Which agents have halted so far."""
    latched: bool = False
    """On disk."""
    persisted: bool = False
    """Committed in PostgreSQL."""
    streamed: bool = False
    """In the durable stream."""
    published_to: int | None = None
    """Receivers on Redis without our own; ``None``: not published yet."""
    unpublished: str | None = None
    """Why it is not published yet, where that is known."""

    @property
    def held(self) -> bool:
        """Whether anything holds it that outlives this process."""
        return self.latched or self.persisted or self.streamed


class Release(msgspec.Struct, frozen=True):
    """Release one trip; answered by :class:`Released`, or a refusal."""

    trip_id: str
    """Which trip."""
    reason: str
    """Why it may."""
    released_by: str
    """Who says so."""
    request_id: str | None = None
    """The HTTP request, for the log."""
    asker: Asker = Asker()
    """Who says so."""


class GetKillswitch(msgspec.Struct, frozen=True):
    """Asks for the killswitch; answered by :class:`KillswitchView`."""


class KillswitchView(msgspec.Struct, frozen=True):
    """The killswitch as it is known here."""

    stop: Stop
    """Trips in force, releases."""
    unknown: str | None
    """Why it cannot be known, and what ends that; agents treat this as active."""
    standing: Standing
    """Which agents have halted."""

    @property
    def status(self) -> Literal["active", "inactive", "unknown"]:
        """As ``GET /risk/killswitch`` says it."""
        if self.stop.in_force:
            return "active"
        return "unknown" if self.unknown else "inactive"


class Released(msgspec.Struct, frozen=True):
    """A release that counts: the latch holds it."""

    trip: Trip
    """What was released."""
    view: KillswitchView
    """What is in force after it."""
    written_again: bool = False
    """Whether another program writes the row that the trip came from again and again."""


class GetEffective(msgspec.Struct, frozen=True):
    """Asks what an agent may do; answered by :class:`Effective`."""

    agent: str
    """Its id."""


class Effective(msgspec.Struct, frozen=True):
    """What an agent may do."""

    permission: Literal["allowed", "reduce", "halt", "unknown"]
    """``unknown`` is to be treated as ``halt``."""
    trips: tuple[Trip, ...]
    """Those in force that concern it."""
    has_gate: bool
    """Whether its heartbeats say that it has a gate."""


class ResumeAgent(msgspec.Struct, frozen=True):
    """Let an agent with a gate that resumes by hand act again; answered by the generation."""

    agent: str
    """Its id."""
    resumed_by: str
    """Who says so."""


class Drill(msgspec.Struct, frozen=True):
    """Measure the way to every agent without halting any; answered by :class:`DrillResult`."""

    by: str
    """Who asks; cut to 100 characters."""
    request_id: str | None = None
    """The HTTP request, for the log."""
    asker: Asker = Asker()
    """Who asks."""


class DrillResult(msgspec.Struct, frozen=True):
    """What came of a drill; kept in ``orchestrator_state``."""

    nonce: str
    """What was sent."""
    at: str
    """When, ISO 8601."""
    by: str
    """Who asked."""
    answered: int
    """How many agents answered within two seconds."""
    missed: int
    """How many with a gate, that beat, did not."""
    slowest: str | None
    """Who took longest."""
    slowest_ms: float | None
    """How long that was."""
    answers: dict[str, float]
    """Milliseconds by agent, the slowest 200."""
    missing: tuple[str, ...]
    """Who did not answer, 200 of them."""


class Hearing(msgspec.Struct, frozen=True):
    """Whether heartbeats would be heard; from the HeartbeatMonitor, twice a second."""

    hears: bool
    """The registry has been read, and the bus is proven to work."""
    expected: tuple[Sender, ...] = ()
    """Agents of group `EXECUTION` that count as alive, heard since the start or not."""


class BeatsHeard(msgspec.Struct, frozen=True):
    """Heartbeats that concern stops; from the HeartbeatMonitor."""

    beats: tuple[tuple[Sender, GateBeat], ...]
    """In the order of receipt."""
