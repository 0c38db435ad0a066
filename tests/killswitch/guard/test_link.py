"""What outlives the guard's incarnations."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from orchestrator.killswitch.guard.link import GuardLink
from orchestrator.killswitch.guard.orders import read_orders
from orchestrator.killswitch.guard.settings import GuardSettings
from orchestrator.killswitch.guard.unclean_ends import known_stop, write_for_guard
from orchestrator.killswitch.intake import Origin, called
from orchestrator.protocol.targets import STOP_ALL
from orchestrator.protocol.trips import Stop, Trip
from orchestrator.protocol.ways import Way

TRIP = called("why", "guard", STOP_ALL, Origin(Way.GUARD, 1_800_000_000.0))


class Line:
    """A link and the other end of its pipe."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.trips: list[Trip] = []
        self.link = GuardLink(
            redis_url="redis://x",
            folder=folder,
            settings=GuardSettings.model_validate(settings),
            on_trip=self.trips.append,
        )
        self._out = -1

    def connect(self) -> None:
        self._out, inner = os.pipe()
        self.link.connect(inner)

    def said(self) -> list[str]:
        return os.read(self._out, 65536).decode().splitlines()

    def close(self) -> None:
        self.link.disconnect()
        if self._out >= 0:
            os.close(self._out)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    line = Line(tmp_path)
    yield line
    line.close()


def test_each_new_guard_learns_all(line: Line) -> None:
    line.link.watch(7)
    line.link.watch(8)
    line.link.forget(7)
    line.link.set_halted(halted=True)

    line.connect()

    orders, *rest = line.said()
    assert read_orders(orders.encode()) == line.link.orders
    assert rest == ["halted 1", "group 8"]
    assert line.link.connected
    line.link.forget(8)
    assert line.said() == ["forget 8"]


def test_without_a_guard_it_says_nothing(line: Line) -> None:
    assert (line.link.connected, line.link.say("beat")) == (False, False)


def test_a_guard_that_does_not_read_holds_nothing_up(line: Line) -> None:
    line.connect()

    assert not all(line.link.say("x" * 1000) for _ in range(200))


def test_the_guard_drops_a_trip_once_the_latch_holds_it_or_its_release(line: Line) -> None:
    line.connect()
    line.said()
    line.link.tripped(TRIP)
    assert line.trips == [TRIP]

    line.link.settle(Stop())
    line.link.settle(Stop(trips=(TRIP,)))
    line.link.settle(Stop(trips=(TRIP,)))
    line.link.say("mark")

    assert line.said() == [f"taken {TRIP.id}", "mark"]
    line.link.tripped(TRIP)  # by a successor, from its slots
    assert line.said() == [f"taken {TRIP.id}"]
    line.link.settle(Stop())
    line.link.tripped(TRIP)
    line.link.settle(Stop().with_release(TRIP.id, TRIP.at))
    assert line.said() == [f"taken {TRIP.id}"]


def test_what_no_guard_could_be_told_is_said_to_the_next(line: Line) -> None:
    line.link.tripped(TRIP)
    line.link.settle(Stop(trips=(TRIP,)))
    line.connect()
    line.said()

    line.link.settle(Stop(trips=(TRIP,)))

    assert line.said() == [f"taken {TRIP.id}"]


def test_what_lies_in_the_guards_slots_at_the_start_is_dropped_once_the_latch_holds_it(
    line: Line, tmp_path: Path
) -> None:
    write_for_guard(tmp_path, TRIP)
    line.link.begin()
    line.connect()
    line.said()

    line.link.settle(Stop())
    line.link.say("mark")
    line.link.settle(Stop().with_release(TRIP.id, TRIP.at))

    assert line.said() == ["mark", f"taken {TRIP.id}"]


def test_an_orderly_end_engages_nothing_at_the_next_start(tmp_path: Path) -> None:
    for _ in range(2):
        line = Line(tmp_path, on_silence="stop", unclean_ends=1)
        line.link.begin()
        line.link.end()

    assert not known_stop(tmp_path).in_force


def test_the_end_of_the_run_before_engages_before_the_first_permit(tmp_path: Path) -> None:
    first = Line(tmp_path, on_silence="stop")
    first.link.begin()

    second = Line(tmp_path, on_silence="stop")
    second.link.begin()
    second.link.begin()

    [trip] = known_stop(tmp_path).trips
    assert trip.id == first.link.orders.run
    assert second.trips == [trip]


def test_too_many_unclean_ends_engage_under_hold(tmp_path: Path) -> None:
    for _ in range(3):
        line = Line(tmp_path, unclean_ends=3)
        line.link.begin()
        assert line.trips == []
    line = Line(tmp_path, unclean_ends=3)
    line.link.begin()

    assert [trip.way for trip in line.trips] == [Way.UNCLEAN]
    assert known_stop(tmp_path).trips == tuple(line.trips)


def test_a_disk_that_refuses_does_not_keep_the_stop(tmp_path: Path) -> None:
    Line(tmp_path, on_silence="stop").link.begin()
    (tmp_path / "killswitch.guard.draft").mkdir()

    line = Line(tmp_path, on_silence="stop")
    line.link.begin()

    assert [trip.way for trip in line.trips] == [Way.GUARD]


def test_the_hand_over_at_an_abandoned_end_is_orderly(tmp_path: Path) -> None:
    line = Line(tmp_path, on_silence="stop")
    line.link.begin()
    line.connect()
    line.said()

    line.link.abandon()

    assert line.said() == ["end"]
    after = Line(tmp_path, on_silence="stop")
    after.link.begin()
    assert after.trips == []
    line.close()


def test_children_carry_the_mark(line: Line) -> None:
    [(name, value)] = line.link.child_environment("quotes").items()

    assert f"{name}={value}" == f"{line.link.orders.mark}/quotes/"
    assert line.link.stragglers("quotes") == []
