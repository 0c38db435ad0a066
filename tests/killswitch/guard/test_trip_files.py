"""Which files of the data directory are trips, and how they are read."""

import os
import time
from pathlib import Path

import pytest
from orchestrator.killswitch.guard.trip_files import READ_BYTES, TripFile, TripFiles

ULID = "01M8JCDEET712FAJXJC5W3GV93"


@pytest.mark.parametrize("name", ["TRIP", "killswitch", f"TRIP.{ULID}"])
def test_a_file_is_found_once_for_as_long_as_it_is_there(tmp_path: Path, name: str) -> None:
    files = TripFiles(tmp_path)
    assert files.look() == []

    (tmp_path / name).write_text("fat finger\n")

    assert files.look() == [TripFile(name, b"fat finger\n")]
    assert files.look() == []
    (tmp_path / name).write_text("fat finger, seen by anna\n")
    assert files.look() == []
    (tmp_path / name).unlink()
    assert files.look() == []
    (tmp_path / name).write_text("again")
    assert files.look() == [TripFile(name, b"again")]


@pytest.mark.parametrize(
    "name",
    [
        f"TRIP.{ULID}.taken",
        "TRIPS",
        "TRIP.x",
        "trip",
        "killswitch.latch",
        "killswitch.guard",
        "runs",
    ],
)
def test_other_names_are_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("x")

    assert TripFiles(tmp_path).look() == []


def test_all_that_appear_together_are_found(tmp_path: Path) -> None:
    for name in ("killswitch", "TRIP", f"TRIP.{ULID}"):
        (tmp_path / name).write_text(name)

    found = TripFiles(tmp_path).look()

    assert [file.name for file in found] == ["TRIP", f"TRIP.{ULID}", "killswitch"]


def test_a_large_one_is_read_to_its_limit(tmp_path: Path) -> None:
    (tmp_path / "TRIP").write_bytes(b"x" * 1_000_000)

    [file] = TripFiles(tmp_path).look()

    assert file == TripFile("TRIP", b"x" * READ_BYTES)


def test_what_is_no_regular_file_is_said_and_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of root alone")
    (tmp_path / "TRIP").symlink_to(secret)
    (tmp_path / "killswitch").mkdir()
    os.mkfifo(tmp_path / f"TRIP.{ULID}")
    files = TripFiles(tmp_path)

    found = files.look()

    assert [file.name for file in found] == ["TRIP", f"TRIP.{ULID}", "killswitch"]
    assert {(file.data, file.ignored) for file in found} == {(b"", "not a regular file")}
    assert files.look() == []


def test_an_empty_file_is_given_time_for_its_text(tmp_path: Path) -> None:
    files, path = TripFiles(tmp_path), tmp_path / "TRIP"
    path.touch()
    now = time.time() + 50
    os.utime(path, (now, now))  # a clock ahead of ours delays nothing
    assert files.look() == [TripFile("TRIP")]
    path.unlink()
    assert files.look() == []

    path.touch()
    assert files.look() == []
    path.write_text("why")
    assert files.look() == [TripFile("TRIP", b"why")]


def test_an_empty_file_that_stays_empty_engages(tmp_path: Path) -> None:
    files, path = TripFiles(tmp_path), tmp_path / "TRIP"
    path.touch()
    past = time.time() - 0.11
    os.utime(path, (past, past))

    assert files.look() == [TripFile("TRIP")]


def test_a_file_that_may_not_be_read_counts(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    (tmp_path / "TRIP").write_text("x")
    (tmp_path / "TRIP").chmod(0)

    assert TripFiles(tmp_path).look() == [TripFile("TRIP")]


def test_a_folder_that_is_gone_holds_none(tmp_path: Path) -> None:
    assert TripFiles(tmp_path / "missing").look() == []
