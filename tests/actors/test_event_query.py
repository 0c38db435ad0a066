from orchestrator.actors.event_query import (
    EventPage,
    EventQuery,
    NeedsDatabase,
    matcher,
    page_of,
    type_test,
    with_others,
)
from orchestrator.actors.events import Event


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
