import secrets
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import gevent
import pytest
from orchestrator.sql.connection import Connection
from orchestrator.sql.database import Database
from orchestrator.sql.errors import (
    CommitUnknown,
    Doubt,
    RefusedRows,
    SchemaError,
    TimedOut,
    Unavailable,
    UniqueClash,
)
from orchestrator.sql.events.copy_text import copy_row
from orchestrator.sql.events.event_writer import EventWriter, Resolution

pytestmark = pytest.mark.db

TS = "2026-01-31T09:30:00.123Z"
Block = Callable[..., bytes]
StoredIds = Callable[[], list[int]]


def claimed(database: Database) -> EventWriter:
    writer = EventWriter(database)
    writer.claim(instance="one", host="here", pid=1, stale_after_s=10)
    return writer


# -- ids ----------------------------------------------------------------------------------------


def test_ids_come_as_one_range_when_nobody_else_takes_any(writer: EventWriter) -> None:
    assert writer.take_ids(1_000) == [(1, 1_000)]
    assert writer.take_ids(10) == [(1_001, 1_010)]


def test_ids_that_others_took_in_between_part_the_ranges(
    writer: EventWriter, admin: Connection
) -> None:
    take_one = "SELECT nextval('events_id_seq')"
    ranges: list[tuple[int, int]] = []

    def others() -> None:
        for _ in range(200):
            admin.execute(take_one)

    job = gevent.spawn(others)
    for _ in range(5):
        ranges += writer.take_ids(20_000)
    job.join(timeout=10)

    taken = sum(last - first + 1 for first, last in ranges)
    assert taken == 100_000
    assert all(before[1] < after[0] for before, after in pairwise(ranges))
    assert ranges[-1][1] <= taken + 200


@pytest.mark.parametrize("above", [500, 5_000_000])
def test_the_sequence_is_raised_over_narrow_and_wide_gaps(writer: EventWriter, above: int) -> None:
    writer.raise_sequence(above)

    assert writer.take_ids(1) == [(above + 1, above + 1)]


def test_a_sequence_that_is_high_enough_is_left_alone(writer: EventWriter) -> None:
    writer.take_ids(10)

    writer.raise_sequence(5)

    assert writer.take_ids(1) == [(11, 11)]


def test_a_sequence_that_was_set_back_is_raised_above_all_rows(
    writer: EventWriter, admin: Connection, block: Block
) -> None:
    writer.store(block(1, 2, 900))
    admin.execute("SELECT setval('events_id_seq', 1, false)")

    writer.raise_sequence(writer.committed_max())

    assert writer.take_ids(1) == [(901, 901)]


def test_identity_columns_and_others_sequences_are_found(
    writer: EventWriter, admin: Connection
) -> None:
    admin.execute("DROP SEQUENCE events_id_seq CASCADE")
    with pytest.raises(SchemaError, match="no sequence"):
        writer.take_ids(1)

    admin.execute('CREATE SEQUENCE "Odd Name" START 40')
    admin.execute("""ALTER TABLE events ALTER id SET DEFAULT nextval('"Odd Name"')""")

    writer.raise_sequence(41)

    assert writer.take_ids(2) == [(42, 43)]


def test_the_highest_id_of_an_empty_table_is_zero(writer: EventWriter, block: Block) -> None:
    assert writer.committed_max() == 0

    writer.store(block(7))

    assert writer.committed_max() == 7


# -- blocks -------------------------------------------------------------------------------------


def test_a_block_is_stored_as_it_was_published(writer: EventWriter, admin: Connection) -> None:
    payload = b'{"text": "tab\\t back\\\\slash \\u00e9", \n\t"n": 1e3}'

    writer.store(copy_row(1, "a.b", None, TS, payload) + copy_row(2, "c\td", "x\\y", TS, b"[]"))

    rows = admin.execute(
        "SELECT id, type, source, to_char(ts AT TIME ZONE 'UTC', 'HH24:MI:SS.MS'), payload,"
        " processed"
        " FROM events ORDER BY id"
    ).fetchall()
    assert rows[0][:4] == (1, "a.b", None, "09:30:00.123")
    assert rows[0][4] == {"text": "tab\t back\\slash é", "n": 1000}
    assert rows[1] == (2, "c\td", "x\\y", "09:30:00.123", [], False)


