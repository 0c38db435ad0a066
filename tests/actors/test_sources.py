from collections import Counter

from orchestrator.actors.sources import (
    LANES,
    Books,
    Run,
    SourceBooks,
    append_run,
    code_of,
    lane_of_each_row,
    rejected_by_lane,
    rows_by_lane,
)


def source_books(**counts: int) -> SourceBooks:
    names = [name for name in SourceBooks.__struct_fields__ if name != "source"]
    return SourceBooks(source="data", **{name: counts.get(name, 0) for name in names})


def test_neighbouring_runs_of_a_lane_are_one() -> None:
    runs: list[Run] = []
    for run in (Run("data", 2, 1), Run("data", 3), Run("control", 0), Run("control", 1)):
        append_run(runs, run)

    assert runs == [Run("data", 5, 1), Run("control", 1)]
    assert rows_by_lane(runs) == {"data": 5, "control": 1}
    assert rejected_by_lane(runs).total() == 1
    assert [*lane_of_each_row(runs)] == [*["data"] * 5, "control"]


def test_a_lane_that_the_format_does_not_know_is_an_earlier_one() -> None:
    assert [code_of(lane) for lane in LANES] == [0, 1, 2, 3, 4]
    assert code_of("something") == 0


def test_stored_rows_are_neither_rejected_nor_moved_ones() -> None:
    books = Books()
    books.moving["data"] = 1
    books.note_refused("data")

    books.note_stored([[Run("data", 10, 2)], [Run("control", 1)]], Counter({"data": 1}))

    assert books.stored == {"data": 6, "control": 1}
    assert books.rejected["data"] == 3
    assert books.moving["data"] == 0


def test_the_difference_is_what_is_missing_or_there_twice() -> None:
    whole = source_books(
        carried=5,
        received=20,
        stored=10,
        rejected=1,
        journal=7,
        dropped=2,
        copies=2,
        echoes=2,
        aside=1,
    )

    assert whole.difference == 0
    assert source_books(received=3, stored=2).difference == 1
    assert source_books(received=3, stored=4).difference == -1
