import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from orchestrator.actors.event_query import (
    MAX_FILTERED_BYTES,
    EventPage,
    EventQuery,
    NeedsDatabase,
    matcher,
    page_of,
    type_test,
    where_test,
    with_others,
)
from orchestrator.actors.events import Event
from orchestrator.protocol.where import Subject, where


def event(event_id: int, second: int = 0) -> Event:
    return Event(event_id, "a", b"{}", f"2026-01-31T09:30:{second:02d}.000Z", None)


def ids(page: EventPage) -> list[int]:
    return [found.id for found in page.events]


def test_a_page_forward_ends_at_its_highest_id_while_there_are_newer_ones() -> None:
    found = [event(n) for n in (4, 5, 6)]

    whole = page_of(EventQuery(after=3, limit=3), found, 9)
    part = page_of(EventQuery(after=3, limit=2), found, 9)

    assert (ids(whole), whole.cursor, whole.has_more) == ([6, 5, 4], 9, False)
    assert (ids(part), part.cursor, part.has_more) == ([5, 4], 5, True)


def test_types_are_names_patterns_or_one_agents_heartbeats() -> None:
    wanted = type_test(("data.*", "heartbeat.dev"))
    heartbeat = Event(1, "heartbeat", b"{}", "", "dev")

    assert wanted(heartbeat)
    assert not wanted(Event(1, "heartbeat", b"{}", "", "other"))
    assert wanted(Event(1, "data.x", b"{}", "", None))
    assert not wanted(event(1))


def test_without_filters_all_matches() -> None:
    assert matcher(EventQuery())(event(1))
    assert not EventQuery().filtered


def mixed(query: EventQuery, *others: Event, has_more: bool = False) -> tuple[list[int], EventPage]:
    """A page of ours at seconds 30, 20 and 10 with the rows of others in it."""
    ours = tuple(event(n, second=n * 10) for n in (3, 2, 1))
    found = with_others(EventPage(ours, 3, has_more), query, others)
    return ids(found), found


def test_rows_of_others_stand_where_their_time_says_and_move_no_cursor() -> None:
    rows = [event(10**9, second=25), event(-4, second=15), event(999, second=1)]

    found, whole = mixed(EventQuery(), *rows)

    assert found == [3, 10**9, 2, -4, 1, 999]
    assert (whole.cursor, whole.has_more) == (3, False)


def test_what_does_not_fit_any_more_is_more() -> None:
    found, whole = mixed(EventQuery(limit=3), event(99, second=25))

    assert found == [3, 99, 2]
    assert (whole.cursor, whole.has_more) == (3, True)


def test_rows_older_than_a_page_that_has_more_are_of_the_next_one() -> None:
    assert mixed(EventQuery(), event(99, second=5), has_more=True)[0] == [3, 2, 1]


def test_a_row_that_the_page_has_already_is_not_repeated() -> None:
    assert mixed(EventQuery(), event(2, second=25))[0] == [3, 2, 1]


def test_our_order_is_that_of_ids_even_where_the_clock_was_set_back() -> None:
    ours = (event(3, second=1), event(2, second=30), event(1, second=10))

    found = with_others(EventPage(ours, 3, has_more=False), EventQuery(), [event(99, second=20)])

    assert ids(found) == [99, 3, 2, 1]


def test_a_page_that_postgresql_completes_has_them_too() -> None:
    part, others = (event(6, second=20),), (event(77, second=15),)
    asked = NeedsDatabase(EventQuery(), part, 5, 5, 6, others)

    done = asked.complete([event(5, second=10)])

    assert done is not None
    assert ids(done) == [6, 77, 5]


def test_a_filter_is_one_of_the_tests() -> None:
    wanted = matcher(EventQuery(where="data.n > 1", source="s"))

    def numbered(n: int, source: str = "s") -> Event:
        return Event(1, "a", b'{"n": %d}' % n, "", source)

    assert [wanted(numbered(n)) for n in (1, 2)] == [False, True]
    assert not wanted(numbered(2, "other"))
    assert not wanted(Event(1, "a", b"\xff", "", "s"))
    assert EventQuery(where="data.n > 1").filtered


def test_a_page_of_which_only_a_part_was_examined_says_how_far() -> None:
    forward, backward = EventQuery(after=3, where="x"), EventQuery(where="x")

    older = NeedsDatabase(forward, (event(90),), 80, 85, 95).partial([event(4), event(9)], 60)
    newer = NeedsDatabase(backward, (event(90),), 80, 85, 95).partial([event(70)], 60)

    assert (ids(older), older.cursor, older.has_more, older.looked_to) == ([9, 4], 60, True, 60)
    assert (ids(newer), newer.cursor, newer.has_more, newer.looked_to) == ([90, 70], 95, True, 60)


def test_a_full_page_goes_on_below_its_last() -> None:
    query = EventQuery(limit=2, where="x")

    full = page_of(query, [event(n) for n in (9, 7, 5)], 9)
    last = page_of(query, [event(n) for n in (9, 7)], 9)

    assert (full.has_more, full.looked_to) == (True, 7)
    assert (last.has_more, last.looked_to) == (False, None)


def test_rows_of_others_never_push_a_page_of_ours_beyond_where_it_goes_on() -> None:
    query = EventQuery(limit=3, where="x", others=True)
    page = EventPage((event(9, 9), event(7, 7)), 9, has_more=True, looked_to=5)
    others = [event(100 + n, 30 + n) for n in range(9, 0, -1)]

    found = with_others(page, query, others)

    assert ids(found) == [109, 108, 9]
    assert (found.has_more, found.looked_to) == (True, 9)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-9, 9) | st.text("ab\\é"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=8,
)
FILTERS = (
    *("data != null", "data.a == null", "data.a.b >= 0", 'data.a < "b"', "data.b.c.a != true"),
    *('data == "a"', 'trace != "a"', 'severity == "warning"'),
)


@settings(deadline=None)
@given(JSON, st.sampled_from(FILTERS), st.sampled_from(["risk.killswitch", "strategy.x"]))
def test_a_payload_read_level_by_level_is_the_same_payload(data: Any, text: str, kind: str) -> None:
    payload = json.dumps(data).encode()
    plain = Subject(kind, None, payload)

    assert where_test(text)(Event(1, kind, payload, "", None)) is where(text)(plain)


def test_a_filter_does_not_look_into_the_largest_payloads() -> None:
    wanted = where_test("data.n == 1")

    def padded(size: int) -> Event:
        head = b'{"n": 1, "x": "'
        return Event(1, "a", head + b"x" * (size - len(head) - 2) + b'"}', "", None)

    assert wanted(padded(MAX_FILTERED_BYTES))
    assert not wanted(padded(MAX_FILTERED_BYTES + 1))
    assert where_test('topic == "a"')(padded(MAX_FILTERED_BYTES + 1))
