from collections.abc import Iterator
from typing import Any

import gevent
import msgspec
import pytest
from orchestrator.actors.broadcaster.clients import Clients
from orchestrator.actors.event_query import EventQuery
from orchestrator.actors.events import Event
from orchestrator.actors.messages.event_persister import GetEvent, GetEvents, StillStoring
from orchestrator.actors.recent_events import EventWindow
from orchestrator.http.api.event_pages import (
    _TURN_BYTES,
    CACHE_S,
    EncodedPage,
    EventPages,
    PageCache,
    encode_events,
)
from orchestrator.http.errors import Unavailable
from orchestrator.runtime import Actor, Address, start_actor, stop_actor
from orchestrator.sql.events.event_filter import EventFilter
from orchestrator.sql.events.event_reader import OWN_IDS_END

PAGE = EncodedPage(b"[]" * 50, 7, True)


def event(**fields: object) -> Event:
    known: dict[str, object] = {
        "id": 1,
        "type": "a",
        "payload": b'{"x": 1.10}',
        "ts": "2026-01-31T09:30:00.123Z",
        "source": None,
    }
    return Event(**(known | fields))  # type: ignore[arg-type] # by name


def test_a_page_is_kept_for_ten_seconds() -> None:
    cache = PageCache()
    cache.put("a", PAGE, now=100.0, revision=0)

    assert cache.get("a", now=100.0 + CACHE_S - 0.01, revision=0) is PAGE
    assert cache.get("a", now=100.0 + CACHE_S, revision=0) is None
    assert cache.size_bytes == 0


def test_a_changed_event_empties_the_cache() -> None:
    cache = PageCache()
    cache.put("a", PAGE, now=0.0, revision=0)

    assert cache.get("a", now=0.0, revision=1) is None
    assert cache.get("a", now=0.0, revision=0) is None
    assert cache.size_bytes == 0


def test_pages_are_bounded_in_number_and_the_least_used_goes() -> None:
    cache = PageCache(max_pages=2)
    cache.put("a", PAGE, now=0.0, revision=0)
    cache.put("b", PAGE, now=0.0, revision=0)
    cache.get("a", now=0.0, revision=0)
    cache.put("c", PAGE, now=0.0, revision=0)

    kept = [key for key in "abc" if cache.get(key, now=0.0, revision=0)]
    assert kept == ["a", "c"]


def test_pages_are_bounded_in_bytes() -> None:
    cache = PageCache(max_bytes=250)

    for key in range(100):
        cache.put(key, PAGE, now=0.0, revision=0)
        assert cache.size_bytes <= 250


def test_putting_a_page_again_counts_it_once() -> None:
    cache = PageCache()
    cache.put("a", PAGE, now=0.0, revision=0)
    cache.put("a", PAGE, now=0.0, revision=0)

    assert cache.size_bytes == len(PAGE.events)


def test_a_page_larger_than_the_cache_is_not_kept() -> None:
    cache = PageCache(max_bytes=10)
    cache.put("a", PAGE, now=0.0, revision=0)

    assert cache.get("a", now=0.0, revision=0) is None


def test_payloads_are_shown_as_they_were_published() -> None:
    assert b'"payload":{"x": 1.10}' in encode_events([event()])


def test_a_cache_may_be_full_to_the_byte() -> None:
    cache = PageCache(max_bytes=2 * PAGE.size_bytes, max_pages=10)
    cache.put("a", PAGE, now=0.0, revision=0)
    cache.put("b", PAGE, now=0.0, revision=0)

    assert cache.get("a", now=0.0, revision=0) is PAGE


@pytest.mark.parametrize(("size", "yields"), [(_TURN_BYTES, 0), (_TURN_BYTES + 1, 1)])
def test_encoding_yields_after_more_than_a_megabyte(size: int, yields: int) -> None:
    empty = len(encode_events([event(payload=b'""')])) - len("[]")
    row = event(payload=b'"' + b"x" * (size - empty) + b'"')
    others: list[int] = []
    other = gevent.spawn(others.append, 1)

    assert len(encode_events([row])) == size + len("[]")

    assert len(others) == yields
    other.join()


# -- memory and PostgreSQL -------------------------------------------------------------------------


class Memory(Actor):
    """A persister that stores nothing, and answers questions only."""

    def __init__(self, window: EventWindow) -> None:
        super().__init__()
        self.window = window
        self.committed_id = 0
        self.out_of_reach = False
        self.asked = 0

    def on_receive(self, message: object) -> Any:
        if isinstance(message, GetEvents):
            self.asked += 1
            return self.window.ask(message.query, self.committed_id, None)
        assert isinstance(message, GetEvent)
        return self.window.get(message.id) or (StillStoring() if self.out_of_reach else None)


