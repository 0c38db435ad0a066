import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gevent
import psycopg
import pytest
from gevent.pool import Pool
from orchestrator.sql.connection import Connection, connect
from orchestrator.sql.database import Database, PostgresSettings
from orchestrator.sql.errors import Denied, SchemaError, StoreError, Unavailable
from psycopg.conninfo import make_conninfo
from pydantic import ValidationError
from quiet_clock import quiet_s
from structlog.testing import capture_logs

from .conftest import Wire
from .poolers import pgbouncer

pytestmark = pytest.mark.db

NOBODY = "postgresql://postgres@127.0.0.1:9/nothing"
OpenDatabase = Callable[..., Database]


def test_opening_without_a_server_never_waits(open_database: OpenDatabase) -> None:
    start = quiet_s()

    open_database(NOBODY)

    assert quiet_s() - start < 0.5


def test_without_a_server_a_call_says_so_soon(open_database: OpenDatabase) -> None:
    database = open_database(NOBODY)

    with pytest.raises(Unavailable, match="no connection to PostgreSQL"):
        database.rows(b"SELECT 1")

    health = database.health()
    assert not health.ok
    assert "refused" in health.message
    assert health.latency_ms is None


def test_health_tells_how_long_the_answer_took(database: Database) -> None:
    health = database.health()

    assert (health.ok, health.message) == (True, "ok")
    assert health.latency_ms is not None
    assert health.latency_ms > 0


def test_health_names_a_database_that_does_not_exist(
    open_database: OpenDatabase, pg_url: str
) -> None:
    url = urlsplit(pg_url)._replace(path="/nowhere").geturl()

    assert "does not exist" in open_database(url).health().message


def test_a_wrong_database_is_denied(open_database: OpenDatabase, pg_url: str) -> None:
    url = urlsplit(pg_url)._replace(path="/nowhere").geturl()

    with pytest.raises(Denied):
        open_database(url).connect_writer("x")


def test_the_pool_finds_a_server_that_came_back(database: Database, postgres_server: Any) -> None:
    assert database.rows(b"SELECT 1") == [(1,)]

    postgres_server.kill()
    with pytest.raises(Unavailable):
        database.rows(b"SELECT 1")
    postgres_server.start()

    for _ in range(100):
        if database.health().ok:
            break
        gevent.sleep(0.1)
    assert database.rows(b"SELECT 1") == [(1,)]


def test_there_are_never_more_connections_than_the_setting_says(
    pg_url: str, open_database: OpenDatabase
) -> None:
    database = open_database(pg_url, pool_max=4)
    writer = database.connect_writer("writer")
    sleepers = [gevent.spawn(database.rows, b"SELECT pg_sleep(0.2)") for _ in range(12)]
    gevent.sleep(0.1)

    count = writer.execute(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND backend_type = 'client backend'"
    ).fetchone()

    gevent.joinall(sleepers, timeout=10, raise_error=True)
    writer.close()
    assert count is not None
    assert count[0] <= 4


def test_a_greenlet_ended_in_a_query_costs_its_connection_only(database: Database) -> None:
    job = gevent.spawn(database.rows, b"SELECT pg_sleep(60)")
    gevent.sleep(0.1)

    job.kill(timeout=2)

    assert database.rows(b"SELECT 1") == [(1,)]


def test_an_error_leaves_the_connection_usable(database: Database) -> None:
    for _ in range(30):
        with pytest.raises(SchemaError):
            database.rows(b"SELECT nothing FROM nowhere")

    assert database.rows(b"SELECT 1") == [(1,)]


def test_statements_are_never_prepared_for_a_pooler(
    pg_url: str, open_database: OpenDatabase
) -> None:
    database = open_database(pg_url, prepare_threshold=0, pool_max=2)

    for _ in range(10):
        database.rows(b"SELECT 1")

    assert database.rows(b"SELECT count(*) FROM pg_prepared_statements") == [(0,)]


