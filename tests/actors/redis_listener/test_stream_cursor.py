from typing import Any

import msgspec
import pytest
from orchestrator.actors.messages.durable_stream import StreamItem
from orchestrator.actors.redis_listener.stream_cursor import (
    UNKNOWN,
    StreamCursor,
    StreamFacts,
    item_of,
    read_facts,
)
from orchestrator.sql.events.stream_position import StreamPosition

SINCE, NOW = "2026-01-31T09:30:00.000Z", "2026-01-31T09:30:05.000Z"


def entry(number: int) -> list[Any]:
    return [b"%d-0" % number, [b"channel", b"strategy.x", b"payload", b"{}"]]


def facts(last: int, added: int, first: int | None = 1) -> StreamFacts:
    return StreamFacts((last, 0), None if first is None else (first, 0), added)


def take(
    book: StreamCursor, *numbers: int, found: StreamFacts | None
) -> tuple[tuple[StreamItem, ...], bool]:
    entries = [entry(number) for number in numbers]
    return book.take(entries, found, now_ms=5, now=NOW, since=SINCE)


def gaps(items: tuple[StreamItem, ...]) -> list[Any]:
    return [msgspec.json.decode(item.event.payload) for item in items if item.event is not None]


def counted(last: int, read: int) -> StreamCursor:
    return StreamCursor(StreamPosition(0, last, 0, read, 1))


def test_entries_are_read_in_order_with_the_place_where_each_ends() -> None:
    book = counted(1, 1)

    items, at_end = take(book, 2, 3, found=facts(3, 3))

    assert at_end
    assert [(item.position.ms, item.position.entries_read) for item in items if item.position] == [
        (2, 2),
        (3, 3),
    ]
    assert gaps(items) == []


def test_with_more_behind_the_end_is_not_reached_and_nothing_is_claimed() -> None:
    items, at_end = take(counted(1, 1), 2, 3, found=facts(9, 20))

    assert not at_end
    assert gaps(items) == []


def test_entries_trimmed_before_they_were_read_are_one_exact_gap() -> None:
    book = counted(1, 1)

    items, _ = take(book, 8, 9, found=facts(9, 9, first=8))

    assert gaps(items) == [
        {"cause": "stream", "from": SINCE, "to": NOW, "stream": "orchestrator:events", "count": 6}
    ]
    assert items[-1].position == book.position
    assert gaps(take(book, found=facts(9, 9))[0]) == []


def test_entries_deleted_at_the_end_are_counted_too() -> None:
    book = counted(1, 1)

    first, at_end = take(book, 2, found=facts(4, 4))
    items, then_at_end = take(book, found=facts(4, 4))

    assert (at_end, then_at_end) == (False, True)
    assert [gap["count"] for gap in gaps((*first, *items))] == [2]
    assert book.position.ms == 4


def test_all_entries_deleted_are_counted() -> None:
    items, _ = take(counted(1, 1), found=facts(5, 5, first=None))

    assert [gap["count"] for gap in gaps(items)] == [4]


def test_an_entry_added_between_two_answers_is_no_gap() -> None:
    items, at_end = take(counted(1, 1), found=facts(2, 2, first=2))

    assert (items, at_end) == ((), False)


def test_a_stream_that_is_gone_is_one_gap_that_nobody_can_count() -> None:
    book = counted(7, 7)

    items, _ = take(book, found=None)

    assert [gap["count"] for gap in gaps(items)] == [None]
    assert book.position == StreamPosition(1, 0, 0, 0, 5)
    assert take(book, found=None)[0] == ()
    again, _ = take(StreamCursor(book.position), found=None)
    assert again == ()


def test_after_that_everything_is_read_from_the_beginning_and_counted_exactly() -> None:
    book = counted(7, 7)
    take(book, found=None)

    items, _ = take(book, 5, 6, found=facts(6, 4))

    assert [item.channel for item in items] == [b"strategy.x", b"strategy.x", b""]
    assert [gap["count"] for gap in gaps(items)] == [2]


def test_a_stream_that_was_flushed_and_begun_anew_in_between_is_noticed_by_its_counter() -> None:
    book = counted(7, 7)

    items, _ = take(book, 8, 9, found=facts(9, 2, first=8))

    assert len(items) == 3
    assert [gap["count"] for gap in gaps(items)] == [None]
    assert (book.position.generation, book.position.entries_read) == (1, 2)


def test_a_stream_restored_from_an_older_copy_is_not_read_twice() -> None:
    book = counted(7, 7)

    items, at_end = take(book, found=facts(5, 5))

    assert at_end
    assert [gap["count"] for gap in gaps(items)] == [None]
    assert (book.position.ms, book.position.entries_read) == (5, 5)
    assert [item.channel for item in take(book, 6, found=facts(6, 6))[0]] == [b"strategy.x"]


def test_the_very_first_reading_claims_nothing_of_what_was_before_it() -> None:
    book = StreamCursor(StreamPosition())

    items, _ = take(book, 98, 99, found=facts(99, 99, first=98))

    assert gaps(items) == []
    assert items[-1].position is not None
    assert items[-1].position.entries_read == 99


def test_a_stream_that_did_not_exist_yet_is_counted_from_its_first_entry() -> None:
    book = StreamCursor(StreamPosition())
    assert take(book, found=None) == ((), True)

    items, _ = take(book, 4, found=facts(4, 4, first=4))

    assert [gap["count"] for gap in gaps(items)] == [3]


def test_a_server_that_does_not_count_leaves_the_number_open() -> None:
    book = StreamCursor(StreamPosition(0, 3, 0, UNKNOWN, 1))

    assert gaps(take(book, 4, found=facts(4, UNKNOWN, first=3))[0]) == []
    assert [gap["count"] for gap in gaps(take(book, 9, found=facts(9, UNKNOWN, first=9))[0])] == [
        None
    ]


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ([b"channel", b"a", b"payload", b"{}"], None),
        ([b"payload", b"{}", b"channel", b"a", b"more", b"x"], None),
        ([b"payload", b"{}"], "a stream entry needs one field channel"),
        ([b"channel", b"a"], "a stream entry needs one field payload"),
        ([b"channel", b"a", b"channel", b"b", b"payload", b"{}"], "…channel"),
        (None, "a stream entry needs one field channel"),
    ],
)
def test_what_is_no_entry_of_the_contract_is_told(fields: Any, fault: str | None) -> None:
    found = item_of(StreamPosition(), fields).fault

    assert found == fault or (fault is not None and found is not None and "channel" in found)


def test_the_servers_answer_is_understood() -> None:
    answer = [b"length", 1, b"last-generated-id", b"5-2", b"entries-added", 9]

    assert read_facts([*answer, b"first-entry", [b"4-1", []]]) == StreamFacts((5, 2), (4, 1), 9)
    assert read_facts([*answer[:4], b"first-entry", None]) == StreamFacts((5, 2), None, UNKNOWN)