class Table:
    """PostgreSQL's rows, by the two ways that pages are read."""

    def __init__(self) -> None:
        self.rows: list[Event] = []
        self.filters: list[EventFilter] = []

    def get(self, event_id: int) -> Event | None:
        return next((row for row in self.rows if row.id == event_id), None)

    def after(self, after: int, limit: int, narrowed: EventFilter, *, up_to_id: int) -> list[Event]:
        self.filters.append(narrowed)
        return [row for row in self.rows if after < row.id <= up_to_id][:limit]

    def latest(self, limit: int, narrowed: EventFilter, *, up_to_id: int) -> list[Event]:
        self.filters.append(narrowed)
        assert up_to_id <= OWN_IDS_END
        return [row for row in self.rows[::-1] if row.id <= up_to_id][:limit]


class Desk:
    """Pages of events 1 to 20, of which memory has those from 11 on."""

    def __init__(self) -> None:
        window = EventWindow(floor_id=10)
        window.append([event(id=number) for number in range(11, 21)], 100)
        self.memory = Memory(window)
        self.memory.committed_id = 10
        self.table = Table()
        self.table.rows = [event(id=number) for number in range(1, 11)]
        self.clients = Clients()
        self.clients.newest_id = 20
        address = start_actor(self.memory, Address("memory"))
        self.pages = EventPages(address, self.clients, self.table)  # type: ignore[arg-type] # rows

    def ids(self, *, ascending: bool = False, **query: Any) -> list[int]:
        page = self.pages.page(EventQuery(**query), ascending=ascending)
        return [row["id"] for row in msgspec.json.decode(page.events)]


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    stop_actor(made.memory)


def test_what_memory_covers_is_not_asked_of_postgresql(desk: Desk) -> None:
    assert desk.ids(limit=3) == [20, 19, 18]
    assert desk.ids(limit=3, ascending=True) == [18, 19, 20]
    assert desk.ids(limit=3, after=12) == [15, 14, 13]
    assert desk.table.filters == []


def test_a_page_goes_on_in_postgresql(desk: Desk) -> None:
    assert desk.ids(limit=12) == list(range(20, 8, -1))
    assert desk.ids(limit=3, after=0) == [3, 2, 1]
    assert desk.ids(limit=4, after=8) == [12, 11, 10, 9]
    assert desk.ids(limit=3, before=6) == [5, 4, 3]
    assert desk.table.filters == [EventFilter()] * 4


def test_postgresql_gets_the_filters(desk: Desk) -> None:
    desk.ids(limit=50, types=("a",), source="s", chain="c")

    assert desk.table.filters == [EventFilter(("a",), "s", chain="c")]


def test_a_new_journal_has_no_upper_bound_in_postgresql() -> None:
    desk = Desk()
    desk.memory.window.reset(None)

    assert desk.ids(limit=3) == [10, 9, 8]
    stop_actor(desk.memory)


@pytest.mark.parametrize("query", [{"limit": 12}, {"limit": 50, "after": 2}])
def test_a_page_that_would_skip_ids_is_503(desk: Desk, query: dict[str, Any]) -> None:
    desk.memory.committed_id = 5
    desk.table.rows = desk.table.rows[:5]

    with pytest.raises(Unavailable, match="still being stored"):
        desk.ids(**query)


def test_a_single_event_is_looked_for_in_memory_then_in_postgresql(desk: Desk) -> None:
    found = [desk.pages.get(number) for number in (20, 10, 21)]

    assert [one and one.id for one in found] == [20, 10, None]


def test_an_event_that_may_still_be_stored_is_503(desk: Desk) -> None:
    desk.memory.out_of_reach = True

    assert getattr(desk.pages.get(10), "id", None) == 10
    with pytest.raises(Unavailable, match="still be on its way"):
        desk.pages.get(21)


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ({"limit": 3}, 2),  # a newer event would change it
        ({"limit": 3, "after": 12}, 1),
        ({"limit": 8, "after": 12}, 2),  # there is room for newer ones
        ({"limit": 3, "before": 21}, 1),
        ({"limit": 3, "before": 22}, 2),  # 21 may still come
    ],
)
def test_a_page_is_kept_if_no_newer_event_can_change_it(
    desk: Desk, query: dict[str, Any], asked: int
) -> None:
    assert desk.ids(**query) == desk.ids(**query)

    assert desk.memory.asked == asked


def test_before_anything_was_shown_no_page_is_kept(desk: Desk) -> None:
    desk.clients.newest_id = None
    desk.ids(limit=3, before=15)
    desk.ids(limit=3, before=15)

    assert desk.memory.asked == 2


def test_a_page_is_read_anew_when_older_events_were_changed(desk: Desk) -> None:
    for change in (desk.pages.forget, lambda: None):
        desk.ids(limit=3, before=15)
        change()
    desk.clients.replaced += 1
    desk.ids(limit=3, before=15)

    assert desk.memory.asked == 3


def test_a_page_that_changes_while_it_is_read_is_not_kept(desk: Desk) -> None:
    read = desk.table.latest

    def changing(*given: Any, **named: Any) -> list[Event]:
        desk.clients.replaced += 1
        return read(*given, **named)

    desk.table.latest = changing  # type: ignore[method-assign]
    desk.ids(limit=3, before=6)
    desk.ids(limit=3, before=6)

    assert desk.memory.asked == 2
