"""Counts by minute are those of the rows themselves, whatever happens to these."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import gevent
import pytest
from orchestrator.sql.connection import Connection
from orchestrator.sql.database import Database
from orchestrator.sql.errors import Unavailable
from orchestrator.sql.events import minute_counts
from orchestrator.sql.events.event_filter import EventFilter, parameters
from orchestrator.sql.events.minute_counts import CLASSES, Histogram, MinuteCounts, histogram
from orchestrator.sql.schema.retention import RetentionRule, prune

pytestmark = pytest.mark.db

START = datetime(2026, 1, 31, 9, 0, tzinfo=UTC)
END = START + timedelta(hours=2)
CHUNK = 100
ALL = EventFilter()
FILTERS = (
    ALL,
    EventFilter(types=("data.market.*",)),
    EventFilter(types=("heartbeat",)),
    EventFilter(types=("heartbeat.agent-1",)),
    EventFilter(types=("heartbeat.*", "risk.alert")),
    EventFilter(types=("*a*",)),
    EventFilter(types=("nothing",)),
)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in (("CHUNK_IDS", CHUNK), ("RECENT_IDS", 3 * CHUNK), ("_STRIDE_IDS", 5 * CHUNK)):
        monkeypatch.setattr(minute_counts, name, size)


@pytest.fixture
def counts(database: Database) -> MinuteCounts:
    return MinuteCounts(database)


def insert(admin: Connection, first: int, last: int) -> None:
    """Rows of two hours, in no exact order of time, some without source or time."""
    chance = random.Random(first)
    types = ("heartbeat", "risk.alert", "data.market.A", "data.market.B", "strategy.x", "my.own")
    rows = [
        (
            number,
            chance.choice(types),
            chance.choice(("agent-1", "agent-2", None)),
            START + timedelta(seconds=number % 7200 + chance.randint(-90, 90)),
            START + timedelta(seconds=number % 7200),
        )
        for number in range(first, last + 1)
    ]
    with admin.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO events (id, type, source, ts, created_at) VALUES (%s, %s, %s, %s, %s)",
            [(*row[:3], None, row[4]) if row[0] % 50 == 7 else row for row in rows],
        )


def count_all(counts: MinuteCounts, committed_id: int) -> None:
    while counts.advance(committed_id) or counts.fill():
        pass


def asked(database: Database, event_filter: EventFilter = ALL, buckets: int = 20) -> Histogram:
    return histogram(database, event_filter, start=START, end=END, buckets=buckets)


def totals(found: Histogram) -> Counter[tuple[str, str]]:
    return Counter({(b.ts, name): n for b in found.buckets for name, n in b.counts.items()})


def expected(admin: Connection, event_filter: EventFilter, found: Histogram) -> Counter[object]:
    """What a plain count of the rows gives."""
    rows = admin.execute(
        "SELECT to_char(date_bin(make_interval(secs => %(bucket_s)s), coalesce(ts, created_at),"
        "   'epoch') AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'),"
        "  CASE WHEN split_part(type, '.', 1) = ANY (%(classes)s) THEN split_part(type, '.', 1)"
        "   ELSE 'other' END, count(*)"
        " FROM events WHERE coalesce(ts, created_at) >= %(start)s"
        "  AND coalesce(ts, created_at) < %(end)s"
        "  AND (%(types)s::text[] IS NULL OR type LIKE ANY (%(types)s)"
        "   OR type = 'heartbeat' AND source LIKE ANY (%(heartbeats)s)) GROUP BY 1, 2",
        parameters(event_filter)
        | {"start": found.start, "end": found.end, "bucket_s": found.bucket_s}
        | {"classes": list(CLASSES)},
    )
    return Counter({(ts, name): n for ts, name, n in rows})


def agree(admin: Connection, database: Database) -> None:
    for event_filter in FILTERS:
        found = asked(database, event_filter)
        assert totals(found) == expected(admin, event_filter, found)


def kept(admin: Connection) -> list[tuple[int, int]]:
    """Chunk, events counted in it."""
    return list(
        admin.execute(
            "SELECT first_id, sum(events)::bigint FROM orchestrator_counts GROUP BY 1 ORDER BY 1"
        )
    )


def test_before_anything_was_counted_a_histogram_is_unavailable(database: Database) -> None:
    with pytest.raises(Unavailable):
        asked(database)


def test_counts_agree_with_the_rows_at_every_step(
    admin: Connection, database: Database, counts: MinuteCounts
) -> None:
    assert not counts.advance(0)
    for last in range(70, 1000, 70):
        insert(admin, last - 69, last)
        agree(admin, database)
        while counts.advance(last):
            agree(admin, database)

    assert [first for first, _ in kept(admin)] == list(range(0, 900, CHUNK))


def test_a_chunk_is_counted_once_all_its_ids_are_committed(
    admin: Connection, database: Database, counts: MinuteCounts
) -> None:
    counts.advance(0)
    insert(admin, 1, 60)
    insert(admin, 140, 180)  # of another program: ours up to 139 are not committed yet
    assert not counts.advance(60)
    assert not counts.advance(98)

    insert(admin, 61, 139)

    agree(admin, database)
    assert counts.advance(180)
    assert not counts.advance(180)
    assert kept(admin) == [(0, 99)]
    agree(admin, database)


def test_old_rows_are_filled_in_from_the_newest_down_and_what_lacks_is_said(
    admin: Connection, database: Database, counts: MinuteCounts
) -> None:
    insert(admin, 1, 950)
    counts.advance(950)
    since = []
    while counts.fill():
        since.append(asked(database).counted_from)

    known = [moment for moment in since[:-1] if moment is not None]
    assert len(known) == len(since) - 1
    assert max(known) == known[0] > known[-1] == min(known)
    assert asked(database).counted_from is None
    agree(admin, database)


def test_a_successor_goes_on_where_the_one_before_stopped(
    admin: Connection, database: Database, counts: MinuteCounts
) -> None:
    insert(admin, 1, 950)
    counts.advance(950)
    counts.fill()
    before = kept(admin)
    insert(admin, 951, 1500)

    count_all(MinuteCounts(database), 1500)

    assert set(before) < set(kept(admin))
    agree(admin, database)
    count_all(counts, 1500)  # the former one counts nothing twice
    agree(admin, database)


def test_two_that_count_at_once_count_nothing_twice(
    admin: Connection, database: Database, counts: MinuteCounts
) -> None:
    insert(admin, 1, 2500)
    pair = [gevent.spawn(count_all, one, 2500) for one in (counts, MinuteCounts(database))]
    gevent.joinall(pair, raise_error=True)

    agree(admin, database)


def test_ids_that_are_not_in_use_are_passed_over(
    admin: Connection, database: Database, counts: MinuteCounts
) -> None:
    counts.advance(0)
    insert(admin, 1, 150)
    insert(admin, 5_000_010, 5_000_150)

    count_all(counts, 5_000_150)

    assert [first for first, _ in kept(admin)] == [0, 100, 5_000_000]
    agree(admin, database)


class TestVerify:
    @pytest.fixture(autouse=True)
    def counted(self, admin: Connection, counts: MinuteCounts) -> None:
        counts.advance(0)
        insert(admin, 1, 930)
        admin.execute("DELETE FROM events WHERE id IN (15, 888)")
        count_all(counts, 930)

    def test_nothing_is_counted_anew_without_a_reason(self, counts: MinuteCounts) -> None:
        assert sum(counts.verify(0)) == 0

    def test_rows_of_other_programs_that_come_late_are_counted(
        self, admin: Connection, database: Database, counts: MinuteCounts
    ) -> None:
        insert(admin, 888, 888)
        insert(admin, 15, 15)

        assert sum(counts.verify()) == 1
        assert sum(counts.verify(0)) == 1
        agree(admin, database)

    def test_as_many_that_came_as_went_are_seen(
        self, admin: Connection, database: Database, counts: MinuteCounts
    ) -> None:
        insert(admin, 15, 15)
        admin.execute("DELETE FROM events WHERE id = 17")

        assert sum(counts.verify(0)) == 1
        agree(admin, database)

    def test_what_retention_deletes_is_not_counted_any_more(
        self, admin: Connection, database: Database, counts: MinuteCounts
    ) -> None:
        rules = (RetentionRule("data.*", 60),)
        assert sum(step.deleted for step in prune(database, rules, END)) > 100

        assert sum(counts.verify(0)) > 5
        agree(admin, database)

    def test_partitions_that_are_dropped_take_their_counts_along(
        self, admin: Connection, database: Database, counts: MinuteCounts
    ) -> None:
        admin.execute("DROP TABLE events_p0_1000000")

        assert sum(counts.verify(0)) == len(range(0, 900, CHUNK))
        assert kept(admin) == []
        agree(admin, database)


def test_what_comes_faster_than_it_is_counted_is_not_looked_at_row_by_row(
    admin: Connection, database: Database, counts: MinuteCounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(minute_counts, "TAIL_ROWS", 50)
    counts.advance(0)
    insert(admin, 1, 50)
    agree(admin, database)

    insert(admin, 51, 51)

    with pytest.raises(Unavailable):
        asked(database)


@pytest.mark.parametrize(
    ("minutes", "buckets", "length_s"),
    [(120, 500, 60), (120, 20, 360), (120, 7, 1080), (0, 10, 60), (1, 1, 60)],
)
def test_buckets_are_whole_minutes_and_hardly_more_than_asked_for(
    database: Database, minutes: int, buckets: int, length_s: int
) -> None:
    MinuteCounts(database).advance(0)
    end = START + timedelta(minutes=minutes)

    found = histogram(database, ALL, start=START, end=end, buckets=buckets)

    assert found.bucket_s == length_s
    assert found.start.timestamp() % length_s == found.end.timestamp() % length_s == 0
    assert found.start <= START
    assert found.end >= end
    assert (found.end - found.start).total_seconds() / length_s <= buckets + 1
