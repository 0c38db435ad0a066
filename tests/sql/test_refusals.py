"""What is refused is set aside by itself; what is only in trouble is tried again."""

import pytest
from orchestrator.sql.errors import RefusedRows, StoreError, TimedOut, Unavailable
from orchestrator.sql.refusals import RETRY_REFUSED_S, Refusals
from structlog.testing import capture_logs

TABLE = "agents"


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Table:
    """Refuses the rows that it was told to."""

    def __init__(self, **refused: StoreError) -> None:
        self.refused = refused
        self.stored: list[str] = []
        self.calls = 0

    def put(self, rows: list[str]) -> None:
        self.calls += 1
        for row in rows:
            if (error := self.refused.get(row)) is not None:
                raise error
        self.stored += rows


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def refusals(clock: Clock) -> Refusals:
    return Refusals(clock)


def write(refusals: Refusals, table: Table, rows: str) -> list[str]:
    return refusals.write_rows(TABLE, {row: row for row in rows}, table.put, value=str)


@pytest.mark.parametrize("bad", ["a", "d", "g", "ag", "abcdefg"])
def test_only_the_refused_rows_are_set_aside(refusals: Refusals, bad: str) -> None:
    table = Table(**{row: RefusedRows("no") for row in bad})

    assert write(refusals, table, "abcdefg") == list(bad)

    assert sorted(table.stored) == [row for row in "abcdefg" if row not in bad]
    (report,) = refusals.report()
    assert (report.table, report.rows, report.reason) == (TABLE, tuple(bad), "no")
    assert refusals.totals == {TABLE: len(bad)}


def test_rows_that_nothing_refuses_take_one_call(refusals: Refusals) -> None:
    table = Table()

    assert write(refusals, table, "abcdefgh") == []

    assert table.calls == 1
    assert refusals.report() == ()


def test_a_row_set_aside_is_tried_again_after_a_minute(refusals: Refusals, clock: Clock) -> None:
    table = Table(a=RefusedRows("no"))
    write(refusals, table, "a")
    table.refused.clear()

    clock.now = RETRY_REFUSED_S - 1
    assert write(refusals, table, "a") == ["a"]
    clock.now = RETRY_REFUSED_S
    assert write(refusals, table, "a") == []

    assert table.stored == ["a"]
    assert refusals.reason(TABLE, "a") is None


def test_a_row_that_changes_is_tried_again_at_once(refusals: Refusals) -> None:
    def refuse() -> None:
        raise RefusedRows("too long")

    assert refusals.write(TABLE, "k", "long", refuse) is None
    assert refusals.write(TABLE, "k", "long", lambda: 1) is None
    assert refusals.write(TABLE, "k", "short", lambda: 1) == 1


def test_a_refusal_is_logged_once(refusals: Refusals, clock: Clock) -> None:
    table = Table(a=RefusedRows("no"))

    with capture_logs() as logs:
        for _ in range(3):
            write(refusals, table, "a")
            clock.now += RETRY_REFUSED_S

    assert [(entry["log_level"], entry["rows"]) for entry in logs] == [("warning", ["a"])]
    assert refusals.totals[TABLE] == 3


def test_without_a_connection_nothing_is_divided_or_set_aside(refusals: Refusals) -> None:
    table = Table(a=Unavailable("no server"))

    with pytest.raises(Unavailable):
        write(refusals, table, "abcd")

    assert table.calls == 1
    assert refusals.report() == ()


def test_a_row_that_takes_too_long_holds_up_no_other_and_is_tried_again(
    refusals: Refusals,
) -> None:
    table = Table(a=TimedOut("slow trigger", sqlstate="57014"), c=RefusedRows("no"))

    with pytest.raises(TimedOut):
        write(refusals, table, "abcd")

    assert sorted(table.stored) == ["b", "d"]
    assert [report.rows for report in refusals.report()] == [("c",)]


def test_a_password_that_is_wrong_now_is_no_refusal(refusals: Refusals) -> None:
    table = Table(a=StoreError("no entry in pg_hba.conf", sqlstate="28000"))

    with pytest.raises(StoreError):
        write(refusals, table, "ab")

    assert refusals.report() == ()


def test_the_report_names_table_rows_and_reason(refusals: Refusals) -> None:
    write(refusals, Table(a=RefusedRows("no")), "a")

    assert str(refusals.report()[0]) == "agents refuses 1 (a): no"
