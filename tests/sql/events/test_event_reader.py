from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from orchestrator.sql.connection import Connection
from orchestrator.sql.database import Database
from orchestrator.sql.errors import TimedOut
from orchestrator.sql.events.event_filter import EventFilter
from orchestrator.sql.events.event_reader import EventReader, EventRow
from orchestrator.sql.events.event_writer import EventWriter

pytestmark = pytest.mark.db
Block = Callable[..., bytes]


@pytest.fixture
def reader(database: Database) -> EventReader:
    return EventReader(database)


@pytest.fixture(params=["near", "whole"])
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, admin: Connection) -> None:
    """Twelve events; looked for near first, or (with a nearness of one row) in the whole table."""
    admin.execute(
        "INSERT INTO events (id, type, source, ts, processed)"
        " SELECT n, (ARRAY['risk.alert', 'heartbeat', 'data_x', 'dataXx'])[1 + n % 4],"
        "  (ARRAY['a', 'b', NULL])[1 + n % 3],"
        "  '2026-01-31T09:00:00Z'::timestamptz + n * interval '1 minute', n % 6 = 0"
        " FROM generate_series(1, 12) AS n"
    )
    if request.param == "whole":
        monkeypatch.setattr("orchestrator.sql.events.event_reader.NEAR_ROWS", 1)


def ids(rows: list[EventRow]) -> list[int]:
    return [row.id for row in rows]


@pytest.mark.usefixtures("few")
class TestPages:
    def test_the_latest_come_newest_first(self, reader: EventReader) -> None:
        assert ids(reader.latest(3)) == [12, 11, 10]
        assert ids(reader.latest(3, up_to_id=7)) == [7, 6, 5]

    def test_pages_forward_come_oldest_first_and_keep_to_their_upper_bound(
        self, reader: EventReader
    ) -> None:
        assert ids(reader.after(0, 2)) == [1, 2]
        assert ids(reader.after(10, 5)) == [11, 12]
        assert ids(reader.after(3, 5, up_to_id=5)) == [4, 5]
        assert ids(reader.after(12, 5)) == []

    def test_pages_backward_come_newest_first(self, reader: EventReader) -> None:
        assert ids(reader.before(4, 2)) == [3, 2]
        assert ids(reader.before(1, 2)) == []

    @pytest.mark.parametrize(
        ("event_filter", "expected"),
        [
            ({"types": ("risk.alert",)}, [4, 8, 12]),
            ({"types": ("ris*", "heartbeat")}, [1, 4, 5, 8, 9, 12]),
            ({"types": ("data_*",)}, [2, 6, 10]),
            ({"types": ("*",)}, list(range(1, 13))),
            ({"types": ("nothing",)}, []),
            ({"types": ("heartbeat.b",)}, [1]),
            ({"types": ("heartbeat.*",)}, [1, 5, 9]),
            ({"types": ("heartbeat.b", "risk.*")}, [1, 4, 8, 12]),
            ({"source": "a"}, [3, 6, 9, 12]),
            ({"source": "a", "types": ("heartbeat",)}, [9]),
            ({"from_ts": "2026-01-31T09:11:00Z"}, [11, 12]),
            ({"to_ts": "2026-01-31T09:02:00.000Z"}, [1, 2]),
            ({"processed": True}, [6, 12]),
            ({"processed": False, "types": ("risk.*", "data_x")}, [2, 4, 8, 10]),
        ],
    )
    def test_each_filter_finds_its_events_in_both_directions(
        self, reader: EventReader, event_filter: dict[str, Any], expected: list[int]
    ) -> None:
        wanted = EventFilter(**event_filter)

        assert ids(reader.after(0, 50, wanted)) == expected
        assert ids(reader.latest(50, wanted)) == expected[::-1]
        assert ids(reader.latest(1, wanted)) == expected[-1:]
        assert ids(reader.after(0, 2, wanted)) == expected[:2]


def test_a_row_is_ready_to_be_encoded(
    reader: EventReader, writer: EventWriter, block: Block
) -> None:
    writer.store(block(5, payload=b'{"price":1.50,"name":"\xc3\xa9"}'))

    row = reader.get(5)

    assert row is not None
    assert msgspec.json.decode(msgspec.json.encode(row)) == {
        "id": 5,
        "type": "a.b",
        "payload": {"price": 1.5, "name": "é"},
        "ts": "2026-01-31T09:30:00.123Z",
        "source": "quotes",
        "processed": False,
    }
    assert b"1.50" in bytes(row.payload)


