"""Which ends engage the stop at the next start."""

from pathlib import Path

import pytest
from orchestrator.killswitch.guard.runs import Begun
from orchestrator.killswitch.guard.settings import GuardSettings
from orchestrator.killswitch.guard.unclean_ends import known_stop, trip_for, write_for_guard
from orchestrator.killswitch.intake import Origin, called
from orchestrator.killswitch.latch import GUARD_NAME, Latch
from orchestrator.protocol.targets import STOP_ALL, Level, Target
from orchestrator.protocol.trips import Stop
from orchestrator.protocol.ways import Way

T0 = 1_800_000_000.0
RUN = "01M8JCDEET712FAJXJC5W3GV93"


def stop_of(target: Target = STOP_ALL) -> Stop:
    return Stop().with_trip(called("why", "anna", target, Origin(Way.HTTP, T0)))


@pytest.mark.parametrize(
    ("on_silence", "limit", "ends", "way"),
    [
        ("hold", 0, 1, None),
        ("hold", 0, 20, None),
        ("hold", 1, 1, Way.UNCLEAN),
        ("hold", 3, 1, None),
        ("hold", 3, 2, None),
        ("hold", 3, 3, Way.UNCLEAN),
        ("hold", 3, 4, Way.UNCLEAN),
        ("stop", 0, 1, Way.GUARD),
        ("stop", 0, 20, Way.GUARD),
        ("stop", 3, 2, Way.GUARD),
        ("stop", 3, 3, Way.UNCLEAN),
    ],
)
def test_the_table(on_silence: str, limit: int, ends: int, way: Way | None) -> None:
    settings = GuardSettings.model_validate({"on_silence": on_silence, "unclean_ends": limit})

    trip = trip_for(Begun("new", RUN, ends), settings, Stop(), T0)

    assert (trip and trip.way) == way
    if trip is not None:
        assert (trip.id, trip.target, trip.triggered_by) == (RUN, STOP_ALL, way)
    # An orderly end engages nothing, however many others there were before.
    assert trip_for(Begun("new", None, ends), settings, Stop(), T0) is None
    # Where all is halted there is nothing to add; where a part is, there is.
    assert trip_for(Begun("new", RUN, ends), settings, stop_of(), T0) is None
    part = stop_of(Target(Level.REDUCE, "group:execution"))
    again = trip_for(Begun("new", RUN, ends), settings, part, T0)
    assert (again is None) == (trip is None)
    # What a person has released stays so.
    released = Stop().with_release(RUN, "2026-01-31T09:30:00.000Z")
    assert trip_for(Begun("new", RUN, ends), settings, released, T0) is None


def test_the_reason_says_how_often() -> None:
    settings = GuardSettings(unclean_ends=2)

    trip = trip_for(Begun("new", RUN, 2), settings, Stop(), T0)

    assert trip is not None
    assert trip.reason == "the daemon has ended without saying so, 2 times within 15 minutes"


def test_the_trip_is_where_the_daemon_reads_before_its_first_permit(tmp_path: Path) -> None:
    before = called("silence", "guard", Target(Level.REDUCE), Origin(Way.GUARD, T0))
    write_for_guard(tmp_path, before)
    trip = called("why", "unclean", STOP_ALL, Origin(Way.UNCLEAN, T0))

    write_for_guard(tmp_path, trip)

    assert {known.id for known in known_stop(tmp_path).trips} == {before.id, trip.id}


def test_the_latch_counts_as_well(tmp_path: Path) -> None:
    Latch(tmp_path).write(stop_of(), resolved=True)

    assert known_stop(tmp_path).stops_all


def test_damaged_slots_are_left_as_they_are(tmp_path: Path) -> None:
    (tmp_path / GUARD_NAME).write_bytes(b"damaged")

    write_for_guard(tmp_path, called("why", "guard", STOP_ALL, Origin(Way.GUARD, T0)))

    assert (tmp_path / GUARD_NAME).read_bytes() == b"damaged"
    assert Latch(tmp_path).read_guard().damage
