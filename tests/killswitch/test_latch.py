import json
import zlib
from pathlib import Path

import pytest
from orchestrator.killswitch.intake import Origin, called
from orchestrator.killswitch.latch import (
    GUARD_NAME,
    GUARD_SLOT_BYTES,
    LATCH_NAME,
    SLOT_BYTES,
    Latch,
)
from orchestrator.killswitch.readings import Condition, Copy, Reading
from orchestrator.killswitch.resolve import resolve
from orchestrator.killswitch.slots import SLOTS, SlotFile
from orchestrator.protocol.document import read_document, write_document
from orchestrator.protocol.targets import Level, Target
from orchestrator.protocol.trips import Forgotten, Release, Stop, stop_of
from orchestrator.protocol.ways import Way
from stops import AT, LATER, ids, stop, trip

NOW = 1_769_851_800.0


def united(reading: Reading) -> Stop:
    known = Stop()
    for data in reading.documents:
        known = known.union(read_document(data).stop)
    return known


def settle(folder: Path) -> None:
    """As the guard does once the latch holds its trips."""
    for _ in range(SLOTS):
        SlotFile(folder / GUARD_NAME, GUARD_SLOT_BYTES).write(write_document(Stop()))


def test_a_latch_that_was_never_written_is_absent(tmp_path: Path) -> None:
    assert Latch(tmp_path).read() == Reading(Condition.ABSENT)
    assert Latch(tmp_path).read_guard() == Reading(Condition.ABSENT)


def test_what_was_written_is_read_by_the_next_one(tmp_path: Path) -> None:
    Latch(tmp_path).write(stop("A", released=("B",)), resolved=True)

    reading = Latch(tmp_path).read()

    assert united(reading) == stop("A", released=("B",))
    assert (reading.condition, reading.damage, reading.resolved) == (Condition.FOUND, (), True)
    assert (tmp_path / LATCH_NAME).stat().st_size == 2 * SLOT_BYTES


def test_an_older_slot_takes_no_release_back(tmp_path: Path) -> None:
    latch = Latch(tmp_path)
    latch.write(stop("A"), resolved=True)
    latch.write(stop(released=("A",)), resolved=True)

    assert len(latch.read().documents) == 2
    assert united(latch.read()) == stop(released=("A",))


def test_a_latch_says_whether_it_has_met_the_others(tmp_path: Path) -> None:
    latch = Latch(tmp_path)

    latch.write(stop("A"), resolved=False)
    assert latch.read().resolved is False
    latch.write(stop("A"), resolved=True)
    assert latch.read().resolved is True
    latch.write(stop("A"), resolved=False)
    assert latch.read().resolved is False  # the newest slot counts


@pytest.mark.parametrize("body", [b"", b"[]", b'{"hello": "world"}', b'{"enabled": false}'])
def test_a_whole_slot_that_holds_no_document_of_ours_is_damage(tmp_path: Path, body: bytes) -> None:
    latch = Latch(tmp_path)
    latch.write(stop("A"), resolved=True)
    SlotFile(tmp_path / LATCH_NAME, SLOT_BYTES).write(body)

    reading = latch.read()

    assert reading.damage == (body,)
    assert reading.why == "not a document of ours"
    assert united(reading) == stop("A")


def test_a_torn_slot_is_damage_and_says_so(tmp_path: Path) -> None:
    latch = Latch(tmp_path)
    latch.write(stop("A"), resolved=True)
    data = bytearray((tmp_path / LATCH_NAME).read_bytes())
    data[90] ^= 1
    (tmp_path / LATCH_NAME).write_bytes(data)

    reading = latch.read()

    assert reading.damage == (bytes(data[:SLOT_BYTES]),)
    assert "a slot does not hold" in reading.why


def test_the_guards_file_is_its_own(tmp_path: Path) -> None:
    latch = Latch(tmp_path)
    guards = SlotFile(tmp_path / GUARD_NAME, GUARD_SLOT_BYTES)
    guards.write(write_document(stop("G")))

    assert united(latch.read_guard()) == stop("G")
    assert latch.read() == Reading(Condition.ABSENT)


def test_a_damaged_guard_file_is_damage_until_it_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / GUARD_NAME).write_bytes(b"damaged")
    latch = Latch(tmp_path)

    assert latch.read_guard().damage == (b"damaged",)
    settle(tmp_path)

    assert latch.read_guard().damage == ()
    (kept,) = tmp_path.glob(f"{GUARD_NAME}.kept-*")
    assert kept.read_bytes() == b"damaged"


def test_a_disk_that_refuses_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Latch(tmp_path / "missing").write(Stop(), resolved=True)


# -- what was written before there were slots ----------------------------------------------------

