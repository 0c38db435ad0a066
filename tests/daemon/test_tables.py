"""The tables at the start: ours, another daemon's, or not to be had."""

import socket
from collections.abc import Iterator

import pytest
from orchestrator.daemon.tables import Tables, TablesUnusable
from orchestrator.sql.connection import Connection, connect
from orchestrator.sql.database import Database, PostgresSettings
from pydantic import SecretStr

pytestmark = pytest.mark.db


def tables(url: str, instance: str = "one", told: list[str] | None = None) -> Tables:
    database = Database(PostgresSettings(url=SecretStr(url)))
    found = told if told is not None else []
    return Tables(database, instance=instance, on_unusable=found.append)


@pytest.fixture
def deaf_url() -> Iterator[str]:
    """A port where connections are taken and nobody ever answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"postgresql://u:p@127.0.0.1:{listener.getsockname()[1]}/x"


def test_an_empty_database_is_made_ready(pg_url: str) -> None:
    made = tables(pg_url)

    made.prepare()

    assert made.ready


def test_the_same_instance_takes_over_from_itself(pg_url: str) -> None:
    tables(pg_url).prepare()

    again = tables(pg_url)
    again.prepare()

    assert again.ready


def test_another_daemons_database_is_refused_with_advice(pg_url: str) -> None:
    tables(pg_url, "one").prepare()

    with pytest.raises(TablesUnusable, match=r"instance one .* Stop that one, or set PG_URL"):
        tables(pg_url, "two").prepare()


def without_audit(admin: Connection) -> None:
    """As a release before the audit trail left it."""
    admin.execute(
        "DROP TABLE orchestrator_audit CASCADE;"
        "DELETE FROM orchestrator_migrations WHERE name = '0009_audit'"
    )


def has_audit(admin: Connection) -> bool:
    return admin.execute("SELECT to_regclass('orchestrator_audit')").fetchone() != (None,)


def test_a_database_that_another_daemon_writes_to_keeps_its_schema(pg_url: str) -> None:
    tables(pg_url, "one").prepare()
    with connect(pg_url) as admin:
        without_audit(admin)

        with pytest.raises(TablesUnusable, match="instance one"):
            tables(pg_url, "two").prepare()
        assert not has_audit(admin)

        tables(pg_url, "one").prepare()
        assert has_audit(admin)


def test_who_cannot_use_the_tables_does_not_keep_the_claim(pg_url: str) -> None:
    tables(pg_url, "one").prepare()
    with connect(pg_url) as admin:
        admin.execute("UPDATE orchestrator_writer SET renewed_at = '-infinity'")
        admin.execute("UPDATE orchestrator_migrations SET name = '9999_newer' WHERE name ~ '^0001'")

        for instance in ("two", "three"):
            with pytest.raises(TablesUnusable, match="9999_newer"):
                tables(pg_url, instance).prepare()


def test_the_newest_event_says_until_when_a_daemon_received(pg_url: str) -> None:
    made = tables(pg_url)
    made.prepare()
    assert made.newest_at_ms == 0
    with connect(pg_url) as admin:
        admin.execute(
            "INSERT INTO events (id, type, ts) VALUES (7, 'a.b', '2026-01-31T09:30:00.123Z'),"
            " (6, 'a.b', '2026-01-31T10:00:00Z'), (8, 'a.b', 'infinity'),"
            " (4503599627370496, 'others.own', '2026-02-01T00:00:00Z')"
        )

    again = tables(pg_url)
    again.prepare()

    assert again.newest_at_ms == 1_769_851_800_123


def test_a_database_that_is_away_does_not_hinder_the_start() -> None:
    made = tables("postgresql://u:p@127.0.0.1:1/x")

    made.prepare()

    assert not made.ready
    assert "refused" in made.reason


def test_a_database_that_does_not_answer_does_not_hinder_the_start(
    deaf_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.daemon.tables.CONNECT_LIMIT_S", 0.1)
    made = tables(deaf_url)

    made.prepare()

    assert "no connection within" in made.reason


def test_what_is_found_out_later_is_told(pg_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.daemon.tables.RETRY_S", 0.01)
    tables(pg_url, "one").prepare()
    told: list[str] = []

    tables(pg_url, "two", told).keep_trying()

    assert "another daemon" in told[0]
