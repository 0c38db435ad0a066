"""Partitions ahead of the ids, and what lands beside them; on a real server."""

from collections.abc import Callable

import pytest
from orchestrator.sql.connection import Connection
from orchestrator.sql.database import Database
from orchestrator.sql.events.copy_text import copy_row
from orchestrator.sql.events.event_reader import EventReader
from orchestrator.sql.events.event_writer import EventWriter
from orchestrator.sql.schema.partitions import (
    AHEAD_IDS,
    IdRate,
    Partition,
    gap_around,
    keep_ahead,
    missing_ahead,
    partition_name,
    read_layout,
    span_ids,
)

pytestmark = pytest.mark.db

MILLION = 1_000_000


def part(start: int, end: int) -> Partition:
    return Partition(partition_name(start, end), start, end)


def where(admin: Connection, event_id: int) -> str:
    found = admin.execute("SELECT tableoid::regclass::text FROM events WHERE id = %s", [event_id])
    row = found.fetchone()
    assert row
    return str(row[0])


# -- pure --


def test_a_partition_takes_three_hours_of_ids_within_bounds() -> None:
    assert span_ids(0) == MILLION
    assert span_ids(1_000) == 10_800_000
    assert span_ids(100_000) == 50 * MILLION


def test_nothing_is_made_while_there_is_room_ahead() -> None:
    assert missing_ahead([part(0, 4 * MILLION)], MILLION, 0) == []


def test_partitions_are_made_up_to_two_millions_ahead() -> None:
    made = missing_ahead([part(0, MILLION)], 500_000, 0)

    assert [(p.start, p.end) for p in made] == [(MILLION, 2 * MILLION), (2 * MILLION, 3 * MILLION)]
    assert made[-1].end >= 500_000 + AHEAD_IDS


def test_after_a_leap_of_the_sequence_they_begin_behind_ids_that_may_be_under_way() -> None:
    made = missing_ahead([part(0, MILLION)], 70 * MILLION, 0)

    assert made[0].start > 70 * MILLION
    assert made[-1].end >= 72 * MILLION


def test_the_gap_around_an_id_ends_where_its_neighbours_begin() -> None:
    parts = [part(0, 10), part(30, 40), part(40, 50)]

    assert gap_around(parts, 15) == (10, 30)
    assert gap_around(parts, 60) == (50, None)
    assert gap_around(parts, -1) == (None, 0)


def test_the_pace_is_not_fooled_by_ids_taken_in_bulk() -> None:
    rate = IdRate()
    assert rate.per_s == 0
    rate.note(0, 0)
    rate.note(10, 100_000)
    assert rate.per_s < 200
    rate.note(1_000, 5_000_000)
    assert rate.per_s == 5_000


# -- on a server --


def test_a_fresh_database_has_partitions_and_a_net(admin: Connection) -> None:
    layout = read_layout(admin)

    assert layout is not None
    assert layout.default == "events_default"
    assert [p.start for p in layout.partitions] == [0, MILLION, 2 * MILLION, 3 * MILLION]


def test_more_are_made_as_ids_are_given(
    database: Database, admin: Connection, writer: EventWriter
) -> None:
    assert keep_ahead(database, IdRate()) == []
    writer.raise_sequence(3 * MILLION)

    assert keep_ahead(database, IdRate()) == ["events_p4000000_5000000"]
    assert keep_ahead(database, IdRate()) == []
    layout = read_layout(admin)
    assert layout is not None
    assert layout.partitions[-1].end == 5 * MILLION


def test_copy_never_fails_for_want_of_a_partition_and_strays_are_brought_home(
    database: Database,
    admin: Connection,
    writer: EventWriter,
    block: Callable[..., bytes],
    stored_ids: Callable[[], list[int]],
) -> None:
    writer.raise_sequence(70 * MILLION)
    writer.store(block(1, 70 * MILLION, 70 * MILLION + 1))
    assert where(admin, 70 * MILLION) == "events_default"

    made = keep_ahead(database, IdRate())

    assert len(made) >= 2
    assert where(admin, 70 * MILLION) == where(admin, 70 * MILLION + 1) == made[-1]
    assert stored_ids() == [1, 70 * MILLION, 70 * MILLION + 1]
    assert admin.execute("SELECT count(*) FROM events_default").fetchone() == (0,)


def test_strays_above_and_below_all_partitions_stay_readable_where_they_are(
    database: Database, admin: Connection, writer: EventWriter, block: Callable[..., bytes]
) -> None:
    writer.store(block(-5, 99 * MILLION))

    keep_ahead(database, IdRate())

    assert where(admin, -5) == where(admin, 99 * MILLION) == "events_default"
    assert EventReader(database).get(99 * MILLION) is not None


def test_storing_goes_on_while_a_partition_is_made(
    database: Database,
    admin: Connection,
    writer: EventWriter,
    block: Callable[..., bytes],
    stored_ids: Callable[[], list[int]],
) -> None:
    writer.raise_sequence(3 * MILLION)
    with admin.transaction():  # a COPY under way
        admin.execute("INSERT INTO events (id, type) VALUES (5, 'a')")

        assert keep_ahead(database, IdRate()) == ["events_p4000000_5000000"]
        writer.store(block(7))

    assert stored_ids() == [5, 7]


def test_an_id_is_unique_over_all_partitions(writer: EventWriter, admin: Connection) -> None:
    admin.execute("INSERT INTO events (id, type) VALUES (5, 'theirs'), (1500000, 'theirs')")
    rows = b"".join(copy_row(i, "ours", None, "2026-01-31T09:30:00Z", b"{}") for i in (4, 5, 6))
    outcome = writer.resolve(rows)

    assert outcome.stored == (4, 6)
    assert outcome.clashes == (5,)


def plan(admin: Connection, statement: str) -> str:
    return "\n".join(row[0] for row in admin.execute(f"EXPLAIN (COSTS OFF) {statement}".encode()))


def test_a_page_behind_a_cursor_reads_no_partition_before_it(admin: Connection) -> None:
    shown = plan(
        admin,
        "SELECT * FROM events WHERE id BETWEEN 2500001 AND 9223372036854775807"
        " ORDER BY id LIMIT 50",
    )

    assert "events_p2000000" in shown
    assert "events_p1000000" not in shown
    assert "events_p0" not in shown


def test_one_event_is_looked_for_in_one_partition(admin: Connection) -> None:
    shown = plan(admin, "SELECT * FROM events WHERE id = 1500000")

    assert "events_p1000000" in shown
    assert shown.count("events_p") == 2  # the index and its table


def test_types_are_counted_over_all_partitions(database: Database, admin: Connection) -> None:
    admin.execute(
        "INSERT INTO events (id, type) SELECT n * 900000, 'a' FROM generate_series(1, 6) n"
    )

    (row,) = EventReader(database).types()

    assert (row.type, row.count, row.last_id) == ("a", 6, 5_400_000)


def test_a_hosts_table_is_left_alone(database: Database, admin: Connection) -> None:
    admin.execute("COMMENT ON TABLE events IS 'ours, says the host'")

    assert read_layout(admin) is None
    assert keep_ahead(database, IdRate()) == []
