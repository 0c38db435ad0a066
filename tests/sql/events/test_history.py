from datetime import UTC, datetime, timedelta

import pytest
from orchestrator.sql.connection import Connection
from orchestrator.sql.events.event_filter import EventFilter
from orchestrator.sql.events.history import MARGIN_IDS, Bounds, bounds_between, pages, sizes

pytestmark = pytest.mark.db

BEGIN = datetime(2026, 1, 31, tzinfo=UTC)


@pytest.fixture
def a_day(admin: Connection) -> Connection:
    """60,000 events, one and a half seconds apart, with holes in their ids."""
    admin.execute(
        "INSERT INTO events (id, type, source, ts, payload) SELECT n * 3,"
        " CASE n % 10 WHEN 0 THEN 'heartbeat' ELSE 'data.market.AAPL.1m' END, 's' || n % 3,"
        " '2026-01-31T00:00:00Z'::timestamptz + n * interval '1.5 seconds',"
        " jsonb_build_object('n', n) FROM generate_series(1, 57600) AS n"
    )
    return admin


def test_every_event_comes_once_and_in_order(a_day: Connection) -> None:
    found = [
        e.id for page in pages(a_day, bounds_between(a_day), scan_rows=7_000) for e in page.events
    ]

    assert found == [n * 3 for n in range(1, 57_601)]


def test_a_page_holds_no_more_than_what_was_looked_at(a_day: Connection) -> None:
    sizes_of_pages = [len(page.events) for page in pages(a_day, bounds_between(a_day))]

    assert max(sizes_of_pages) <= 5_000


def test_what_is_not_wanted_is_passed_over(a_day: Connection) -> None:
    wanted = EventFilter(types=("heartbeat.s1",))

    found = [e for page in pages(a_day, bounds_between(a_day), wanted) for e in page.events]

    assert {(e.type, e.source) for e in found} == {("heartbeat", "s1")}
    assert len(found) == 1_920
    assert bytes(found[0].payload) == b'{"n": 10}'


def test_reading_goes_on_behind_the_last_id_of_a_page(a_day: Connection) -> None:
    bounds = bounds_between(a_day)
    first = next(iter(pages(a_day, bounds, scan_rows=100)))
    rest = pages(a_day, Bounds(first.last_id, bounds.up_to))

    assert first.events[-1].id == 300
    assert next(iter(rest)).events[0].id == 303


def test_bounds_lie_around_a_span_of_time(a_day: Connection) -> None:
    since, until = BEGIN + timedelta(hours=10), BEGIN + timedelta(hours=11)

    bounds = bounds_between(a_day, since, until)

    assert 24_000 * 3 - MARGIN_IDS - 10 <= bounds.after < 24_000 * 3
    assert 26_400 * 3 <= bounds.up_to <= 26_400 * 3 + MARGIN_IDS + 10


def test_a_span_of_time_has_just_its_events(a_day: Connection) -> None:
    since, until = BEGIN + timedelta(hours=10), BEGIN + timedelta(hours=11)
    wanted = EventFilter(from_ts=since.isoformat(), to_ts=until.isoformat())

    found = [
        e.id
        for page in pages(a_day, bounds_between(a_day, since, until), wanted)
        for e in page.events
    ]

    assert (found[0], found[-1], len(found)) == (24_000 * 3, 26_400 * 3, 2_401)


def test_an_empty_table_has_no_pages(admin: Connection) -> None:
    assert [page.events for page in pages(admin, bounds_between(admin))] in ([], [[]])
    assert sizes(admin).sizes == []


def test_sizes_are_told_by_day_and_type_and_add_up_to_the_disk(a_day: Connection) -> None:
    a_day.execute("INSERT INTO events (type, ts) VALUES ('late', '2026-02-03Z')")

    found = sizes(a_day)

    assert [(size.day, size.type, size.rows) for size in found.sizes] == [
        ("2026-02-03", "late", 1),
        ("2026-02-01", "heartbeat", 1),
        ("2026-01-31", "data.market.AAPL.1m", 51_840),
        ("2026-01-31", "heartbeat", 5_759),
    ]
    assert not found.estimated
    assert found.partitions == 5
    assert sum(size.bytes for size in found.sizes) == pytest.approx(found.bytes, rel=0.01)
