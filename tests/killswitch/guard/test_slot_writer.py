"""The guard's slots hold a trip until the daemon has taken it."""

from pathlib import Path

from orchestrator.killswitch.guard.slot_writer import SlotWriter, slots_of
from orchestrator.killswitch.intake import Origin, called
from orchestrator.killswitch.slots import SlotFile
from orchestrator.protocol.document import read_document, write_document
from orchestrator.protocol.targets import STOP_ALL
from orchestrator.protocol.trips import Stop, Trip
from orchestrator.protocol.ways import Way

from .posts import until

BYTES = 8192


def trip(reason: str) -> Trip:
    return called(reason, "guard", STOP_ALL, Origin(Way.GUARD, 1_800_000_000.0))


def start(path: Path) -> tuple[SlotWriter, list[str]]:
    troubles: list[str] = []
    writer = SlotWriter(SlotFile(path, BYTES), troubles.append)
    writer.start()
    return writer, troubles


def test_the_disk_has_a_trip_once_its_event_is_set(tmp_path: Path) -> None:
    path, one = tmp_path / "slots", trip("one")
    writer, _ = start(path)

    assert writer.hold(one).wait(5.0)

    assert slots_of(SlotFile(path, BYTES)).trips == (one,)


def test_a_trip_that_was_taken_is_in_no_slot(tmp_path: Path) -> None:
    path, one, two = tmp_path / "slots", trip("one"), trip("two")
    writer, _ = start(path)
    assert writer.hold(one).wait(5.0)
    assert writer.hold(two).wait(5.0)

    writer.drop(one.id)

    assert writer.wait_done(5.0)
    bodies = SlotFile(path, BYTES).read().bodies
    assert [read_document(body).stop.trips for body in bodies] == [(two,), (two,)]


def test_what_another_guard_wrote_meanwhile_stays(tmp_path: Path) -> None:
    path, one, two = tmp_path / "slots", trip("one"), trip("two")
    writer, _ = start(path)
    assert writer.hold(one).wait(5.0)
    for _ in range(2):
        SlotFile(path, BYTES).write(write_document(Stop(trips=(two,))))

    writer.drop("unknown")

    assert writer.wait_done(5.0)
    assert {known.id for known in slots_of(SlotFile(path, BYTES)).trips} == {one.id, two.id}


def test_a_disk_that_refuses_is_said_once_and_tried_until_it_takes_the_trip(tmp_path: Path) -> None:
    path, one = tmp_path / "missing" / "slots", trip("one")
    writer, troubles = start(path)
    held = writer.hold(one)
    assert not held.wait(1.0)
    assert not writer.wait_done(0.1)
    assert len(troubles) == 1
    assert troubles[0].startswith("the stop is not on disk: [Errno 2]")

    path.parent.mkdir()

    assert held.wait(5.0)
    assert slots_of(SlotFile(path, BYTES)).trips == (one,)
    until(lambda: troubles[1:] == [""])
