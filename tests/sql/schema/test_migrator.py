from collections.abc import Iterator

import gevent
import pytest
from orchestrator.sql.connection import Connection, connect
from orchestrator.sql.errors import MigrationChanged, MigrationUnknown, SchemaError
from orchestrator.sql.schema.migrator import (
    COLUMNS,
    MigrationState,
    migrate,
    schema_problems,
    shipped,
    status,
)

pytestmark = pytest.mark.db

# As a host has them: the seed's columns, with indexes, a trigger, row security and rows of its own.
SEED = """
CREATE TABLE agents (id TEXT PRIMARY KEY, name TEXT NOT NULL, agent_group TEXT,
  status TEXT NOT NULL DEFAULT 'inactive', last_beat TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP,
  last_error TEXT, created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP,
  updated_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE events (id BIGSERIAL PRIMARY KEY, type TEXT NOT NULL,
  payload JSONB NOT NULL DEFAULT '{}', ts TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP, source TEXT,
  processed BOOLEAN DEFAULT FALSE, created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE orchestrator_state (id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  key TEXT UNIQUE NOT NULL, value JSONB NOT NULL DEFAULT '{}',
  created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP,
  updated_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP);
CREATE INDEX idx_events_type ON events (type, id);
CREATE INDEX idx_payload ON events USING gin (payload);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touched BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE events ENABLE ROW LEVEL SECURITY;
INSERT INTO events (type) VALUES ('theirs');
INSERT INTO orchestrator_state (key, value) VALUES ('killswitch_status', '{"enabled": false}');
"""


@pytest.fixture
def empty(pg_url: str) -> Iterator[Connection]:
    with connect(pg_url) as connection:
        yield connection


def indexes(connection: Connection) -> set[str]:
    rows = connection.execute("SELECT indexname FROM pg_indexes WHERE tablename = 'events'")
    return {row[0] for row in rows}


def test_an_empty_database_gets_all_tables_in_the_seeds_shape(empty: Connection) -> None:
    names = migrate(empty)

    assert names == list(shipped())
    assert schema_problems(empty) == []
    columns = empty.execute(
        "SELECT column_name FROM information_schema.columns"
        " WHERE table_name = 'events' ORDER BY ordinal_position"
    )
    assert [row[0] for row in columns] == list(COLUMNS["events"])


def test_migrating_again_does_nothing(empty: Connection) -> None:
    migrate(empty)

    assert migrate(empty) == []


def test_tables_of_a_host_are_taken_as_they_are(empty: Connection) -> None:
    empty.execute(SEED.encode())

    migrate(empty)

    assert empty.execute("SELECT type FROM events").fetchall() == [("theirs",)]
    assert {"idx_events_type", "idx_payload", "events_source_id"} <= indexes(empty)
    assert "events_type_id" not in indexes(empty)  # theirs does the same


def test_every_earlier_schema_reaches_the_present_one(empty: Connection) -> None:
    for applied in range(len(shipped())):
        empty.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        migrate(empty)
        left = list(shipped())[applied:]
        empty.execute("DELETE FROM orchestrator_migrations WHERE name = ANY (%s)", [left])

        assert migrate(empty) == left


def test_a_role_that_may_create_nothing_passes_when_there_is_nothing_to_do(
    empty: Connection,
) -> None:
    migrate(empty)
    empty.execute("DROP ROLE IF EXISTS reader_only; CREATE ROLE reader_only")
    empty.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader_only")
    empty.execute("SET ROLE reader_only")

    assert migrate(empty) == []

    empty.execute("RESET ROLE; DROP OWNED BY reader_only; DROP ROLE reader_only")


def test_indexes_are_left_to_an_owner_that_we_are_not(empty: Connection) -> None:
    empty.execute(SEED.encode())
    empty.execute("DROP ROLE IF EXISTS guest; CREATE ROLE guest")
    empty.execute("GRANT ALL ON SCHEMA public TO guest; GRANT ALL ON events TO guest")
    empty.execute("SET ROLE guest")

    migrate(empty)

    assert "events_source_id" not in indexes(empty)
    empty.execute("RESET ROLE; DROP OWNED BY guest; DROP ROLE guest")


def test_two_at_a_time_apply_each_migration_once(pg_url: str) -> None:
    def run() -> list[str]:
        with connect(pg_url) as connection:
            return migrate(connection)

    jobs = [gevent.spawn(run) for _ in range(3)]
    gevent.joinall(jobs, timeout=30, raise_error=True)

    assert sorted(name for job in jobs for name in job.value) == list(shipped())


