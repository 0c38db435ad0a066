"""Pooled connections to a server that falls silent."""

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import psycopg
import pytest
from orchestrator.sql.database import Database
from orchestrator.sql.errors import TimedOut, Unavailable
from orchestrator.sql.limited_connection import LimitedConnection
from quiet_clock import quiet_s

pytestmark = pytest.mark.db


@pytest.fixture
def connection(pg_url: str) -> Iterator[LimitedConnection]:
    with LimitedConnection.connect(pg_url, autocommit=True) as connected:
        yield connected


def test_a_server_that_falls_silent_costs_the_connection(
    connection: LimitedConnection, postgres_server: Any
) -> None:
    connection.answer_within_s = 0.3

    with postgres_server.frozen():
        began = quiet_s()
        with pytest.raises(psycopg.OperationalError, match=r"no answer within 0\.3 s"):
            connection.execute("SELECT 1")
        assert quiet_s() - began < 2.0

    assert connection.closed


def test_the_limit_is_of_each_answer_and_not_of_all_together(
    connection: LimitedConnection,
) -> None:
    connection.answer_within_s = 5.0
    for _ in range(3):
        connection.execute("SELECT pg_sleep(0.2)")

    connection.answer_within_s = 0.4
    for _ in range(3):
        connection.execute("SELECT pg_sleep(0.2)")

    assert not connection.closed


def test_an_answer_that_has_arrived_is_taken_however_late_one_looks(
    connection: LimitedConnection,
) -> None:
    connection.answer_within_s = 0.0
    connection.pgconn.send_query(b"SELECT 7")

    gevent.sleep(0.3)
    results = connection.wait(psycopg.generators.fetch_many(connection.pgconn))

    assert results[0].get_value(0, 0) == b"7"


def refusal(call: Callable[[], Any]) -> str:
    with pytest.raises(Unavailable) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize(
    "read",
    [
        lambda database: refusal(lambda: database.rows(b"SELECT 1")),
        lambda database: refusal(database.bytes_by_class),
        lambda database: database.health().message,
    ],
)
def test_whatever_is_read_ends_within_its_limit_and_a_second(
    open_database: Callable[..., Database],
    pg_url: str,
    postgres_server: Any,
    read: Callable[[Database], str],
) -> None:
    database = open_database(pg_url, statement_timeout_ms=500)
    assert database.health().ok

    with postgres_server.frozen():
        began = quiet_s()
        assert "no answer within" in read(database)
        assert quiet_s() - began < 5.5

    def is_back() -> bool:
        return database.health().ok

    end = quiet_s() + 20
    while not is_back() and quiet_s() < end:
        gevent.sleep(0.05)
    assert is_back()


def test_the_servers_own_limit_comes_first(
    open_database: Callable[..., Database], pg_url: str
) -> None:
    database = open_database(pg_url, statement_timeout_ms=300)

    with pytest.raises(TimedOut):
        database.rows(b"SELECT pg_sleep(5)")

    assert database.rows(b"SELECT 1") == [(1,)]


def test_a_pipeline_and_a_copy_keep_to_the_limit_too(
    connection: LimitedConnection, postgres_server: Any
) -> None:
    connection.answer_within_s = 5.0
    with connection.cursor() as cursor, cursor.copy("COPY (SELECT 1) TO STDOUT") as copy:
        assert b"".join(copy) == b"1\n"
    connection.answer_within_s = 0.3

    with (
        postgres_server.frozen(),
        pytest.raises(psycopg.OperationalError),
        connection.cursor() as cursor,
        cursor.copy("COPY (SELECT 1) TO STDOUT") as copy,
    ):
        b"".join(copy)

    assert connection.closed
