import pytest
from orchestrator.sql.connection import Connection
from orchestrator.sql.schema.rename_tables import renamed_tables

pytestmark = pytest.mark.db


def tables(admin: Connection) -> set[str]:
    rows = admin.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {row[0] for row in rows}


def test_within_the_block_none_of_our_tables_is_there_and_then_they_are_gone(
    admin: Connection,
) -> None:
    admin.execute("CREATE TABLE theirs ()")

    with renamed_tables(admin):
        assert tables(admin) == {"theirs"}
        admin.execute("CREATE TABLE events ()")

    assert tables(admin) == {"theirs", "events"}


def test_after_a_failure_they_are_back_with_their_rows_and_sequence(admin: Connection) -> None:
    admin.execute("INSERT INTO events (type) VALUES ('a')")
    before = tables(admin)

    with pytest.raises(RuntimeError), renamed_tables(admin):
        raise RuntimeError

    row = admin.execute("INSERT INTO events (type) VALUES ('b') RETURNING id").fetchone()
    assert tables(admin) == before
    assert row == (2,)
