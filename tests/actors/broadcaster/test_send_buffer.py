from hypothesis import given
from hypothesis import strategies as st
from orchestrator.actors.broadcaster.frames import gap_frame, text_frame
from orchestrator.actors.broadcaster.send_buffer import Chunk, SendBuffer

from .test_frames import parse


def chunk(first: int, last: int, size: int = 100) -> Chunk:
    return Chunk(b"%d" % (first % 10) * size, first, last, last - first + 1)


def test_all_that_waits_is_taken_in_one_piece() -> None:
    buffer = SendBuffer(1000)
    buffer.add(chunk(1, 1))
    buffer.add(chunk(2, 2))

    assert buffer.take() == b"1" * 100 + b"2" * 100
    assert not buffer
    assert buffer.size_bytes == 0


def test_an_empty_buffer_has_nothing_to_take() -> None:
    assert SendBuffer(1000).take() == b""


def test_urgent_frames_go_first() -> None:
    buffer = SendBuffer(1000)
    buffer.add(chunk(1, 1))
    buffer.add_urgent(b"stop")

    assert buffer.take().startswith(b"stop")


def test_when_events_do_not_fit_the_oldest_go_and_the_range_is_told_first() -> None:
    buffer = SendBuffer(250)
    for first in (1, 11, 21, 31):
        buffer.add(chunk(first, first + 9))

    assert buffer.take() == gap_frame(1, 20, 20) + b"1" * 200
    assert buffer.dropped == 20


def test_a_gap_is_told_once() -> None:
    buffer = SendBuffer(100)
    buffer.add(chunk(1, 1))
    buffer.add(chunk(2, 2))
    buffer.take()

    assert buffer.take() == b""
    assert not buffer


def test_the_buffer_never_holds_more_than_its_limit() -> None:
    buffer = SendBuffer(1000)

    for first in range(1000):
        buffer.add(chunk(first, first))
        assert buffer.size_bytes <= 1000


def test_a_chunk_larger_than_the_limit_waits_alone() -> None:
    buffer = SendBuffer(100)
    buffer.add(chunk(1, 1))
    buffer.add(chunk(2, 2, size=500))

    assert buffer.take() == gap_frame(1, 1, 1) + b"2" * 500


def test_one_take_is_limited_so_that_urgent_frames_need_not_wait_long() -> None:
    buffer = SendBuffer(1000)
    for first in range(5):
        buffer.add(chunk(first, first))

    assert len(buffer.take(limit_bytes=250)) == 200
    buffer.add_urgent(b"stop")
    assert buffer.take(limit_bytes=250).startswith(b"stop")


def test_of_an_agents_state_only_the_newest_waits() -> None:
    buffer = SendBuffer(1000)
    buffer.add_status("a", b"[a late]")
    buffer.add_status("b", b"[b up]")
    buffer.add_status("a", b"[a up]")

    assert buffer.take() == b"[b up][a up]"


def test_states_of_agents_that_wait_are_bounded() -> None:
    buffer = SendBuffer(1000)

    for number in range(2000):
        buffer.add_status(f"a{number}", b"x")

    assert len(buffer.take()) == 1000


def test_room_is_told_when_events_were_taken_and_only_then() -> None:
    buffer = SendBuffer(1000)
    told = []
    buffer.on_room = lambda: told.append(buffer.size_bytes)
    buffer.add_urgent(b"stop")
    buffer.take()
    buffer.add(chunk(1, 1))
    buffer.take()

    assert told == [0]


def test_a_gap_stands_where_the_events_would_have_stood() -> None:
    buffer = SendBuffer(1000)
    buffer.add(chunk(1, 4))
    buffer.note_gap(5, 6, 2)
    buffer.add(chunk(7, 7))

    assert buffer.take() == b"1" * 100 + gap_frame(5, 6, 2) + b"7" * 100


def test_gaps_that_meet_become_one_and_count_once() -> None:
    buffer = SendBuffer(100)
    buffer.add(chunk(1, 1))
    buffer.note_gap(2, 3, 2)
    buffer.note_gap(4, 4, 1)
    buffer.add(chunk(5, 5))  # pushes out the first
    buffer.add(chunk(6, 6))  # pushes out the one behind the gap

    assert buffer.dropped == 5
    assert buffer.take() == gap_frame(1, 5, 5) + b"6" * 100


def test_what_is_forgotten_is_counted_and_not_told() -> None:
    buffer = SendBuffer(1000)
    buffer.note_gap(1, 2, 2)
    buffer.add(chunk(3, 4))
    buffer.add_status("a", b"up")
    buffer.add_urgent(b"close")

    buffer.forget_events()

    assert buffer.dropped == 4
    assert buffer.size_bytes == 0
    assert buffer.take() == b"close"


@given(st.lists(st.integers(-1, 250), max_size=60))
def test_whatever_happens_each_event_comes_once_or_lies_in_one_gap(steps: list[int]) -> None:
    """Steps: the size of an event, 0 for one that does not come, -1 for a client that reads."""
    buffer = SendBuffer(500)
    said: list[dict[str, int]] = []
    for number, step in enumerate(steps, 1):
        if step > 0:
            frame = text_frame(b'{"id":%d,"x":"%b"}' % (number, b"." * step))
            buffer.add(Chunk(frame, number, number, 1))
        elif step == 0:
            buffer.note_gap(number, number, 1)
        else:
            said += parse(buffer.take())
        assert buffer.size_bytes <= 500
    said += parse(buffer.take(10**6))

    came = [number for number, step in enumerate(steps, 1) if step >= 0]
    told = []
    for one in said:
        first, last = (one["from"], one["to"]) if "from" in one else (one["id"], one["id"])
        ids = [n for n in came if first <= n <= last]
        assert len(ids) == one.get("dropped", 1)
        told += ids
    assert told == came
    assert buffer.dropped == sum(one.get("dropped", 0) for one in said)
