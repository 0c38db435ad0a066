"""What is in force after a start: latch, guard's slots, row and key put together. Pure.

``tests/killswitch/stop-stores.json`` is the table.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from ..protocol.document import read_document
from ..protocol.trips import Stop, Trip
from .foreign import damaged, found_document, plausible
from .intake import Decision, Origin, Verdict
from .readings import Condition, Copy, Reading

_NEEDED: Final = (Copy.LATCH, Copy.POSTGRES, Copy.REDIS)
_GRANT: Final = (
    "let the daemon's role read it: a policy for SELECT on orchestrator_state, or BYPASSRLS"
)


@dataclass(frozen=True, slots=True)
class Unknown:
    """Why the state cannot be known."""

    why: str
    """In words."""
    way_out: str
    """What ends it."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """What is known after the copies have been read."""

    stop: Stop
    """All that is known, with the trips that were made."""
    made: tuple[Trip, ...]
    """Trips made of damage and of other programs' documents; not in any copy yet."""
    unknown: Unknown | None
    """Set while a copy that is needed has not been read: no permit may be issued, whatever is in
    force."""
    resolved: bool
    """What the latch may say of itself: it has met the other copies, now or before."""

    @property
    def status(self) -> Literal["active", "inactive", "unknown"]:
        """As ``GET /risk/killswitch`` says it."""
        if self.stop.in_force:
            return "active"
        return "unknown" if self.unknown else "inactive"


def resolve(
    readings: Mapping[Copy, Reading], origin: Origin, known: Stop | None = None
) -> Resolution:
    """Put the copies together.

    Args:
        readings: of each copy; one that is missing counts as absent.
        origin: time and ids for trips that have to be made.
        known: what memory holds; after a start nothing.
    """
    stop = known or Stop()
    for copy, reading in readings.items():
        for data in reading.documents:
            stop = stop.union(_sets(copy, data, origin.unix_s))
    made: list[Trip] = []
    for copy, reading in readings.items():
        for decision in _strange(copy, reading, stop, origin):
            if decision.verdict is Verdict.NEW and decision.trip is not None:
                made.append(decision.trip)
                stop = stop.with_trip(decision.trip)
    unknown = _unknown(readings)
    resolved = unknown is None or _is_intact(readings.get(Copy.LATCH, Reading()))
    return Resolution(stop, tuple(made), unknown, resolved)


def _is_intact(latch: Reading) -> bool:
    return latch.condition is Condition.FOUND and latch.resolved and not latch.damage


def _sets(copy: Copy, data: bytes, unix_s: float) -> Stop:
    return plausible(read_document(data, trusted=copy is not Copy.REDIS).stop, unix_s)


def _strange(copy: Copy, reading: Reading, stop: Stop, origin: Origin) -> Iterator[Decision]:
    """What a copy says besides its sets."""
    for data in reading.documents:
        _, decision = found_document(copy, data, stop, origin, xmin=reading.xmin)
        if decision is not None:
            yield decision
    if reading.damage:
        yield damaged(copy, b"".join(reading.damage), stop, origin)


def _unknown(readings: Mapping[Copy, Reading]) -> Unknown | None:
    latch, row, key = (readings.get(copy, Reading()) for copy in _NEEDED)
    if row.condition is Condition.HIDDEN:
        return Unknown(f"row security hides killswitch_status ({row.why})", _GRANT)
    missing = [(name, r) for name, r in (("PostgreSQL", row), ("Redis", key)) if not r.answers]
    intact = _is_intact(latch)
    unread = any(reading.condition is Condition.UNREAD for _, reading in missing)
    if not missing or (intact and len(missing) == 1 and not unread):
        return None
    names = [name for name, _ in missing]
    whys = "; ".join(f"{name} is away ({reading.why})" for name, reading in missing)
    doubt = "" if intact else "no intact latch here, and "
    way_out = f"it is known when {(' or ' if intact else ' and ').join(names)} answers"
    return Unknown(doubt + whys, way_out)
