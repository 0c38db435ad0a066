"""Every way to look for a page finds the same events, whatever order times are in."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from orchestrator.actors.event_query import EventQuery, matcher
from orchestrator.actors.events import Event
from orchestrator.protocol.timestamps import timestamp
from orchestrator.sql.connection import Connection
from orchestrator.sql.database import Database
from orchestrator.sql.events import event_reader, page_search
from orchestrator.sql.events.event_filter import EventFilter, parameters
from orchestrator.sql.events.event_reader import MAX_ID, EventReader
from orchestrator.sql.named_queries import query

pytestmark = pytest.mark.db

START = datetime(2026, 1, 31, 9, 0, tzinfo=UTC)
TYPES = ("heartbeat", "risk.alert", "data.market.A", "data.market.B", "strategy.x")
SOURCES = ("agent-1", "agent-2", "dev", None)
ROWS = 400


class Stored(NamedTuple):
    id: int
    type: str
    source: str | None
    ts: datetime | None
    processed: bool | None


def rows(chance: random.Random, *, disorder_s: int) -> Iterator[Stored]:
    """Some ids are missing, some rows are another program's; times rise but for so much."""
    for number in range(ROWS):
        ts = START + timedelta(seconds=number + chance.randint(-disorder_s, disorder_s))
        if chance.random() < 0.9:
            yield Stored(
                1_000_000 - ROWS // 2 + number,  # across a border of partitions
                chance.choice(TYPES),
                chance.choice(SOURCES),
                ts if chance.random() < 0.95 else None,
                chance.choice((True, False, False, None)),
            )


def some_filter(chance: random.Random) -> EventFilter:
    types = ("heartbeat.agent-1", "heartbeat.*", "heartbeat.agent-*", "risk.*", "*", *TYPES, "nil")
    moments = sorted(chance.sample(range(-10, ROWS + 10), 2))
    low, high = ((START + timedelta(seconds=second)).isoformat() for second in moments)
    return EventFilter(
        types=tuple(chance.sample(types, chance.randint(1, 3))) if chance.random() < 0.6 else (),
        source=chance.choice(("agent-1", "dev", "nobody")) if chance.random() < 0.3 else None,
        from_ts=low if chance.random() < 0.5 else None,
        to_ts=high if chance.random() < 0.5 else None,
        processed=chance.choice((None, None, True, False)),
    )


def fits(row: Stored, wanted: EventFilter) -> bool:
    def matches(pattern: str, text: str) -> bool:
        head, star, tail = pattern.partition("*")
        if not star:
            return text == head
        return text.startswith(head) and text.endswith(tail) and len(text) >= len(head + tail)

    beats = [name.removeprefix("heartbeat.") for name in wanted.types if "heartbeat." in name]
    of_type = any(matches(name, row.type) for name in wanted.types) or (
        row.type == "heartbeat" and any(matches(one, row.source or "") for one in beats)
    )
    return (
        (of_type or not wanted.types)
        and wanted.source in (None, row.source)
        and (
            wanted.from_ts is None or (row.ts is not None and row.ts.isoformat() >= wanted.from_ts)
        )
        and (wanted.to_ts is None or (row.ts is not None and row.ts.isoformat() <= wanted.to_ts))
        and wanted.processed in (None, bool(row.processed))
    )


@pytest.mark.parametrize("few", [1, 50, 100_000])
@pytest.mark.parametrize("disorder_s", [0, 3, 300])
def test_every_combination_finds_its_events(
    database: Database,
    admin: Connection,
    monkeypatch: pytest.MonkeyPatch,
    disorder_s: int,
    few: int,
) -> None:
    monkeypatch.setattr(event_reader, "NEAR_ROWS", 1)
    monkeypatch.setattr(page_search, "FEW_ROWS", few)
    monkeypatch.setattr(page_search, "MARGINS", (2, 20))
    chance = random.Random(disorder_s * 7 + few)
    stored = list(rows(chance, disorder_s=disorder_s))
    with admin.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO events (id, type, source, ts, processed) VALUES (%s, %s, %s, %s, %s)",
            stored,
        )
    reader = EventReader(database)
    for _ in range(25):
        wanted, limit = some_filter(chance), chance.choice((1, 7, 200))
        border = chance.choice(stored).id
        expected = [row.id for row in stored if fits(row, wanted)]

        newest = reader.latest(limit, wanted)
        before = reader.before(border, limit, wanted)
        behind = reader.after(border, limit, wanted)

        assert [row.id for row in newest] == expected[::-1][:limit], wanted
        assert [row.id for row in before] == [i for i in expected[::-1] if i < border][:limit]
        assert [row.id for row in behind] == [i for i in expected if i > border][:limit]


