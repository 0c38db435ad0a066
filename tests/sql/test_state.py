import pytest
from orchestrator.sql.connection import Connection
from orchestrator.sql.database import Database
from orchestrator.sql.state import StateStore

pytestmark = pytest.mark.db


def test_a_key_is_written_and_written_again(database: Database) -> None:
    store = StateStore(database)

    store.put("regime_state", b'{"regime": "stable"}')
    updated_at = store.put("regime_state", b'{"regime": "volatile"}')

    row = store.get("regime_state")
    assert row is not None
    assert bytes(row.value) == b'{"regime": "volatile"}'
    assert row.updated_at == updated_at
    assert updated_at.endswith("Z")


def test_all_keys_come_in_order(database: Database) -> None:
    store = StateStore(database)

    store.put("b", b"1")
    store.put("a", b"null")

    assert [(row.key, bytes(row.value)) for row in store.load()] == [("a", b"null"), ("b", b"1")]


def test_an_unknown_key_is_none(database: Database) -> None:
    assert StateStore(database).get("nothing") is None


def test_what_is_not_json_is_set_aside(database: Database) -> None:
    assert StateStore(database).put("a", b"{") is None

    assert "invalid input syntax" in str(database.refusals.reason("orchestrator_state", "a"))


@pytest.mark.parametrize(
    "host",
    [
        "ALTER TABLE orchestrator_state ADD CONSTRAINT c CHECK (key <> 'k')",
        "ALTER TABLE orchestrator_state ADD CONSTRAINT c CHECK (octet_length(value::text) < 3)",
        "CREATE RULE r AS ON INSERT TO orchestrator_state DO INSTEAD NOTHING",
        "DROP TABLE orchestrator_state",
    ],
)
def test_a_value_that_is_refused_is_set_aside(
    database: Database, admin: Connection, host: str
) -> None:
    admin.execute(host.encode())

    assert StateStore(database).put("k", b'{"long": "value"}') is None

    assert [report.rows for report in database.refusals.report()] == [("k",)]


def test_bytes_that_are_no_text_are_set_aside(database: Database) -> None:
    store = StateStore(database)

    assert store.put("k", b'"\xff"') is None
    assert store.put("k", b'"ok"') is not None
    assert database.refusals.report() == ()
