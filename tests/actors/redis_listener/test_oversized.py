"""What is too long is cut out of an answer, and all else is as the server sent it."""

from typing import Any

import hiredis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orchestrator.actors.payloads import MAX_PAYLOAD_BYTES, Cut
from orchestrator.actors.redis_listener.oversized import INCOMPLETE, ReplyParser

LIMIT = MAX_PAYLOAD_BYTES
PIECE = 64 * 1024


def wire(answer: Any) -> bytes:
    if answer is None:
        return b"$-1\r\n"
    if isinstance(answer, int):
        return b":%d\r\n" % answer
    if isinstance(answer, bytes):
        return b"$%d\r\n%b\r\n" % (len(answer), answer)
    return b"*%d\r\n" % len(answer) + b"".join(map(wire, answer))


def received(replies: ReplyParser, data: bytes, size: int = PIECE) -> Any:
    """The answer, fed piece by piece; it comes with the last one."""
    for start in range(0, len(data), size):
        assert replies.take() is INCOMPLETE
        replies.feed(memoryview(data)[start : start + size])
    return replies.take()


def test_small_answers_come_one_after_the_other() -> None:
    replies = ReplyParser(RuntimeError)

    assert received(replies, wire([b"a", [1, None]])) == [b"a", [1, None]]
    assert received(replies, b"+OK\r\n") == b"OK"
    assert received(replies, b"*-1\r\n") is None
    assert str(received(replies, b"-NOPERM no\r\n")) == "NOPERM no"


def test_a_string_over_the_limit_is_cut_and_its_size_known() -> None:
    replies = ReplyParser(RuntimeError)
    large = b"0123456789abcdef" * (3 * LIMIT // 16)

    stream, ((entry_id, (_name, payload)),) = received(
        replies, wire([b"s", [[b"1-0", [b"payload", large]]]])
    )

    assert (stream, entry_id) == (b"s", b"1-0")
    assert isinstance(payload, Cut)
    assert (payload.size, bytes(payload)) == (3 * LIMIT, large[:4096])
    assert received(replies, wire(7)) == 7


def test_what_is_no_answer_is_an_error() -> None:
    replies = ReplyParser(RuntimeError)
    replies.feed(memoryview(b"nonsense\r\n"))

    with pytest.raises(hiredis.ProtocolError):
        replies.take()


def as_cut(answer: Any) -> Any:
    """What is to be expected, with sizes in the place of what is cut."""
    if isinstance(answer, list):
        return [as_cut(item) for item in answer]
    if isinstance(answer, Cut):
        return ("cut", answer.size, bytes(answer))
    if isinstance(answer, bytes) and len(answer) > LIMIT:
        return ("cut", len(answer), answer[:4096])
    return answer


LEAVES = st.one_of(
    st.none(),
    st.integers(-5, 10**12),
    st.sampled_from([b"", b"\r\n$9999999\r\n", b"x" * 70_000, b"y" * LIMIT, b"z" * (LIMIT + 1)]),
)
ANSWERS = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=6), max_leaves=12)


@given(st.lists(ANSWERS, min_size=1, max_size=3), st.sampled_from([1_777, PIECE, 3 * LIMIT]))
@settings(max_examples=60, deadline=None)
def test_all_answers_are_as_sent_but_for_what_is_too_long(answers: list[Any], size: int) -> None:
    replies = ReplyParser(RuntimeError)

    found = [received(replies, wire(answer), size) for answer in answers]

    # An answer that is short as a whole holds nothing too long, and is not walked through.
    assert as_cut(found) == as_cut(answers)
