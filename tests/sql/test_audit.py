"""The audit table on a real PostgreSQL: added to, never changed."""

import psycopg
import pytest
from orchestrator.sql.audit import AuditRow, AuditTable
from orchestrator.sql.connection import Connection
from orchestrator.sql.database import Database

pytestmark = pytest.mark.db

AT = "2026-01-31T09:30:00.123Z"


def row(number: int, **fields: object) -> AuditRow:
    return AuditRow(f"01J{number:023}", AT, **{"action": "agent.stop", **fields})  # type: ignore[arg-type] # the fields are the test's


def test_a_row_comes_back_as_it_was_stored(database: Database) -> None:
    table = AuditTable(database)
    full = row(
        1,
        outcome="refused",
        actor="anna",
        role="tripper",
        address="::1",
        target="dev-1",
        reason="why",
        was="RUNNING",
        became="STOPPED",
        trip_id="t",
        receipts={"halted_s": {"dev-1": 0.1}},
        detail="d",
        request_id="r",
        count=3,
    )

    table.insert([full, row(2)])

    assert table.page(limit=10) == [row(2), full]


def test_a_row_that_is_there_is_stored_once_and_stays(database: Database) -> None:
    table = AuditTable(database)
    table.insert([row(1, reason="first")])

    refused = table.insert([row(1, reason="second"), row(2)])

    assert refused == []
    assert [one.reason for one in table.page(limit=10)] == [None, "first"]


def test_pages_go_backwards_and_filter_by_action(database: Database) -> None:
    table = AuditTable(database)
    table.insert([row(n, action="killswitch.engage" if n % 2 else "agent.stop") for n in range(6)])

    first = table.page(limit=2, action="agent.stop")
    rest = table.page(limit=9, action="agent.stop", before=first[-1].id)

    assert [one.id for one in (*first, *rest)] == [row(n).id for n in (4, 2, 0)]


def test_a_row_that_postgresql_refuses_holds_no_other_up(database: Database) -> None:
    table = AuditTable(database)

    refused = table.insert([row(1), row(2, count=2**40), row(3)])

    assert refused == [row(2, count=2**40)]
    assert table.page(limit=10) == [row(3), row(1)]
    assert [one.table for one in database.refusals.report()] == ["orchestrator_audit"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE orchestrator_audit SET reason = 'another'",
        "DELETE FROM orchestrator_audit",
        "TRUNCATE orchestrator_audit",
    ],
)
def test_no_row_is_changed_or_removed_not_even_by_the_owner(
    database: Database, admin: Connection, statement: str
) -> None:
    AuditTable(database).insert([row(1)])

    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        admin.execute(statement.encode())

    assert admin.execute("SELECT count(*) FROM orchestrator_audit").fetchone() == (1,)
