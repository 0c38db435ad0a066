from typing import Any

import msgspec
import pytest
from orchestrator.actors.event_query import (
    MAX_PAGE_BYTES,
    DatabaseRange,
    EventPage,
    EventQuery,
    NeedsDatabase,
)
from orchestrator.actors.events import Event
from orchestrator.actors.recent_events import EventWindow


def event(event_id: int, type_: str = "a", source: str | None = None, second: int = 0) -> Event:
    return Event(event_id, type_, b"{}", f"2026-01-31T09:30:{second:02d}.000Z", source)


def window_of(ids: range, **arguments: Any) -> EventWindow:
    window = EventWindow(**arguments)
    for event_id in ids:
        window.append((event(event_id),), 2)
    return window


def ask(window: EventWindow, committed_id: int = 0, **query: Any) -> EventPage | NeedsDatabase:
    return window.ask(EventQuery(**query), committed_id)


def page(window: EventWindow, **query: Any) -> EventPage:
    answer = ask(window, **query)
    assert isinstance(answer, EventPage)
    return answer


def needs(window: EventWindow, committed_id: int = 0, **query: Any) -> NeedsDatabase:
    answer = ask(window, committed_id, **query)
    assert isinstance(answer, NeedsDatabase)
    return answer


def ids(answer: EventPage | NeedsDatabase) -> list[int]:
    events = answer.events if isinstance(answer, EventPage) else answer.part
    return [found.id for found in events]


def test_the_latest_come_newest_first() -> None:
    latest = page(window_of(range(1, 11)), limit=3)

    assert ids(latest) == [10, 9, 8]
    assert latest.cursor == 10
    assert latest.has_more


def test_a_follower_gets_the_oldest_behind_its_cursor_and_misses_nothing() -> None:
    window = window_of(range(1, 8))
    seen: list[int] = []
    cursor = 0
    while True:
        answer = page(window, after=cursor, limit=3)
        seen += reversed(ids(answer))
        cursor = answer.cursor
        if not answer.has_more:
            break

    assert seen == [1, 2, 3, 4, 5, 6, 7]
    assert cursor == 7