def test_a_changed_migration_is_named_and_nothing_happens(empty: Connection) -> None:
    migrate(empty)
    empty.execute("UPDATE orchestrator_migrations SET checksum = 'x' WHERE name = '0001_tables'")

    with pytest.raises(MigrationChanged, match="0001_tables"):
        migrate(empty)

    assert status(empty)[0].state is MigrationState.CHANGED


def test_a_database_ahead_of_the_package_is_left_alone(empty: Connection) -> None:
    migrate(empty)
    empty.execute("INSERT INTO orchestrator_migrations VALUES ('9999_later', 'x')")

    with pytest.raises(MigrationUnknown, match="9999_later"):
        migrate(empty)


def test_a_table_of_another_shape_is_refused_with_all_that_is_wrong(empty: Connection) -> None:
    empty.execute(SEED.replace("source TEXT,", "").encode())

    with pytest.raises(SchemaError) as caught:
        migrate(empty)

    assert "column events.source is missing" in str(caught.value)


def test_a_wrong_type_of_column_is_named(empty: Connection) -> None:
    empty.execute(SEED.replace("last_error TEXT", "last_error INT").encode())

    with pytest.raises(SchemaError, match=r"agents\.last_error is integer, not text"):
        migrate(empty)

    assert empty.execute("SELECT to_regclass('orchestrator_writer')").fetchone() == (None,)


def test_status_of_an_empty_database_is_all_pending(empty: Connection) -> None:
    assert {entry.state for entry in status(empty)} == {MigrationState.PENDING}
    assert schema_problems(empty)[0] == "table agents is missing"


def test_a_failed_migration_leaves_nothing_behind(
    empty: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(shipped(), "0009_broken", "CREATE TABLE half (); SELECT 1/0;")

    with pytest.raises(Exception, match="division"):
        migrate(empty)

    tables = empty.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    assert tables == (0,)


def test_a_migration_may_take_longer_than_any_limit_of_the_role(
    empty: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(shipped(), "0999_slow", "DO $$ BEGIN PERFORM pg_sleep(0.4); END $$")
    empty.execute("SET statement_timeout = '200ms'; SET idle_in_transaction_session_timeout = 50")

    assert migrate(empty)[-1] == "0999_slow"


def kind(connection: Connection) -> str:
    found = connection.execute("SELECT relkind FROM pg_class WHERE oid = 'events'::regclass")
    row = found.fetchone()
    assert row
    return str(row[0])


def until(connection: Connection, monkeypatch: pytest.MonkeyPatch, last: str) -> None:
    """The schema as an earlier version of the package made it."""
    with monkeypatch.context() as earlier:
        for name in list(shipped()):
            if name > last:
                earlier.delitem(shipped(), name)
        migrate(connection)


def test_a_fresh_database_has_its_events_in_partitions(empty: Connection) -> None:
    migrate(empty)

    assert kind(empty) == "p"
    assert {"events_pkey", "events_type_id", "events_source_id"} <= indexes(empty)


def test_an_empty_table_that_an_earlier_version_made_is_partitioned_and_goes_on_counting(
    empty: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    until(empty, monkeypatch, "0003_event_indexes")
    empty.execute("SELECT setval('events_id_seq', 7000123)")

    migrate(empty)

    assert kind(empty) == "p"
    row = empty.execute("INSERT INTO events (type) VALUES ('a') RETURNING id, tableoid::regclass")
    assert row.fetchone() == (7_000_124, "events_p7000000_8000000")


@pytest.mark.parametrize(
    "touched",
    [
        "INSERT INTO events (type) VALUES ('a')",
        "GRANT SELECT ON events TO PUBLIC",
        "ALTER TABLE events ENABLE ROW LEVEL SECURITY",
        "CREATE VIEW latest AS SELECT * FROM events",
        "CREATE PUBLICATION feed FOR TABLE events",
    ],
)
def test_a_table_with_rows_or_with_anything_of_the_hosts_own_stays_one(
    empty: Connection, monkeypatch: pytest.MonkeyPatch, touched: str
) -> None:
    until(empty, monkeypatch, "0003_event_indexes")
    empty.execute(touched.encode())

    migrate(empty)

    assert kind(empty) == "r"


def test_an_empty_table_that_a_host_made_stays_one(empty: Connection) -> None:
    plain = "CREATE TABLE events" + SEED.split("CREATE TABLE events")[1].split(";", maxsplit=1)[0]
    empty.execute(plain.encode())

    migrate(empty)

    assert kind(empty) == "r"
