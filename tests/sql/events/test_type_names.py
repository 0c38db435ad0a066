import psycopg
import pytest
from orchestrator.sql.connection import connect
from orchestrator.sql.events import type_names
from orchestrator.sql.events.type_names import rename_type
from orchestrator.sql.schema.migrator import migrate

pytestmark = pytest.mark.db


@pytest.fixture
def url(pg_url: str) -> str:
    with connect(pg_url) as connection:
        migrate(connection)
    return pg_url


def types(url: str) -> list[str]:
    with psycopg.connect(url, autocommit=True) as connection:
        return [row[0] for row in connection.execute("SELECT type FROM events ORDER BY id")]


def renamed(url: str, rows: list[tuple[str, str]], old: str, new: str) -> tuple[int, int]:
    with connect(url) as connection:
        for event_type, payload in rows:
            statement = "INSERT INTO events (type, payload) VALUES (%s, %s)"
            connection.execute(statement, (event_type, payload))
        done = [*rename_type(connection, old, new)]
    return sum(one.seen for one in done), sum(one.renamed for one in done)


def test_a_type_gets_fields_of_its_payload_into_its_name(url: str) -> None:
    rows = [("1m", '{"symbol": "AAPL"}'), ("1m", '{"symbol": "STLA"}'), ("5m", '{"symbol": "X"}')]

    assert renamed(url, rows, "1m", "data.market.{symbol}.1m") == (2, 2)
    assert types(url) == ["data.market.AAPL.1m", "data.market.STLA.1m", "5m"]


def test_a_row_without_the_field_keeps_its_type(url: str) -> None:
    rows = [("1m", "{}"), ("1m", '{"symbol": ""}'), ("1m", '{"symbol": "A"}'), ("1m", "[]")]

    assert renamed(url, rows, "1m", "data.market.{symbol}.1m") == (4, 1)
    assert types(url) == ["1m", "1m", "data.market.A.1m", "1m"]


def test_a_plain_name_needs_no_field(url: str) -> None:
    assert renamed(url, [("candidate", "{}")], "candidate", "strategy.candidate") == (1, 1)
    assert types(url) == ["strategy.candidate"]


def test_all_batches_are_done(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type_names, "BATCH", 3)

    assert renamed(url, [("a", "{}")] * 10, "a", "b") == (10, 10)
    assert types(url) == ["b"] * 10
