"""The stop for a run that ended without saying so, found at the next start."""

from dataclasses import replace
from pathlib import Path

from ...protocol.document import read_document, write_document
from ...protocol.targets import STOP_ALL
from ...protocol.trips import Stop, Trip
from ...protocol.ways import Way
from ..intake import Origin, called
from ..latch import GUARD_NAME, GUARD_SLOT_BYTES, Latch
from ..readings import Reading
from ..slots import SlotFile
from .runs import WINDOW_S, Begun
from .settings import GuardSettings


def trip_for(begun: Begun, settings: GuardSettings, known: Stop, unix_s: float) -> Trip | None:
    """The trip, if there is to be one. Pure.

    Its id is the run's: the guard of that run makes the same one, if it survived it.

    Args:
        begun: what the start found.
        settings: when ends engage.
        known: what latch and guard's slots hold; where all is halted, or that trip was released,
            there is no other.
        unix_s: now.
    """
    too_often = 0 < settings.unclean_ends <= begun.ends
    if begun.unclean is None or not (too_often or settings.on_silence == "stop"):
        return None
    if known.stops_all or known.has_released(begun.unclean):
        return None
    reason = "the daemon has ended without saying so"
    if too_often:
        reason += f", {begun.ends} times within {WINDOW_S / 60:g} minutes"
    way = Way.UNCLEAN if too_often else Way.GUARD
    return replace(called(reason, way, STOP_ALL, Origin(way, unix_s)), id=begun.unclean)


def known_stop(folder: Path) -> Stop:
    """What latch and guard's slots hold. Blocks for a disk's time."""
    return _sets(Latch(folder).read()).union(slotted_stop(folder))


def slotted_stop(folder: Path) -> Stop:
    """What the guard's slots hold, or its file of before there were slots. Blocks likewise."""
    return _sets(Latch(folder).read_guard())


def write_for_guard(folder: Path, trip: Trip) -> None:
    """Put the trip into the guard's slots, where the daemon finds it before its first permit.

    Only while no guard runs: the file has one writer. Damaged slots are left as they are: they
    engage the stop by themselves. Blocks for a disk's time.

    Raises:
        OSError: the disk refused.
    """
    found = Latch(folder).read_guard()
    if not found.damage:
        slots = SlotFile(folder / GUARD_NAME, GUARD_SLOT_BYTES)
        slots.write(write_document(_sets(found).with_trip(trip)))


def _sets(reading: Reading) -> Stop:
    stop = Stop()
    for document in reading.documents:
        stop = stop.union(read_document(document).stop)
    return stop