def test_a_page_of_large_events_ends_early_and_its_cursor_brings_the_rest() -> None:
    payload = b'"' + b"x" * (MAX_PAGE_BYTES // 4) + b'"'
    window = EventWindow()
    for event_id in range(1, 11):
        window.append((Event(event_id, "a", payload, "", None),), len(payload))

    followed, cursor = [], 0
    while True:
        answer = page(window, after=cursor)
        followed += ids(answer)[::-1]
        if not answer.has_more:
            break
        assert len(answer.events) == 3
        cursor = answer.cursor

    assert followed == list(range(1, 11))
    latest = page(window)
    assert (ids(latest), latest.cursor, latest.has_more) == ([10, 9, 8], 10, True)


def test_an_event_too_large_for_a_page_has_one_of_its_own() -> None:
    window = EventWindow()
    for event_id in (1, 2):
        payload = b"1" * (MAX_PAGE_BYTES + 1)
        window.append((Event(event_id, "a", payload, "", None),), len(payload))

    assert ids(page(window, after=0)) == [1]


def test_paging_backwards_goes_below_the_given_id() -> None:
    window = window_of(range(1, 11))

    earlier = page(window, before=6, limit=3)

    assert ids(earlier) == [5, 4, 3]
    assert earlier.has_more
    assert earlier.cursor == 5
    assert ids(page(window, before=3, limit=3)) == [2, 1]
    assert not page(window, before=3, limit=3).has_more


def test_when_nothing_is_older_memory_answers_alone() -> None:
    assert ids(page(window_of(range(1, 3)), limit=50)) == [2, 1]
    assert page(EventWindow(floor_id=0), limit=50) == EventPage((), 0, has_more=False)


def test_the_cursor_is_the_newest_id_even_when_a_filter_hides_it() -> None:
    window = window_of(range(1, 5))
    window.append((event(5, "b"),), 2)

    assert page(window, after=0, types=("a",)).cursor == 5
    assert page(window, after=0, types=("a",), limit=2).cursor == 2
    assert page(window, types=("a",)).cursor == 5


def test_what_is_older_than_memory_is_the_databases() -> None:
    window = window_of(range(100, 105))

    latest = needs(window, 104, limit=10)
    assert ids(latest) == [104, 103, 102, 101, 100]
    assert latest.rows_wanted() == DatabaseRange(None, 99, 6, oldest_first=False)
    whole = latest.complete([event(99), event(98), event(97)])
    assert whole is not None
    assert ids(whole) == [104, 103, 102, 101, 100, 99, 98, 97]
    assert not whole.has_more


def test_a_page_from_before_memory_runs_on_into_it() -> None:
    window = window_of(range(100, 105))

    following = needs(window, 99, after=97, limit=4)
    assert following.rows_wanted() == DatabaseRange(97, 99, 5, oldest_first=True)
    whole = following.complete([event(98), event(99)])

    assert whole is not None
    assert ids(whole) == [101, 100, 99, 98]
    assert whole.has_more
    assert whole.cursor == 101


def test_a_page_never_passes_over_ids_that_nobody_can_read_yet() -> None:
    window = window_of(range(100, 105), floor_id=99)

    assert needs(window, 50, limit=10).rows_wanted() is None
    assert needs(window, 50, before=100).rows_wanted() is None
    assert needs(window, 50, before=51).rows_wanted() == DatabaseRange(None, 50, 51, False)
    following = needs(window, 50, after=45, limit=2)
    assert following.rows_wanted() == DatabaseRange(45, 50, 3, oldest_first=True)
    assert following.complete([event(49), event(50)]) is None
    full = following.complete([event(46), event(47), event(48)])
    assert full is not None
    assert ids(full) == [47, 46]
    assert full.cursor == 47


def test_pages_that_memory_covers_do_not_touch_the_database() -> None:
    window = window_of(range(100, 105))

    assert ids(page(window, after=99)) == [104, 103, 102, 101, 100]
    assert ids(page(window, after=104)) == []
    assert page(window, after=104).cursor == 104


def test_a_new_window_knows_nothing_of_the_past() -> None:
    window = EventWindow()

    asked = needs(window)
    assert asked.rows_wanted() == DatabaseRange(None, None, 51, oldest_first=False)
    assert asked.complete([event(7)]) == EventPage((event(7),), 7, has_more=False)
    assert needs(window, before=5).rows_wanted() == DatabaseRange(None, 4, 51, False)


def test_the_oldest_go_when_there_are_too_many() -> None:
    window = window_of(range(1, 5001), max_events=3000)

    assert len(window) <= 3000
    floor = window.floor_id
    assert floor is not None
    assert floor >= 2000
    assert window.get(floor) is None
    assert window.get(floor + 1) == event(floor + 1)


def test_the_oldest_go_when_they_are_too_large() -> None:
    window = EventWindow(max_bytes=1_000_000)
    for event_id in range(1, 30):
        window.append([event(event_id)] * 1, 100_000)
        window._chunks[-1].events += [event(event_id)] * 1024

    assert window.size_bytes <= 1_000_000
    assert window.floor_id == 20


def test_of_large_events_as_many_stay_as_fit() -> None:
    window = EventWindow(max_bytes=1_000_000)
    for event_id in range(1, 101):
        window.append((event(event_id),), 50_000)

        assert window.size_bytes <= 1_000_000
        assert len(window) >= min(event_id, 18)


def test_a_page_that_its_size_ends_needs_nothing_older() -> None:
    window = EventWindow()
    payload = b" " * (MAX_PAGE_BYTES // 4)
    for event_id in range(100, 110):
        large = msgspec.structs.replace(event(event_id), payload=payload)
        window.append((large,), len(payload))

    latest = page(window, limit=50)

    assert ids(latest) == [109, 108, 107, 106]
    assert latest.has_more
    assert latest.cursor == 109
    assert ids(page(window, before=108, limit=50)) == [107, 106, 105, 104]
    assert ids(needs(window, before=103, limit=50)) == [102, 101, 100]


def test_filters_look_at_type_source_times_and_marks() -> None:
    window = EventWindow(floor_id=0)
    window.append(
        (
            event(1, "data.market.AAPL.1m", "q", 1),
            event(2, "heartbeat", "dev", 2),
            event(3, "heartbeat", None, 3),
            event(4, "strategy.candidate", "dev", 4),
        ),
        8,
    )
    window.mark_processed([2, 77])

    assert ids(page(window, types=("data.*", "strategy.candidate"))) == [4, 1]
    assert ids(page(window, types=("heartbeat",))) == [3, 2]
    assert ids(page(window, types=("heartbeat.dev",))) == [2]
    assert ids(page(window, types=("heartbeat.d*",))) == [2]
    assert ids(page(window, source="dev")) == [4, 2]
    assert ids(page(window, from_ts="2026-01-31T09:30:03.000Z")) == [4, 3]
    assert ids(page(window, to_ts="2026-01-31T09:30:03.000Z")) == [3, 2, 1]
    assert ids(page(window, processed=True)) == [2]
    assert ids(page(window, processed=False)) == [4, 3, 1]


def test_a_chain_is_its_first_event_and_all_that_name_it() -> None:
    payloads = (
        b'{"boot":"b","seq":4}',
        b'{"boot":"b","seq":5}',
        b'{"correlation_id":"b/q/a/4","n":{"deep":[1]}}',
        b'{"id":"b/q/a/4"}',
        b'["b/q/a/4"]',
        b'"b/q/a/4"',
    )
    window = EventWindow(floor_id=0)
    events = [Event(at, "a", body, "", "q") for at, body in enumerate(payloads, 1)]
    window.append(events, 8)

    assert ids(page(window, chain="b/q/a/4")) == [4, 3, 1]
    assert ids(page(window, chain="own")) == []


def test_one_event_can_be_found_replaced_and_taken_out() -> None:
    window = window_of(range(1, 3000, 2))

    assert window.replace(event(5, "bus.rejected"))
    assert window.get(5) == event(5, "bus.rejected")
    assert window.get(6) is None
    assert window.get(9999) is None
    assert not window.replace(event(6))
    assert window.remove(7)
    assert not window.remove(7)
    assert ids(page(window, after=3, limit=2)) == [9, 5]


def test_a_chunk_whose_last_event_is_taken_out_goes() -> None:
    window = window_of(range(1, 2))

    assert window.remove(1)
    assert len(window) == 0
    assert window.size_bytes == 0


def test_others_rows_raise_the_floor_only_where_memory_has_nothing() -> None:
    window = EventWindow()
    window.raise_floor(500)
    assert ids(page(window, after=500)) == []
    assert page(window, after=500).cursor == 500
    assert needs(window, 500, after=499)

    window.append((event(501),), 2)
    window.raise_floor(800)
    assert window.floor_id == 500
    window.raise_floor(400)
    assert window.floor_id == 500


def test_a_long_look_pauses_and_answers_for_the_moment_of_the_call() -> None:
    window = window_of(range(1, 4000))
    pauses: list[int] = []

    def pause() -> None:
        pauses.append(1)
        window.append((event(4000 + len(pauses), "z"),), 2)

    answer = window.ask(EventQuery(types=("z",), after=0), 0, pause)

    assert isinstance(answer, EventPage)
    assert len(pauses) == 4
    assert answer.cursor == max([3999, *ids(answer)])
    for missed in range(4001, 4005):
        assert missed in ids(answer) or missed > answer.cursor


@pytest.mark.parametrize("limit", [1, 200])
def test_limits_hold_over_chunks(limit: int) -> None:
    assert len(page(window_of(range(1, 3000)), limit=limit).events) == limit
