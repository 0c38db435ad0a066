from orchestrator.actors.sources import (
    Run,
    SourceBalance,
    rejected_by_source,
    rows_by_source,
    source_of_each_row,
)

RUNS = (Run("data", 5, 1), Run("control", 1), Run("data", 2))


def balance(**counts: int) -> SourceBalance:
    names = [name for name in SourceBalance.__struct_fields__ if name != "source"]
    return SourceBalance(source="data", **{name: counts.get(name, 0) for name in names})


def test_runs_add_up_by_source() -> None:
    assert rows_by_source(RUNS) == {"data": 7, "control": 1}
    assert rejected_by_source(RUNS) == {"data": 1, "control": 0}
    assert [*source_of_each_row(RUNS)] == [*["data"] * 5, "control", *["data"] * 2]


def test_the_difference_is_what_is_missing_or_there_twice() -> None:
    whole = balance(
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
    assert balance(received=3, stored=2).difference == 1
    assert balance(received=3, stored=4).difference == -1
