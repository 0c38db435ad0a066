import gc
import secrets
import subprocess
import sys
import warnings
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import gevent
import psycopg
import pytest
from orchestrator.sql.connection import check_wait, connect, conninfo, encoding_problem, pooled
from orchestrator.sql.database import Database, PostgresSettings
from orchestrator.sql.errors import WrongEncoding
from orchestrator.sql.events.copy_text import copy_row
from orchestrator.sql.events.event_writer import EventWriter
from orchestrator.sql.schema.migrator import migrate
from orchestrator.sql.schema.partitions import IdRate, keep_ahead
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from .conftest import Wire
from .poolers import pgbouncer

LATE = """
import gevent
import psycopg
from gevent import monkey
monkey.patch_all()
from orchestrator.sql.connection import check_wait
check_wait()
"""


def test_what_the_url_says_stays_and_our_limits_fill_the_gaps() -> None:
    given = conninfo_to_dict(
        conninfo("postgres://u@h/d?sslmode=verify-full&sslrootcert=/ca&connect_timeout=9")
    )

    assert given["sslmode"] == "verify-full"
    assert given["sslrootcert"] == "/ca"
    assert given["connect_timeout"] == "9"
    assert given["tcp_user_timeout"] == "15000"


@pytest.mark.db
def test_of_several_hosts_the_one_that_takes_writes_is_used(pg_url: str) -> None:
    there = conninfo_to_dict(pg_url)
    hosts = quote(f"/nowhere,{there['host']}", safe="")
    more = f"host={hosts}&port=5432,{there['port']}&target_session_attrs=read-write"

    with connect(f"postgresql://{there['user']}@/{there['dbname']}?{more}") as connection:
        assert connection.info.host == there["host"]


def test_waiting_lets_other_greenlets_run() -> None:
    check_wait()


@pytest.mark.subprocess
def test_psycopg_imported_before_gevent_is_noticed() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LATE],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert "psycopg was imported before gevent" in done.stderr


HOSTILE = {
    "client_encoding": "latin1",
    "standard_conforming_strings": "off",
    "datestyle": "SQL, DMY",
    "timezone": "Asia/Kathmandu",
    "intervalstyle": "sql_standard",
    "statement_timeout": "50ms",
    "lock_timeout": "1ms",
    "idle_in_transaction_session_timeout": "50ms",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "quote_all_identifiers": "on",
    "row_security": "off",
}


@pytest.fixture
def hostile_url(pg_url: str) -> str:
    """A database whose settings for sessions are as unlike ours as can be."""
    with connect(pg_url) as connection:
        name = connection.info.dbname
        for setting, value in HOSTILE.items():
            connection.execute(f"ALTER DATABASE {name} SET {setting} = '{value}'".encode())
    return f"{pg_url}&client_encoding=latin1&options=-cstandard_conforming_strings%3Doff"


@pytest.mark.db
@pytest.mark.parametrize("setting", HOSTILE)
def test_no_setting_of_role_database_or_url_reaches_a_session_of_ours(
    hostile_url: str, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "SQL_ASCII")
    with psycopg.connect(hostile_url) as theirs, connect(hostile_url) as ours:
        shown = [
            connection.execute(f"SHOW {setting}".encode()).fetchone()
            for connection in (theirs, ours)
        ]

    assert shown[0] != shown[1]


@pytest.mark.db
def test_text_and_times_come_back_as_they_were_stored(hostile_url: str) -> None:
    with connect(hostile_url) as connection:
        row = connection.execute(
            rb"SELECT '\', %s, '2026-01-31T09:30Z'::timestamptz", ["stop → now"]
        ).fetchone()

    assert row == ("\\", "stop → now", datetime(2026, 1, 31, 9, 30, tzinfo=UTC))


@pytest.mark.db
def test_migration_storing_and_partitions_work_under_settings_that_are_not_ours(
    hostile_url: str,
) -> None:
    with connect(hostile_url) as connection:
        migrate(connection)
        connection.execute("SELECT setval('events_id_seq', 50000000)")
    database = Database(PostgresSettings(), url=hostile_url)
    with closing(database), closing(EventWriter(database)) as writer:
        database.open()
        writer.claim(instance="one", host="here", pid=1, stale_after_s=10)
        [(first, _)] = writer.take_ids(1)
        writer.store(copy_row(first, "a.b", "→", "2026-01-31T09:30:00.123Z", b'{"p": "\xc3\xa9"}'))
        made = keep_ahead(database, IdRate())

        assert made
        assert database.rows(b"SELECT source, payload->>'p' FROM events") == [("→", "é")]


@pytest.mark.db
@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "WIN1252", "UTF8"])
def test_a_database_in_another_encoding_is_refused_by_name(pg_url: str, encoding: str) -> None:
    other = f"other_{secrets.token_hex(4)}"
    with connect(pg_url) as admin:
        create = f"CREATE DATABASE {other} ENCODING '{encoding}' TEMPLATE template0 LOCALE 'C'"
        admin.execute(create.encode())
        with connect(make_conninfo(pg_url, dbname=other)) as connection:
            problem = encoding_problem(connection)
            refused = raises(WrongEncoding, lambda: migrate(connection))
        admin.execute(f"DROP DATABASE {other}".encode())

    assert refused is (encoding != "UTF8")
    assert (problem or "").startswith(f"the database's encoding is {encoding}," if refused else "")


def raises(kind: type[Exception], call: Callable[[], object]) -> bool:
    try:
        call()
    except kind:
        return True
    return False


@pytest.mark.db
def test_a_pooler_is_noticed_at_the_connect(pg_url: str, wire: Wire, tmp_path: Path) -> None:
    with connect(pg_url) as direct:
        assert (pooled(direct), direct.prepare_threshold) == (False, 5)

    with pgbouncer(tmp_path, wire.url, servers=2) as url, connect(url) as connection:
        assert (pooled(connection), connection.prepare_threshold) == (True, None)


@pytest.mark.db
def test_behind_a_pooler_each_transaction_has_our_ways_of_writing_text_and_times(
    hostile_url: str, wire: Wire, tmp_path: Path
) -> None:
    shown = b"SELECT '\\', current_setting('timezone'), '2026-01-31T09:30Z'::timestamptz::text"

    with (
        pgbouncer(tmp_path, wire.url, servers=1) as url,
        psycopg.connect(url, autocommit=True) as other,
        connect(url) as ours,
    ):
        seen = []
        for _ in range(5):  # the one session to the server changes hands
            other.execute("SELECT set_config('timezone', 'Asia/Tokyo', false)")
            seen.append(ours.execute(shown).fetchone())

    assert hostile_url
    assert seen == [("\\", "UTC", "2026-01-31 09:30:00+00")] * 5


@pytest.mark.db
def test_a_greenlet_that_is_killed_while_it_connects_leaves_nothing_open(pg_url: str) -> None:
    with warnings.catch_warnings(action="ignore"):
        gc.collect()  # what earlier tests left is not this one's

    for turn in range(60):
        greenlet = gevent.spawn(connect, pg_url)
        gevent.sleep(0.0004 * (turn % 30))
        greenlet.kill()
        if isinstance(greenlet.value, psycopg.Connection):
            greenlet.value.close()

    gc.collect()  # warns of a connection left open, which is an error here
