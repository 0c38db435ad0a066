from typing import Any

import msgspec
import pytest
from orchestrator.actors.event_persister import sequence_gaps
from orchestrator.actors.event_persister.sequence_gaps import Sequences
from orchestrator.actors.payloads import Marks

T1, T2 = "2026-01-31T09:30:00.000Z", "2026-01-31T09:30:01.000Z"


def hear(book: Sequences, *numbers: Any, now: float = 0.0, ts: str = T1, **marks: Any) -> None:
    channel = marks.pop("channel", "strategy.x")
    source = marks.pop("source", "s")
    marks.setdefault("boot", "b")
    for number in numbers:
        book.note(source, channel, Marks(seq=number, **marks), ts, now)


def said(book: Sequences, now: float = 5.0, stream_read_at: float = 4.0) -> list[Any]:
    return [msgspec.json.decode(event.payload) for event in book.due(now, stream_read_at)]


def test_a_jump_is_one_exact_gap() -> None:
    book = Sequences()
    hear(book, 1, 2)
    hear(book, 6, 7, ts=T2)

    assert said(book) == [
        {
            "cause": "sequence",
            "from": T1,
            "to": T2,
            "source": "s",
            "channel": "strategy.x",
            "first": 3,
            "last": 5,
            "count": 3,
        }
    ]
    assert said(book) == []
    assert (book.gaps, book.missing) == (1, 3)


def test_two_jumps_are_two_gaps() -> None:
    book = Sequences()
    hear(book, 1, 5, 9)

    assert [(gap["first"], gap["last"]) for gap in said(book)] == [(2, 4), (6, 8)]


@pytest.mark.parametrize(
    "numbers",
    [
        [1, 2, 3],
        [500, 501],  # the first one heard is where counting begins
        [1, 2, 2, 1, 3],  # again
        [1, 4, 2, 3, 5],  # late
        [0, 1],
    ],
)
def test_no_gap_where_nothing_is_missing(numbers: list[int]) -> None:
    book = Sequences()
    hear(book, *numbers)

    assert said(book) == []


def test_what_comes_late_fills_a_part() -> None:
    book = Sequences()
    hear(book, 1, 6, 3, 5)

    assert [(gap["first"], gap["last"], gap["count"]) for gap in said(book)] == [
        (2, 2, 1),
        (4, 4, 1),
    ]


def test_a_new_boot_begins_anew_and_settles_what_was_missing_before() -> None:
    book = Sequences()
    hear(book, 1, 3, boot="a")
    hear(book, 1, 2, boot="b")
    hear(book, 7, boot="c")

    assert [gap["first"] for gap in said(book)] == [2]


def test_without_boot_counting_from_one_begins_anew() -> None:
    book = Sequences()
    hear(book, 7, 8, 1, 2, boot=None)

    assert said(book) == []


def test_sources_and_channels_count_for_themselves() -> None:
    book = Sequences()
    for source, channel in (("a", "x"), ("a", "y"), ("b", "x")):
        hear(book, 1, 2, source=source, channel=channel)
    hear(book, 3, source="a", channel="x")

    assert said(book) == []


def test_a_jump_waits_until_the_stream_is_read_but_not_for_ever() -> None:
    book = Sequences()
    hear(book, 1, 3, now=10.0)

    assert said(book, now=10.5, stream_read_at=10.4) == []
    assert said(book, now=12.0, stream_read_at=9.0) == []
    hear(book, 5, now=19.0)
    assert [gap["first"] for gap in said(book, now=20.1, stream_read_at=9.0)] == [2]
    assert [gap["first"] for gap in said(book, now=20.5, stream_read_at=20.4)] == [4]


@pytest.mark.parametrize(
    "marks",
    [
        {"seq": True},
        {"seq": "x"},
        {"seq": 1.5},
        {"seq": -1},
        {"seq": 2**70},
        {"seq": None},
        {"seq": {}},
        {"seq": 9, "source": None},
        {"seq": 9, "source": "s" * 600},
        {"seq": 9, "channel": "risk.killswitch"},
    ],
)
def test_what_is_no_number_of_a_producers_is_left_alone(marks: dict[str, Any]) -> None:
    book = Sequences()
    hear(book, marks.pop("seq"), **marks)

    assert len(book) == 0


def test_cloud_events_name_it_sequence() -> None:
    book = Sequences()
    for number in ("1", "2", "5"):
        book.note("s", "c", Marks(sequence=number, boot=[]), T1, 0.0)

    assert [(gap["first"], gap["last"]) for gap in said(book)] == [(3, 4)]


def test_the_table_forgets_whom_it_heard_longest_ago() -> None:
    book = Sequences(max_producers=2)
    hear(book, 1, source="a")
    hear(book, 1, source="b")
    hear(book, 2, source="a")
    hear(book, 1, source="c")
    hear(book, 5, source="b")  # learnt anew: nothing is claimed
    hear(book, 5, source="a")  # forgotten for b

    assert said(book) == []
    assert len(book) == 2


def test_a_producer_that_jumps_all_the_time_is_bounded_and_counted_to_the_unit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sequence_gaps, "MAX_CERTAIN", 5)
    book = Sequences(max_jumps=2)
    hear(book, *range(0, 40, 2))

    gaps = said(book)

    assert len(gaps) == 6
    assert sum(gap["count"] for gap in gaps) == 19
    assert gaps[-1]["source"] is None
    assert book.missing == 19


def test_without_a_boot_the_first_number_is_a_new_start() -> None:
    book = Sequences()
    hear(book, 5, 1, 3, boot=None)

    assert [(gap["first"], gap["last"]) for gap in said(book)] == [(2, 2)]


@pytest.mark.parametrize(("number", "followed"), [(2**63 - 1, True), (2**63, False)])
def test_numbers_are_followed_as_far_as_any_language_counts(number: int, *, followed: bool) -> None:
    book = Sequences()
    hear(book, number - 2, number)

    assert bool(said(book)) is followed


@pytest.mark.parametrize(
    ("source", "channel", "followed"),
    [
        ("s" * 500, "c" * 12, True),
        ("s" * 500, "c" * 13, False),
    ],
)
def test_long_names_are_not_followed(source: str, channel: str, *, followed: bool) -> None:
    book = Sequences()
    hear(book, 1, 3, source=source, channel=channel)

    assert bool(said(book)) is followed
