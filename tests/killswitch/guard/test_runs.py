"""Runs that ended without saying so leave a trace, whatever ended them."""

import errno
from pathlib import Path

import pytest
from orchestrator.killswitch.guard.runs import RUNS_NAME, WINDOW_S, Runs

T0 = 1_800_000_000.0


def test_the_first_run_of_all_finds_nothing(tmp_path: Path) -> None:
    begun = Runs(tmp_path).begin(T0)

    assert (begun.unclean, begun.ends, len(begun.run)) == (None, 0, 26)


def test_an_orderly_end_is_none_of_them(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    runs.begin(T0)
    runs.end()

    assert Runs(tmp_path).begin(T0 + 1).unclean is None


def test_an_end_that_was_not_noted_is_found_by_the_next_start(tmp_path: Path) -> None:
    first = Runs(tmp_path).begin(T0)

    second = Runs(tmp_path).begin(T0 + 1)

    assert (second.unclean, second.ends) == (first.run, 1)
    assert second.run != first.run


def test_ends_add_up_over_orderly_ones_in_between(tmp_path: Path) -> None:
    Runs(tmp_path).begin(T0)
    orderly = Runs(tmp_path)
    assert orderly.begin(T0 + 1).ends == 1
    orderly.end()
    assert Runs(tmp_path).begin(T0 + 2).ends == 1

    assert Runs(tmp_path).begin(T0 + 3).ends == 2


def test_ends_count_for_a_quarter_of_an_hour(tmp_path: Path) -> None:
    assert WINDOW_S == 15 * 60
    starts = [0.0, 1.0, 2.0, 1.0 + WINDOW_S, 2.5 + WINDOW_S]

    assert [Runs(tmp_path).begin(T0 + start).ends for start in starts] == [0, 1, 2, 3, 2]


def test_a_clock_that_was_set_back_makes_no_end_last_longer(tmp_path: Path) -> None:
    Runs(tmp_path).begin(T0)
    assert Runs(tmp_path).begin(T0 + 86_400).ends == 1

    assert Runs(tmp_path).begin(T0).ends == 2

    runs = Runs(tmp_path)
    assert runs.begin(T0 + WINDOW_S + 1).ends == 1


@pytest.mark.parametrize("damage", [b"", b"garbage", b"\0" * 8192])
def test_a_record_that_cannot_be_read_counts_as_an_end(tmp_path: Path, damage: bytes) -> None:
    Runs(tmp_path).begin(T0)
    (tmp_path / RUNS_NAME).write_bytes(damage)

    begun = Runs(tmp_path).begin(T0 + 1)

    assert begun.unclean is not None
    assert begun.ends == 1


def test_a_write_that_was_cut_off_counts_as_an_end(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    runs.begin(T0)
    runs.end()
    with (tmp_path / RUNS_NAME).open("r+b") as file:
        file.seek(20)
        file.write(b"torn")

    assert Runs(tmp_path).begin(T0 + 1).ends == 1


def test_a_disk_that_refuses_is_said(tmp_path: Path) -> None:
    runs = Runs(tmp_path / "missing")

    begun = runs.begin(T0)

    assert begun.ends == 0
    assert runs.trouble.startswith(f"the run is not noted: [Errno {errno.ENOENT}]")
    (tmp_path / "missing").mkdir()
    runs.end()
    assert runs.trouble == ""
