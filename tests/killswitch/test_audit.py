"""The audit trail on a real disk and a real PostgreSQL."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from orchestrator.killswitch.audit import AuditTrail
from orchestrator.killswitch.audit_file import PENDING
from orchestrator.runtime.linked import running
from orchestrator.sql.audit import AuditRow, AuditTable
from orchestrator.sql.database import Database

pytestmark = pytest.mark.db

Wait = Callable[..., None]


@contextmanager
def started(folder: Path, database: Database) -> Iterator[AuditTrail]:
    trail = AuditTrail(folder, AuditTable(database))
    try:
        with running("audit", trail.run):
            yield trail
    finally:
        trail.close()


def stored(database: Database) -> list[AuditRow]:
    """Oldest first."""
    return AuditTable(database).page(limit=1_000)[::-1]


def test_what_is_noted_is_stored_and_leaves_the_disk(tmp_path: Path, database: Database) -> None:
    with started(tmp_path, database) as trail:
        trail.note("agent.stop", actor="anna", target="dev-1", was="RUNNING", became="STOPPED")

        assert trail.settle(10)

        [row] = stored(database)
        assert (row.action, row.outcome, row.actor) == ("agent.stop", "done", "anna")
        assert (row.was, row.became, row.count) == ("RUNNING", "STOPPED", 1)
        assert trail.pending == 0
    assert (tmp_path / PENDING).stat().st_size == 0


def test_what_no_database_takes_is_cleaned_and_cut(tmp_path: Path, database: Database) -> None:
    with started(tmp_path, database) as trail:
        trail.note("x", reason="a\0b\ud800" + "c" * 1_000, actor="d" * 1_000)

        assert trail.settle(10)

    [row] = stored(database)
    assert row.reason is not None
    assert row.reason.startswith("a\ufffdb")
    assert (len(row.reason), len(row.actor or "")) == (500, 100)


def test_rows_wait_on_disk_while_postgresql_is_away_and_survive_a_restart(
    tmp_path: Path, database: Database, postgres_server: Any, wait_until: Wait
) -> None:
    postgres_server.stop()
    try:
        with started(tmp_path, database) as trail:
            for number in range(20):
                trail.note("agent.stop", target=str(number))
            path = tmp_path / PENDING
            wait_until(lambda: path.exists() and path.read_bytes().count(b"\n") == 20)
            assert not trail.settle(0.01)
        with started(tmp_path, database) as trail:
            wait_until(lambda: trail.pending == 20)
    finally:
        postgres_server.start()

    with started(tmp_path, database) as trail:
        trail.note("agent.start")
        wait_until(lambda: trail.pending == 0, limit_s=30)

    targets = [row.target for row in stored(database)]
    assert targets == [*map(str, range(20)), None]


def test_rows_that_were_stored_before_a_crash_are_not_stored_twice(
    tmp_path: Path, database: Database
) -> None:
    with started(tmp_path, database) as trail:
        trail.note("agent.stop")
        assert trail.settle(10)
    [row] = stored(database)

    (tmp_path / PENDING).write_bytes(msgspec.json.encode(row) + b"\n")

    with started(tmp_path, database) as trail:
        trail.note("agent.start")
        assert trail.settle(10)

    assert [one.action for one in stored(database)] == ["agent.stop", "agent.start"]


def test_a_disk_that_refuses_costs_no_row_while_postgresql_is_there(
    tmp_path: Path, database: Database
) -> None:
    (tmp_path / PENDING).mkdir()

    with started(tmp_path, database) as trail:
        trail.note("agent.stop")

        trail.settle(10)

        assert [one.action for one in stored(database)] == ["agent.stop"]


def test_a_row_that_postgresql_refuses_holds_no_other_up_and_stays_on_disk(
    tmp_path: Path, database: Database, wait_until: Wait
) -> None:
    with started(tmp_path, database) as trail:
        trail.note("first")
        trail.note("refused", count=2**40)
        trail.note("last")

        wait_until(lambda: len(stored(database)) == 2)
        wait_until(lambda: trail.pending == 1)
    assert [one.action for one in stored(database)] == ["first", "last"]
    assert b'"refused"' in (tmp_path / PENDING).read_bytes()


def test_attempts_that_are_counted_are_stored_at_the_latest_at_the_end(
    tmp_path: Path, database: Database
) -> None:
    with started(tmp_path, database) as trail:
        for _ in range(5):
            trail.note_often("unauthorized", alone=False, outcome="refused", address="::1")
    with started(tmp_path, database) as trail:
        trail.note("last")
        assert trail.settle(10)

    rows = [row for row in stored(database) if row.action == "unauthorized"]
    assert sum(row.count for row in rows) == 5
    assert len(rows) <= 2  # the minute may have ended in between
