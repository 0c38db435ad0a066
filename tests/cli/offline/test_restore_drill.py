"""A dump that is whole, one that is not, and one with nothing to compare it with."""

from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from orchestrator.cli.doctor.check_results import CheckResult, Level
from orchestrator.cli.offline.postgres_programs import run_program
from orchestrator.cli.offline.restore_drill import drill
from orchestrator.sql.connection import connect
from orchestrator.sql.schema.migrator import migrate

pytestmark = [pytest.mark.db, pytest.mark.subprocess, pytest.mark.slow]


GAP = 250


def execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


def insert(url: str, count: int) -> None:
    some = f"SELECT 'strategy.x' FROM generate_series(1, {count})"
    execute(url, f"INSERT INTO events (type) {some}")


@pytest.fixture
def dump(pg_url: str, tmp_path: Path) -> Path:
    """Of a database with events 1 to 500, and no event GAP."""
    with closing(connect(pg_url)) as connection:
        migrate(connection)
    insert(pg_url, 500)
    execute(pg_url, f"DELETE FROM events WHERE id = {GAP}")
    file = tmp_path / "orchestrator.dump"
    run_program("pg_dump", pg_url, "--format=custom", "--no-owner", f"--file={file}")
    return file


def levels(results: list[CheckResult]) -> dict[str, Level]:
    return {result.name: result.level for result in results}


def test_a_whole_dump_is_restored_and_compared(dump: Path, pg_url: str) -> None:
    insert(pg_url, 30)  # after the dump: not missing in it

    results = drill(dump, pg_url)

    assert {*levels(results).values()} == {Level.OK}, results
    said = {result.name: result.said for result in results}
    assert said["events"] == "499 events, 1 to 500"
    assert said["last event"].startswith("500: strategy.x at ")


def test_events_that_were_pruned_since_are_no_fault(dump: Path, pg_url: str) -> None:
    execute(pg_url, "DELETE FROM events WHERE id < 100")

    results = drill(dump, pg_url)

    assert levels(results)["events"] is Level.OK
    assert "99 of them pruned since" in next(one.said for one in results if one.name == "events")


def test_an_event_that_the_dump_lacks_is_critical(dump: Path, pg_url: str) -> None:
    execute(pg_url, f"INSERT INTO events (id, type) VALUES ({GAP}, 'strategy.x')")

    assert levels(drill(dump, pg_url))["events"] is Level.CRITICAL


def test_another_last_event_than_the_databases_is_critical(dump: Path, pg_url: str) -> None:
    execute(pg_url, "UPDATE events SET type = 'other' WHERE id = 500")

    assert levels(drill(dump, pg_url))["last event"] is Level.CRITICAL


def test_a_file_that_is_no_dump_is_critical(pg_url: str, tmp_path: Path) -> None:
    broken = tmp_path / "broken.dump"
    broken.write_bytes(b"PGDMP but not really")

    assert levels(drill(broken, pg_url)) == {"restore": Level.CRITICAL}


def test_without_a_database_the_dump_is_restored_all_the_same(dump: Path) -> None:
    results = drill(dump, None)

    assert levels(results) == {"restore": Level.OK, "tables": Level.OK, "events": Level.UNKNOWN}
