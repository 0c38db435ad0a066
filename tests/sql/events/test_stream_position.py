from collections.abc import Iterator

import pytest
from orchestrator.sql.connection import connect
from orchestrator.sql.database import Database, PostgresSettings
from orchestrator.sql.errors import RefusedRows
from orchestrator.sql.events.copy_text import copy_row
from orchestrator.sql.events.event_writer import EventWriter
from orchestrator.sql.events.stream_position import StreamPosition, entry_id_of
from orchestrator.sql.schema.migrator import migrate

NOW = "2026-01-31T09:30:00.123Z"
THERE = StreamPosition(1, 1_700_000_000_000, 3, 42, 1_700_000_000_500)


@pytest.fixture
def writer(pg_url: str) -> Iterator[EventWriter]:
    with connect(pg_url) as connection:
        migrate(connection)
    database = Database(PostgresSettings(), url=pg_url)
    made = EventWriter(database)
    made.claim(instance="i", host="h", pid=1, stale_after_s=30)
    yield made
    made.close()
    database.close()


def row(event_id: int, payload: bytes = b"{}") -> bytes:
    return copy_row(event_id, "strategy.x", None, NOW, payload)


def test_before_the_first_entry_there_is_no_position(writer: EventWriter) -> None:
    assert writer.stream_position() is None


def test_a_position_is_committed_with_its_rows(writer: EventWriter) -> None:
    writer.store(row(1), THERE)

    assert writer.stream_position() == THERE
    assert writer.committed_max() == 1


def test_a_position_of_rows_that_are_refused_is_not_committed(writer: EventWriter) -> None:
    with pytest.raises(RefusedRows):
        writer.store(row(1, b"no json"), THERE)

    assert writer.stream_position() is None


def test_a_position_is_committed_without_rows_and_may_go_back_in_another_generation(
    writer: EventWriter,
) -> None:
    writer.store(b"", THERE)
    anew = StreamPosition(2, 0, 0, -1, THERE.read_at_ms)
    writer.store(b"", anew)

    assert writer.stream_position() == anew
    assert anew > THERE


@pytest.mark.parametrize(
    "host",
    [
        "DROP TABLE orchestrator_stream",
        "ALTER TABLE orchestrator_stream ADD CONSTRAINT c CHECK (generation < 0)",
        """CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM 1 / 0; END $$;
        CREATE TRIGGER t BEFORE INSERT ON orchestrator_stream FOR EACH ROW EXECUTE FUNCTION f()""",
    ],
)
def test_a_position_that_is_refused_holds_up_no_event(
    pg_url: str, writer: EventWriter, host: str
) -> None:
    with connect(pg_url) as connection:
        connection.execute(host.encode())

    writer.store(row(1), THERE)
    writer.resolve(row(1) + row(2), None, THERE)
    writer.sift([row(3)[:-1], row(4, b"no json")[:-1]], lambda *_: row(4)[:-1], THERE)

    assert writer.committed_max() == 4
    assert writer.refusals.totals == {"orchestrator_stream": 1}


def test_resolving_a_block_in_doubt_notes_the_position_too(writer: EventWriter) -> None:
    writer.store(row(1))
    writer.resolve(row(1) + row(2), None, THERE)

    assert writer.stream_position() == THERE
    assert writer.committed_max() == 2


def test_ids_of_entries_have_two_halves() -> None:
    assert entry_id_of("1700000000000-3") == (1_700_000_000_000, 3)
    with pytest.raises(ValueError, match="invalid"):
        entry_id_of("nonsense")