def test_an_id_that_is_not_there_is_none(reader: EventReader) -> None:
    assert reader.get(5) is None
    assert reader.newest_id() == 0


def test_rows_of_other_programs_may_lack_time_and_mark(
    reader: EventReader, admin: Connection
) -> None:
    admin.execute("INSERT INTO events (id, type, ts, processed) VALUES (1, 'x', NULL, NULL)")

    (row,) = reader.latest(1, EventFilter(processed=False))

    assert row.ts is not None
    assert row.processed is False


@pytest.mark.parametrize(
    "more", [{}, {"types": ("a*",)}, {"source": "q"}, {"from_ts": "2026-01-01"}]
)
def test_a_chain_is_its_first_event_and_all_that_name_it(
    reader: EventReader, admin: Connection, more: dict[str, Any]
) -> None:
    payloads = [
        {"boot": "b", "seq": 4},
        {"boot": "b", "seq": 5},
        {"boot": "b", "seq": 4, "id": "own"},
        {"boot": "b", "seq": 4, "id": 7},
        {"correlation_id": "b/q/a.b/4"},
        {"id": "b/q/a.b/4"},
        {"correlation_id": ["b/q/a.b/4"]},
        "b/q/a.b/4",
    ]
    for at, payload in enumerate(payloads):
        body = msgspec.json.encode(payload).decode()
        admin.execute(
            "INSERT INTO events (id, type, source, payload) VALUES (%s, 'a.b', 'q', %s)", (at, body)
        )

    found = reader.after(0, 50, EventFilter(chain="b/q/a.b/4", **more))
    first = reader.after(-1, 1, EventFilter(chain="b/q/a.b/4", **more))

    assert ids(found) == [3, 4, 5]
    assert ids(first) == [0]
    assert ids(reader.latest(50, EventFilter(chain="order-1", **more))) == []


def test_marking_tells_the_ids_that_are_missing(
    reader: EventReader, writer: EventWriter, block: Block
) -> None:
    writer.store(block(1, 2, 3))

    assert reader.mark_processed([3, 9, 1]) == ([3, 1], [9])
    assert ids(reader.latest(9, EventFilter(processed=True))) == [3, 1]
    assert reader.newest_id() == 3


def test_types_of_a_small_table_are_counted(reader: EventReader, admin: Connection) -> None:
    admin.execute(
        "INSERT INTO events (type, ts) SELECT 'often', now() FROM generate_series(1, 300);"
        "INSERT INTO events (type, ts) VALUES ('rare', '2026-01-31T09:30:00.123Z')"
    )

    often, rare = reader.types()

    assert (often.type, often.count, often.last_id, often.per_minute) == ("often", 300, 300, 60.0)
    assert (rare.type, rare.count, rare.last_ts) == ("rare", 1, "2026-01-31T09:30:00.123Z")
    assert not often.estimated
    assert rare.per_minute == 0


def test_types_of_a_large_table_are_estimated_but_for_rare_ones(
    reader: EventReader, admin: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.sql.events.event_reader.COUNTED_PAGES", 300)
    admin.execute(
        "INSERT INTO events (type) SELECT 'often' FROM generate_series(1, 60000);"
        "INSERT INTO events (type) VALUES ('rare'), ('rare')"
    )

    often, rare = reader.types()

    assert often.estimated
    assert often.count == pytest.approx(60_000, rel=0.5)
    assert (rare.count, rare.estimated) == (2, False)


def test_an_empty_table_has_no_types(reader: EventReader) -> None:
    assert reader.types() == []


def test_a_read_that_takes_too_long_is_ended(
    pg_url: str, admin: Connection, open_database: Callable[..., Database]
) -> None:
    reader = EventReader(open_database(pg_url, statement_timeout_ms=100))
    admin.execute("BEGIN; LOCK TABLE events")

    with pytest.raises(TimedOut):
        reader.latest(1)

    admin.execute("ROLLBACK")
    assert reader.latest(1) == []


def test_whole_searches_use_their_index(admin: Connection) -> None:
    admin.execute(
        "INSERT INTO events (type, source) SELECT 'data.' || n % 50, 's' || n % 100"
        " FROM generate_series(1, 50000) AS n; ANALYZE events"
    )

    plan = admin.execute(
        "EXPLAIN SELECT id FROM events WHERE source = 's7' ORDER BY id DESC LIMIT 50"
    ).fetchall()

    assert "_source_id" in str(plan)  # of whichever partition