@pytest.mark.parametrize(
    ("payload", "state"),
    [
        (b'{"a": "\\u0000"}', "22P05"),
        (b'{"a": ', "22P02"),
        (b'{"a": 1e999999}', "22003"),
        (b'"\xff"', "22021"),
        (b"[" * 100_000, "54001"),
    ],
)
def test_a_row_that_cannot_be_stored_refuses_the_block_and_leaves_the_writer_usable(
    writer: EventWriter, block: Block, stored_ids: StoredIds, payload: bytes, state: str
) -> None:
    with pytest.raises(RefusedRows) as caught:
        writer.store(block(1) + block(2, payload=payload) + block(3))

    assert caught.value.sqlstate == state
    assert stored_ids() == []
    writer.store(block(1, 3))
    assert stored_ids() == [1, 3]


def test_a_trigger_of_the_hosts_that_says_no_refuses_the_rows(
    writer: EventWriter, admin: Connection, block: Block
) -> None:
    admin.execute(
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'not this type'; END $$;"
        "CREATE TRIGGER no BEFORE INSERT ON events FOR EACH ROW"
        " WHEN (NEW.type = 'bad') EXECUTE FUNCTION no()"
    )

    with pytest.raises(RefusedRows, match="not this type"):
        writer.store(block(1) + block(2, event_type="bad"))


def test_a_server_that_says_no_to_the_commit_leaves_no_doubt(
    writer: EventWriter, admin: Connection, block: Block, stored_ids: StoredIds
) -> None:
    admin.execute(
        "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'too late'; END $$;"
        "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION late()"
    )

    with pytest.raises(RefusedRows, match="too late"):
        writer.store(block(1))

    assert writer.doubt is None
    assert stored_ids() == []


def test_a_taken_id_is_a_clash_and_resolving_tells_same_rows_from_others(
    writer: EventWriter, block: Block, stored_ids: StoredIds
) -> None:
    writer.store(block(1, 2))
    again = block(1) + block(2, payload=b'{"p": 2}') + block(3)

    with pytest.raises(UniqueClash):
        writer.store(again)

    assert writer.resolve(again) == Resolution(stored=(3,), already=(1,), clashes=(2,))
    assert stored_ids() == [1, 2, 3]


@pytest.mark.parametrize("column", ["type", "source", "ts"])
def test_a_row_that_differs_in_any_column_of_ours_is_another_row(
    writer: EventWriter, admin: Connection, block: Block, column: str
) -> None:
    writer.store(block(1))
    value = "'2020-01-01'" if column == "ts" else "'other'"
    admin.execute(f"UPDATE events SET {column} = {value}".encode())

    assert writer.resolve(block(1)).clashes == (1,)


def test_equal_json_in_another_spelling_is_the_same_row(writer: EventWriter, block: Block) -> None:
    writer.store(block(1, payload=b'{"a": 1.0, "b": 2}'))

    assert writer.resolve(block(1, payload=b'{"b":2,"a":1.0}')).already == (1,)


def test_another_unique_index_of_the_hosts_makes_rows_refused_not_clashing(
    writer: EventWriter, admin: Connection, block: Block
) -> None:
    admin.execute("CREATE UNIQUE INDEX ON events_p0_1000000 (source)")
    writer.store(block(1))

    with pytest.raises(RefusedRows):
        writer.resolve(block(2))


def test_commits_are_durable_even_where_the_database_is_set_otherwise(
    writer: EventWriter, admin: Connection, block: Block
) -> None:
    (name,) = admin.execute("SELECT current_database()").fetchone() or ("",)
    admin.execute(f"ALTER DATABASE {name} SET synchronous_commit = off".encode())
    admin.execute(
        "CREATE TABLE seen (how text);"
        "CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NEW; END $$;"
        "CREATE TRIGGER look BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION look()"
    )
    writer.close()

    writer.store(block(1))

    assert admin.execute("SELECT how FROM seen").fetchone() == ("on",)


# -- row security -------------------------------------------------------------------------------