TRIP = {"trip_id": "A", "reason": "why", "triggered_by": "anna", "at": AT}
OLD = {"enabled": True, "trips": [TRIP], "released_trips": ["B"], "released_at": LATER}


def write_old(path: Path, fields: object) -> None:
    body = json.dumps(fields).encode()
    path.write_bytes(b"%08x\n" % zlib.crc32(body) + body)


def test_a_latch_of_the_old_format_is_read_and_then_written_anew(tmp_path: Path) -> None:
    write_old(tmp_path / LATCH_NAME, OLD | {"revision": 7})
    latch = Latch(tmp_path)

    reading = latch.read()
    assert (reading.damage, reading.resolved) == ((), True)
    known = united(reading)
    assert [found.id for found in known.trips] == ["A"]
    assert known.releases == (Release("B", LATER),)
    latch.write(known, resolved=True)

    assert united(latch.read()) == known
    assert latch.read().damage == ()


def test_a_guards_file_of_the_old_format_is_its_trip(tmp_path: Path) -> None:
    write_old(tmp_path / GUARD_NAME, TRIP | {"triggered_by": "guard"})
    latch = Latch(tmp_path)

    known = united(latch.read_guard())
    assert [(found.id, found.triggered_by) for found in known.trips] == [("A", "guard")]
    assert known.stops_all
    settle(tmp_path)
    assert united(latch.read_guard()) == Stop()


def test_an_old_document_that_names_its_newest_trip_is_no_single_trip(tmp_path: Path) -> None:
    write_old(tmp_path / LATCH_NAME, OLD | {"revision": 7, "trip_id": "Z"})

    assert [found.id for found in united(Latch(tmp_path).read()).trips] == ["A"]


def test_every_flipped_bit_of_an_old_latch_is_damage(tmp_path: Path) -> None:
    path = tmp_path / LATCH_NAME
    write_old(path, OLD | {"revision": 7})
    good = path.read_bytes()

    for position in range(len(good)):
        bad = bytearray(good)
        bad[position] ^= 1 << position % 8
        path.write_bytes(bad)

        assert Latch(tmp_path).read().damage == (bytes(bad),)


@pytest.mark.parametrize("fields", [[], {}, "x", {"enabled": "yes", "revision": 1}])
def test_an_old_latch_that_says_nothing_is_damage_when_it_is_resolved(
    tmp_path: Path, fields: object
) -> None:
    write_old(tmp_path / LATCH_NAME, fields)
    origin = Origin(Way.PROCESS, NOW, new_id=ids())

    resolution = resolve({Copy.LATCH: Latch(tmp_path).read()}, origin)

    assert [made.triggered_by for made in resolution.made] == ["damage:latch"]


# -- room ----------------------------------------------------------------------------------------


def largest() -> Stop:
    """100 trips and 1,000 releases, each as large as it can be."""
    origin = Origin(Way.BUS, NOW)
    target = Target(Level.REDUCE, "agent:" + '"' * 512)
    trips = []
    for number in range(100):
        made = called("\x07" * 500, "\x07" * 100, target, origin)
        marks = {"alias": "\x07" * 100, "identity": "\x07" * 100}
        digests = tuple(f"{number:011x}{n:016x}" for n in range(4))
        trips.append(
            trip(
                made.id,
                reason=made.reason,
                triggered_by=made.triggered_by,
                target=target,
                way=Way.BUS,
                digests=digests,
                **marks,
            )
        )
    releases = [
        Release(
            origin.new_id(NOW),
            LATER,
            "日" * 100,
            "row:" + "f" * 32 + ":4294967295",
            tuple(f"{number:011x}{n:016x}" for n in range(4)),
        )
        for number in range(500)
    ]
    return stop_of(trips, releases, 2**53 - 1, forgotten=Forgotten(AT, 10**6))


def test_the_largest_stop_fits_into_a_slot_as_it_was_made(tmp_path: Path) -> None:
    latch, known = Latch(tmp_path), largest()
    latch.write(Stop(), resolved=True)
    inode = (tmp_path / LATCH_NAME).stat().st_ino

    latch.write(known, resolved=True)

    assert (tmp_path / LATCH_NAME).stat().st_ino == inode
    assert united(latch.read()) == known


def test_more_than_fits_is_held_as_well(tmp_path: Path) -> None:
    latch = Latch(tmp_path)
    latch.write(Stop(), resolved=True)
    known = stop_of([trip(f"T{number:05d}", reason="x" * 500) for number in range(2_000)])

    latch.write(known, resolved=True)

    assert united(latch.read()) == known
    assert (tmp_path / LATCH_NAME).stat().st_size > 2 * SLOT_BYTES