def test_more_than_twenty_connections_are_refused() -> None:
    with pytest.raises(ValidationError):
        PostgresSettings(pool_max=21)


def test_a_password_is_not_shown() -> None:
    settings = PostgresSettings.model_validate({"url": "postgresql://a:secret@h/d"})

    assert "secret" not in repr(settings)


def test_a_url_that_is_none_is_refused() -> None:
    with pytest.raises(StoreError, match="not a PostgreSQL URL"):
        Database(PostgresSettings(), url="postgresql://[")


def test_behind_a_pooler_no_read_fails_for_its_prepared_statements(
    open_database: OpenDatabase, wire: Wire, tmp_path: Path
) -> None:
    with pgbouncer(tmp_path, wire.url, servers=3) as url, capture_logs() as logs:
        database = open_database(url, pool_max=12)
        readers = Pool(24)  # none waits long for a connection, however busy the machine is
        reads = readers.map(
            lambda n: database.rows(b"SELECT %(n)s::int, pg_sleep(0.005)", {"n": n}), range(240)
        )

    assert [rows[0][0] for rows in reads] == list(range(240))
    said = [line["event"] for line in logs if "pooler" in line["event"]]
    assert said == ["a pooler is in front: statements are not prepared any more"]


@pytest.mark.parametrize("statement", ["DEALLOCATE ALL", "PREPARE _pg3_0 AS SELECT 1"])
def test_a_pooler_that_is_noticed_late_costs_no_read(
    open_database: OpenDatabase, pg_url: str, statement: str
) -> None:
    database = open_database(pg_url, prepare_threshold=1)
    with database.pool.connection() as connection:  # as another client of a pooler would have done
        if statement.startswith("DEALLOCATE"):
            connection.execute("SELECT %s::int", [1])
        connection.execute(statement.encode(), prepare=False)

    with capture_logs() as logs:
        rows = [database.rows(b"SELECT %(n)s::int", {"n": 1}) for _ in range(3)]

    assert rows == [[(1,)]] * 3
    assert [line["event"] for line in logs].count(
        "a pooler is in front: statements are not prepared any more"
    ) <= 1


@pytest.fixture
def narrow_url(pg_url: str, admin: Connection) -> Iterator[str]:
    """A role that may have two connections."""
    role = f"narrow_{secrets.token_hex(4)}"
    admin.execute(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 2".encode())
    yield make_conninfo(pg_url, user=role)
    admin.execute(f"DROP ROLE {role}".encode())


def test_the_writers_connection_comes_before_reads(
    open_database: OpenDatabase, narrow_url: str
) -> None:
    database = open_database(narrow_url, pool_max=5)
    gevent.joinall([gevent.spawn(database.rows, b"SELECT pg_sleep(0.2)") for _ in range(4)])

    with database.connect_writer("writer") as writer:
        assert writer.execute("SELECT 1").fetchone() == (1,)
        assert database.rows(b"SELECT 2") == [(2,)]


def test_a_writer_for_whom_nobody_can_make_room_is_unavailable(
    open_database: OpenDatabase, narrow_url: str
) -> None:
    with connect(narrow_url), connect(narrow_url):
        database = open_database(narrow_url)

        with pytest.raises(Unavailable, match="no slot"):
            database.connect_writer("writer")


def test_reads_keep_their_limit_where_the_role_has_another(
    open_database: OpenDatabase, pg_url: str, admin: Connection
) -> None:
    name = admin.info.dbname
    admin.execute(f"ALTER DATABASE {name} SET statement_timeout = '20ms'".encode())
    admin.execute(f"ALTER DATABASE {name} SET lock_timeout = '1ms'".encode())

    database = open_database(pg_url)

    assert database.rows(b"SELECT pg_sleep(0.1) IS NULL, current_setting('lock_timeout')") == [
        (False, "5s")
    ]
    with pytest.raises(psycopg.errors.QueryCanceled), psycopg.connect(pg_url) as theirs:
        theirs.execute("SELECT pg_sleep(0.1)")
