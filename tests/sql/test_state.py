import pytest
from orchestrator.sql.database import Database
from orchestrator.sql.errors import RefusedRows
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


def test_what_is_not_json_is_refused(database: Database) -> None:
    with pytest.raises(RefusedRows):
        StateStore(database).put("a", b"{")
