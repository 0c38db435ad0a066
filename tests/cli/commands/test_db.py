from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from ..conftest import Orc

pytestmark = pytest.mark.db


def test_migrate_creates_what_is_missing_and_then_has_nothing_to_do(orc: Orc, pg_url: str) -> None:
    first = orc("db", "migrate", PG_URL=pg_url)
    second = orc("db", "migrate", PG_URL=pg_url)

    assert first.code == second.code == 0
    assert "0001_tables" in first.out
    assert (second.out, second.err) == ("", "nothing to do\n")


def test_status_tells_what_is_pending_by_its_exit_code(orc: Orc, pg_url: str) -> None:
    before = orc("db", "status", PG_URL=pg_url)
    orc("db", "migrate", PG_URL=pg_url)
    after = orc("db", "status", "-o", "json", PG_URL=pg_url)

    assert before.code == 1
    assert "pending" in before.out
    assert after.code == 0
    assert {item["state"] for item in after.json["items"]} == {"applied"}


def test_a_table_of_another_shape_is_exit_code_two(orc: Orc, pg_url: str) -> None:
    orc("db", "migrate", PG_URL=pg_url)
    with psycopg.connect(pg_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE agents DROP COLUMN last_error")

    done = orc("db", "status", PG_URL=pg_url)

    assert done.code == 2
    assert "column agents.last_error is missing" in done.err


def test_what_keeps_a_migration_from_being_applied_is_listed(orc: Orc, pg_url: str) -> None:
    with psycopg.connect(pg_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE events (id text PRIMARY KEY, type text)")

    refused = orc("db", "migrate", PG_URL=pg_url)
    told = orc("db", "status", PG_URL=pg_url)

    assert refused.code != 0
    assert "orchestrator db status" in refused.err
    assert told.code == 2
    assert "pending" in told.out
    assert "column events.id is text, not bigint" in told.err
    assert "column events.payload is missing" in told.err
    assert "agents" not in told.err, "a missing table is created"
    assert "db migrate" not in told.err, "it would be refused"


def with_events(orc: Orc, pg_url: str, folder: Path) -> None:
    (folder / "supervisor.toml").write_text('[retention]\nheartbeat = "1d"\n')
    orc("db", "migrate", PG_URL=pg_url)
    old = datetime.now(UTC) - timedelta(days=2)
    with psycopg.connect(pg_url, autocommit=True) as connection:
        for event_type, moment in (("heartbeat", old), ("risk.x", old), ("heartbeat", None)):
            connection.execute(
                "INSERT INTO events (type, ts) VALUES (%s, coalesce(%s, now()))",
                [event_type, moment],
            )


def types_left(pg_url: str) -> list[str]:
    with psycopg.connect(pg_url) as connection:
        return [row[0] for row in connection.execute("SELECT type FROM events ORDER BY 1")]


def test_prune_deletes_what_is_too_old(orc: Orc, pg_url: str, tmp_path: Path) -> None:
    with_events(orc, pg_url, tmp_path)

    done = orc("db", "prune", "-o", "json", PG_URL=pg_url)

    assert done.json["items"] == [{"type": "heartbeat", "due": 1, "deleted": 1}]
    assert types_left(pg_url) == ["heartbeat", "risk.x"]


def test_a_dry_run_deletes_nothing(orc: Orc, pg_url: str, tmp_path: Path) -> None:
    with_events(orc, pg_url, tmp_path)

    done = orc("db", "prune", "--dry-run", PG_URL=pg_url)

    assert done.err.splitlines()[-1] == "1 event would be deleted"
    assert len(types_left(pg_url)) == 3


def test_a_database_that_is_away_is_exit_code_three(orc: Orc) -> None:
    done = orc("db", "status", PG_URL="postgresql://x@127.0.0.1:1/x")

    assert done.code == 3
    assert "next   see `orchestrator doctor`" in done.err


def test_a_wrong_database_is_exit_code_four(orc: Orc, pg_url: str) -> None:
    missing = urlsplit(pg_url)._replace(path="/missing").geturl()

    done = orc("db", "status", PG_URL=missing)

    assert done.code == 4


def test_size_is_told_by_day_and_type(orc: Orc, pg_url: str, tmp_path: Path) -> None:
    with_events(orc, pg_url, tmp_path)

    shown = orc("db", "size", PG_URL=pg_url)
    told = orc("db", "size", "-o", "json", PG_URL=pg_url)

    assert shown.code == told.code == 0
    assert "on disk in 5 partitions" in shown.err
    assert told.json["kind"] == "sizes"
    assert {(row["type"], row["rows"]) for row in told.json["items"]} == {
        ("heartbeat", 1),
        ("risk.x", 1),
    }
    assert all(row["bytes"] > 0 and len(row["day"]) == 10 for row in told.json["items"])


def test_a_dump_that_is_there_is_not_replaced_by_mistake(orc: Orc, tmp_path: Path) -> None:
    file = tmp_path / "old.dump"
    file.write_bytes(b"kept")

    done = orc("db", "dump", str(file))

    assert done.code == 2
    assert "already exists" in done.err
    assert "--force" in done.err
    assert file.read_bytes() == b"kept"


def test_a_dump_is_replaced_on_request(orc: Orc, pg_url: str, tmp_path: Path) -> None:
    file = tmp_path / "old.dump"
    file.write_bytes(b"old")

    done = orc("db", "dump", str(file), "--force", PG_URL=pg_url)

    assert done.code == 0, done.err
    assert file.read_bytes().startswith(b"PGDMP")
