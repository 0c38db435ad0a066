from pathlib import Path

import msgspec
import pytest
from orchestrator.actors.killswitch import KillswitchState, Trip
from orchestrator.actors.latch import Latch, LatchUnreadable
from orchestrator.runtime._guard_entry import write_latch

STATE = KillswitchState().trip(Trip("t1", "why", "anna", "2026-01-31T09:30:00.000Z"))


def test_what_was_written_is_read_by_the_next_one(tmp_path: Path) -> None:
    Latch(tmp_path / "latch").write(STATE)

    assert Latch(tmp_path / "latch").read() == STATE


def test_a_latch_that_was_never_written_is_no_error(tmp_path: Path) -> None:
    assert Latch(tmp_path / "latch").read() is None


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "latch"
    latch = Latch(path)
    latch.write(STATE)
    good = path.read_bytes()

    for position in range(len(good)):
        for bit in range(8):
            bad = bytearray(good)
            bad[position] ^= 1 << bit
            path.write_bytes(bad)

            with pytest.raises(LatchUnreadable):
                latch.read()


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "latch"
    latch = Latch(path)
    latch.write(STATE)
    good = path.read_bytes()

    for length in range(len(good)):
        path.write_bytes(good[:length])

        with pytest.raises(LatchUnreadable):
            latch.read()


def test_a_latch_that_cannot_be_read_at_all_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "latch").mkdir()

    with pytest.raises(LatchUnreadable):
        Latch(tmp_path / "latch").read()


def test_a_disk_that_refuses_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Latch(tmp_path / "missing" / "latch").write(STATE)


def guard_writes(latch: Latch, trip: Trip) -> None:
    write_latch(latch.guard_path, msgspec.to_builtins(trip))


def test_a_trip_of_the_guard_waits_until_it_is_in_force(tmp_path: Path) -> None:
    latch = Latch(tmp_path / "killswitch.latch")
    trip = Trip("t2", "silence", "guard", "2026-01-31T09:30:00.000Z")
    guard_writes(latch, trip)
    assert latch.read_guard() == trip

    latch.write(STATE)
    assert latch.read_guard() == trip
    latch.write(STATE.trip(trip))

    assert latch.read_guard() is None
    assert latch.read() == STATE.trip(trip)


def test_a_damaged_trip_of_the_guard_is_no_trip_forgotten(tmp_path: Path) -> None:
    latch = Latch(tmp_path / "killswitch.latch")
    latch.guard_path.write_bytes(b"damaged")

    with pytest.raises(LatchUnreadable, match=r"killswitch\.guard"):
        latch.read_guard()
    latch.write(KillswitchState())
    assert latch.guard_path.exists()
    latch.write(STATE)

    assert not latch.guard_path.exists()