@pytest.fixture
def guest_url(pg_url: str, admin: Connection) -> Iterator[str]:
    """The URL of a role that is not the owner of tables under row security."""
    name = f"guest_{secrets.token_hex(4)}"
    admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'".encode())
    admin.execute(
        f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name};"
        f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {name};"
        "ALTER TABLE events ENABLE ROW LEVEL SECURITY;"
        f"CREATE POLICY theirs ON events TO {name} USING (type <> 'hidden')"
        " WITH CHECK (type <> 'hidden')".encode()
    )
    parts = urlsplit(pg_url)
    where = parts.netloc.rpartition("@")[2]
    yield parts._replace(netloc=f"{name}:secret@{where}").geturl()
    admin.execute(f"DROP OWNED BY {name}; DROP ROLE {name}".encode())


def test_row_security_for_another_role_is_got_round_by_insert(
    guest_url: str,
    open_database: Callable[[str], Database],
    block: Block,
    stored_ids: StoredIds,
) -> None:
    writer = claimed(open_database(guest_url))

    writer.store(block(1, 2))
    assert writer.copy_refused
    writer.store(block(3))

    assert stored_ids() == [1, 2, 3]
    assert writer.resolve(block(2, 3, 4)) == Resolution(stored=(4,), already=(2, 3), clashes=())
    with pytest.raises(RefusedRows):
        writer.store(block(5, payload=b"{"))
    writer.close()


# -- failures on the way ------------------------------------------------------------------------


def test_a_connection_cut_while_committing_leaves_the_fate_unknown(
    wire: Any, open_database: Callable[[str], Database], block: Block, stored_ids: StoredIds
) -> None:
    writer = claimed(open_database(wire.url))
    wire.cut_after(b"COMMIT\0")

    with pytest.raises(CommitUnknown) as caught:
        writer.store(block(1, 2))

    assert caught.value.backend_pid > 0
    assert writer.resolve(block(1, 2), caught.value.doubt).already == (1, 2)
    assert stored_ids() == [1, 2]
    writer.close()


def test_a_commit_that_never_arrived_is_ended_and_its_rows_stored_anew(
    wire: Any,
    open_database: Callable[[str], Database],
    admin: Connection,
    block: Block,
    stored_ids: StoredIds,
) -> None:
    writer = claimed(open_database(wire.url))
    wire.swallow(b"COMMIT\0")  # the server's side stays open: the transaction goes on for ever

    with pytest.raises(CommitUnknown) as caught:
        writer.store(block(1, 2))

    busy = admin.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'"
    )
    assert busy.fetchone() == (1,)
    assert writer.resolve(block(1, 2), caught.value.doubt).stored == (1, 2)
    assert stored_ids() == [1, 2]
    writer.close()


def test_only_the_transaction_in_doubt_is_ended_not_a_later_one_of_that_backend(
    writer: EventWriter, admin: Connection, block: Block
) -> None:
    (pid, xid) = admin.execute(
        "SELECT pg_backend_pid(), pg_current_xact_id()::text"
    ).fetchone() or (
        0,
        0,
    )

    writer.resolve(block(1), Doubt(backend_pid=pid, xid=int(xid)))

    assert admin.execute("SELECT 1").fetchone() == (1,)


def test_a_backend_killed_while_rows_are_copied_leaves_none_of_them(
    writer: EventWriter,
    admin: Connection,
    block: Block,
    stored_ids: StoredIds,
    wait_for_lock: Callable[[], None],
) -> None:
    writer.store(block(1))
    admin.execute("BEGIN; LOCK TABLE events IN EXCLUSIVE MODE")
    job = gevent.spawn(writer.store, block(2, 3))
    wait_for_lock()

    admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    job.join(timeout=10)
    admin.execute("ROLLBACK")

    assert isinstance(job.exception, Unavailable)
    assert stored_ids() == [1]
    writer.store(block(2, 3))
    assert stored_ids() == [1, 2, 3]


