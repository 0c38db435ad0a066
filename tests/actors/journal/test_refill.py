"""A database that lacks what the journal has; on a real server."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from orchestrator.actors.journal.journal import Journal, JournalSettings
from orchestrator.actors.journal.record_format import Record, RecordKind, encode_assigned
from orchestrator.actors.journal.refill import Refilled, refill, segments_of
from orchestrator.sql.connection import connect
from orchestrator.sql.database import Database, PostgresSettings
from orchestrator.sql.events.event_writer import EventWriter
from orchestrator.sql.schema.migrator import migrate

pytestmark = pytest.mark.db

TS = b"2026-01-31T09:30:00.123Z"
KEEP = JournalSettings(segment_bytes=4096, keep_hours=24)


@pytest.fixture
def table(pg_url: str) -> Iterator[psycopg.Connection]:
    with connect(pg_url) as connection:
        migrate(connection)
        yield connection


@pytest.fixture
def writer(pg_url: str, table: psycopg.Connection) -> Iterator[EventWriter]:  # noqa: ARG001
    writer = EventWriter(Database(PostgresSettings(), url=pg_url))
    writer.claim(instance="one", host="here", pid=1, stale_after_s=10)
    yield writer
    writer.close()


def record(
    number: int, *, ids: bool = True, rows: int = 10, payload: bytes = b'{"p": 1}'
) -> Record:
    body = b"".join(b"a.b\tq\t%b\t%b\n" % (TS, payload) for _ in range(rows))
    first = number * 100
    ranges = ((first, first + rows - 1),) if ids else ()
    return Record(number, RecordKind.EVENTS, rows, body, ranges)


def journalled(folder: Path, *records: Record, committed: int) -> None:
    journal = Journal(folder, KEEP)
    journal.open()
    for each in records:
        journal.append(each)
    journal.commit(committed, committed_id=committed * 100 + 9, rows_through=committed * 10)
    journal.work(lambda: None)
    journal.close()


def run(folder: Path, writer: EventWriter) -> Refilled:
    return list(refill(folder, writer))[-1]


def ids(table: psycopg.Connection) -> list[int]:
    return [row[0] for row in table.execute("SELECT id FROM events ORDER BY id")]


def test_what_was_committed_and_what_was_not_are_both_stored(
    tmp_path: Path, writer: EventWriter, table: psycopg.Connection
) -> None:
    journalled(tmp_path, *(record(number) for number in range(1, 41)), committed=30)
    assert list((tmp_path / "kept").glob("*.seg"))

    done = run(tmp_path, writer)

    assert ids(table) == [n * 100 + i for n in range(1, 41) for i in range(10)]
    assert (done.rows, done.stored, done.already, done.clashes) == (400, 400, 0, 0)


def test_what_is_there_stays_and_a_second_run_stores_nothing(
    tmp_path: Path, writer: EventWriter, table: psycopg.Connection
) -> None:
    journalled(tmp_path, *(record(number) for number in range(1, 11)), committed=10)
    run(tmp_path, writer)
    table.execute("DELETE FROM events WHERE id >= 700; UPDATE events SET processed = true")

    done = run(tmp_path, writer)
    again = run(tmp_path, writer)

    assert (done.stored, done.already) == (40, 60)
    assert (again.stored, again.already) == (0, 100)
    marked = table.execute("SELECT count(*) FROM events WHERE processed").fetchone()
    assert marked == (60,)


def test_ids_that_were_given_later_are_found(
    tmp_path: Path, writer: EventWriter, table: psycopg.Connection
) -> None:
    given = encode_assigned({1: ((5_000, 5_009),)})
    later = Record(2, RecordKind.IDS, 0, given, ((5_000, 5_009),))
    journalled(tmp_path, record(1, ids=False), later, record(3, ids=False), committed=2)

    done = run(tmp_path, writer)

    assert ids(table) == list(range(5_000, 5_010))
    assert done.rows == 10  # the third has no ids yet: the daemon's affair


def test_a_row_that_was_moved_is_stored_under_its_new_id_only(
    tmp_path: Path, writer: EventWriter, table: psycopg.Connection
) -> None:
    body = b"a.b\tq\t%b\t{}\n" % TS
    moved = Record(2, RecordKind.MOVED, 1, body, ((9_000, 9_000),), 0, (100).to_bytes(8))
    journalled(tmp_path, record(1), moved, committed=2)

    run(tmp_path, writer)

    assert ids(table) == [*range(101, 110), 9_000]


def test_an_id_that_another_row_has_is_counted_not_overwritten(
    tmp_path: Path, writer: EventWriter, table: psycopg.Connection
) -> None:
    table.execute("INSERT INTO events (id, type) VALUES (105, 'theirs')")
    journalled(tmp_path, record(1), committed=1)

    done = run(tmp_path, writer)

    assert (done.stored, done.clashes) == (9, 1)
    assert table.execute("SELECT type FROM events WHERE id = 105").fetchone() == ("theirs",)


def test_what_postgresql_refuses_becomes_bus_rejected(
    tmp_path: Path, writer: EventWriter, table: psycopg.Connection
) -> None:
    table.execute("ALTER TABLE events ADD CHECK (payload <> '{\"p\": 2}')")
    journalled(tmp_path, record(1), record(2, rows=1, payload=b'{"p": 2}'), committed=2)

    done = run(tmp_path, writer)

    assert done.rejected == 1
    assert done.stored == 11
    row = table.execute("SELECT type, payload ->> 'channel' FROM events WHERE id = 200").fetchone()
    assert row == ("bus.rejected", "a.b")


def test_damage_is_passed_over_and_counted(
    tmp_path: Path, writer: EventWriter, table: psycopg.Connection
) -> None:
    journalled(tmp_path, *(record(number) for number in range(1, 11)), committed=0)
    path = segments_of(tmp_path)[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / path.name).write_bytes(data)
    path.unlink()

    done = run(tmp_path, writer)

    assert done.damaged_places == 1
    assert 80 <= done.stored < 100
    assert len(ids(table)) == done.stored


def test_without_any_segment_there_is_nothing_to_do(tmp_path: Path, writer: EventWriter) -> None:
    shutil.rmtree(tmp_path / "kept", ignore_errors=True)

    assert list(refill(tmp_path, writer)) == []