def test_memory_takes_the_same_events_for_wanted() -> None:
    chance = random.Random(5)
    stored = [row for row in rows(chance, disorder_s=3) if row.ts is not None]
    for _ in range(200):
        wanted = some_filter(chance)
        low, high = (
            moment and timestamp(datetime.fromisoformat(moment).timestamp())
            for moment in (wanted.from_ts, wanted.to_ts)
        )
        given = EventQuery(
            types=wanted.types,
            source=wanted.source,
            processed=wanted.processed,
            from_ts=low,
            to_ts=high,
        )

        taken = [row.id for row in stored if matcher(given)(as_event(row))]

        assert taken == [row.id for row in stored if fits(row, wanted)], wanted


def as_event(row: Stored) -> Event:
    ts = "" if row.ts is None else timestamp(row.ts.timestamp())
    return Event(row.id, row.type, b"{}", ts, row.source, bool(row.processed))


@pytest.fixture
def many(admin: Connection) -> None:
    """60,000 rows, a second apart; one type, source and mark have not been seen for long."""
    admin.execute(
        "INSERT INTO events (id, type, source, ts, processed)"
        " SELECT n, CASE WHEN n <= 100 THEN 'old' WHEN n % 2 = 0 THEN 'heartbeat'"
        "  ELSE 'data.' || n % 10 END,"
        "  CASE WHEN n <= 100 THEN 'gone' ELSE 's' || n % 10 END,"
        "  '2026-01-31T00:00:00Z'::timestamptz + n * interval '1 second', n <= 100"
        " FROM generate_series(1, 60000) AS n"
    )
    admin.execute("VACUUM (ANALYZE) events")


def given(**more: Any) -> dict[str, Any]:
    bounds = {"low": 0, "high": MAX_ID, "limit": 50, "scan": 5_000}
    return bounds | parameters(EventFilter(**more))


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize(
    ("name", "wanted", "index"),
    [
        ("events_of_types", {"types": ("old",)}, "type_id"),
        ("events_of_types", {"types": ("heartbeat.gone",)}, "source_id"),
        ("events_of_source", {"source": "gone", "types": ("data.*",)}, "source_id"),
        ("events_few_of_source", {"source": "s1"}, "source_id"),
        ("events_few_marked", {}, "id_idx"),
        ("events_search", {"processed": True, "types": ("data.*",)}, "id_idx"),
    ],
)
def test_whole_searches_use_the_index_that_fits(
    admin: Connection, name: str, wanted: dict[str, Any], index: str
) -> None:
    plan = admin.execute(
        b"EXPLAIN (ANALYZE, TIMING OFF) " + query(name), given(**wanted), prepare=False
    ).fetchall()

    scanned = [line for (line,) in plan if "Scan" in line and "never executed" not in line]
    looked = [line for line in scanned if "events_p0_1000000" in line]
    assert any(index in line for line in looked), plan
    assert not any("Seq Scan on events_p0" in line for line in looked), plan


@pytest.mark.usefixtures("many")
def test_a_time_range_is_looked_for_between_two_ids(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []
    run = database.rows

    def note(statement: bytes, given: Any = None, **options: Any) -> Any:
        asked.append(given)
        return run(statement, given, **options)

    monkeypatch.setattr(database, "rows", note)
    wanted = EventFilter(
        types=("data.1",), from_ts="2026-01-31T08:20:00Z", to_ts="2026-01-31T08:21:39Z"
    )
    (first, *_) = found = EventReader(database).latest(50, wanted)

    assert (first.id, len(found)) == (30_091, 10)
    assert asked[-1]["low"] >= 30_000 - 1_001
    assert asked[-1]["high"] <= 30_100 + 1_001


@pytest.mark.usefixtures("many")
def test_rows_that_lie_far_from_their_time_are_found_all_the_same(
    database: Database, admin: Connection
) -> None:
    """As if the clock had been set back by months for one of them."""
    admin.execute("UPDATE events SET ts = '2025-06-01T00:00:30Z' WHERE id = 59000")
    reader = EventReader(database)
    wanted = EventFilter(from_ts="2025-06-01T00:00:00Z", to_ts="2025-06-01T00:01:00Z")

    assert [row.id for row in reader.after(0, 50, wanted)] == [59_000]


def test_without_the_index_of_times_pages_are_right_all_the_same(
    database: Database, admin: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_reader, "NEAR_ROWS", 1)
    admin.execute("DROP INDEX events_id_ts")
    admin.execute(
        "INSERT INTO events (id, type, ts) SELECT n, 'a',"
        " '2026-01-31T00:00:00Z'::timestamptz + n * interval '1 second'"
        " FROM generate_series(1, 5000) AS n"
    )

    page = EventReader(database).latest(2, EventFilter(to_ts="2026-01-31T00:10:00Z"))

    assert [row.id for row in page] == [600, 599]