def test_a_copy_that_was_cancelled_costs_its_connection(
    writer: EventWriter,
    admin: Connection,
    block: Block,
    stored_ids: StoredIds,
    wait_for_lock: Callable[[], None],
) -> None:
    writer.store(block(1))
    before = writer._connection
    admin.execute("BEGIN; LOCK TABLE events IN EXCLUSIVE MODE")
    job = gevent.spawn(writer.store, block(2, 3))
    wait_for_lock()

    admin.execute(
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    job.join(timeout=10)
    admin.execute("ROLLBACK")

    assert isinstance(job.exception, TimedOut)
    assert before is not None
    assert before.closed
    writer.store(block(2, 3))
    assert stored_ids() == [1, 2, 3]


def test_a_server_killed_and_back_is_found_again(
    writer: EventWriter,
    postgres_server: Any,
    block: Block,
) -> None:
    writer.store(block(1))

    postgres_server.kill()
    with pytest.raises(Unavailable):
        writer.store(block(2))
    with pytest.raises(Unavailable):
        writer.store(block(2))
    postgres_server.start()

    writer.store(block(2))
    assert writer.committed_max() == 2


def test_a_greenlet_ended_while_storing_leaves_a_usable_writer_and_a_closed_connection(
    writer: EventWriter,
    admin: Connection,
    block: Block,
    stored_ids: StoredIds,
    wait_for_lock: Callable[[], None],
) -> None:
    admin.execute("BEGIN; LOCK TABLE events IN EXCLUSIVE MODE")
    job = gevent.spawn(writer.store, block(1))
    wait_for_lock()

    job.kill(timeout=5)
    admin.execute("ROLLBACK")

    assert writer.doubt is None  # COMMIT was not under way
    writer.store(block(1))
    assert stored_ids() == [1]


def test_a_missing_table_is_a_matter_of_the_schema(
    writer: EventWriter, admin: Connection, block: Block
) -> None:
    admin.execute("DROP TABLE events")

    with pytest.raises(SchemaError, match="events"):
        writer.store(block(1))


def test_storing_lets_other_greenlets_run(writer: EventWriter, block: Block) -> None:
    rounds = 0

    def count() -> None:
        nonlocal rounds
        while True:
            gevent.sleep(0)
            rounds += 1

    job = gevent.spawn(count)
    writer.store(block(*range(1, 20_001)))
    job.kill()

    assert rounds > 20


def test_refused_rows_are_sifted_out_within_one_transaction(
    writer: EventWriter, admin: Connection
) -> None:
    admin.execute("ALTER TABLE events ADD CHECK (payload->>'poison' IS NULL)")
    ((first, _last), *_more) = writer.take_ids(1200)
    poisoned = {first, first + 1, first + 700, first + 1199}
    lines = [
        copy_row(
            number, "t", None, TS, b'{"poison":1}' if number in poisoned else b"{}"
        ).removesuffix(b"\n")
        for number in range(first, first + 1200)
    ]
    asked: list[int] = []

    def instead(line: bytes, _error: RefusedRows) -> bytes:
        asked.append(int(line.split(b"\t")[0]))
        return copy_row(asked[-1], "bus.rejected", None, TS, b"{}").removesuffix(b"\n")

    writer.sift(lines, instead)

    rows = admin.execute("SELECT id, type FROM events ORDER BY id").fetchall()
    assert [row[0] for row in rows] == list(range(first, first + 1200))
    assert {row[0] for row in rows if row[1] == "bus.rejected"} == poisoned == set(asked)


def test_when_even_what_stands_for_a_row_is_refused_nothing_is_stored(
    writer: EventWriter, admin: Connection
) -> None:
    admin.execute("ALTER TABLE events ADD CONSTRAINT none CHECK (false)")
    ((first, _last), *_more) = writer.take_ids(2)
    lines = [copy_row(first + n, "t", None, TS, b"{}").removesuffix(b"\n") for n in range(2)]

    with pytest.raises(RefusedRows):
        writer.sift(lines, lambda line, _error: line)

    assert admin.execute("SELECT count(*) FROM events").fetchone() == (0,)


def test_an_id_beyond_what_json_carries_is_not_continued_from(
    writer: EventWriter, admin: Connection
) -> None:
    admin.execute("INSERT INTO events (id, type) VALUES (3, 'a'), (4503599627370496, 'b')")

    assert writer.committed_max() == 3
    assert writer.oldest_id() == 3
    writer.raise_sequence(writer.committed_max())
    assert writer.take_ids(2) == [(4, 5)]
