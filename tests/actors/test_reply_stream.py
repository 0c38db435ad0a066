import hiredis
import pytest
from orchestrator.actors._reply_stream import ReplyStream, ServerRefused


def wire(*parts: bytes) -> bytes:
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(p), p) for p in parts)


def message(number: int) -> bytes:
    return wire(b"pmessage", b"a.*", b"a.b", b"%d" % number)


PONG = wire(b"pong", b"")


def feed(stream: ReplyStream, data: bytes) -> None:
    stream.feed(bytearray(data) + b"old bytes of the buffer", len(data))


def numbers(replies: list[list[bytes]]) -> list[int]:
    return [int(reply[3]) for reply in replies]


def test_messages_come_in_order_and_at_most_so_many_at_once() -> None:
    stream = ReplyStream()
    feed(stream, b"".join(map(message, range(5))))

    assert numbers(stream.take(3)) == [0, 1, 2]
    assert numbers(stream.take(3)) == [3, 4]
    assert stream.take(3) == []


def test_a_message_in_two_pieces_is_one_message() -> None:
    stream = ReplyStream()
    data = message(7)
    for cut in range(1, len(data)):
        feed(stream, data[:cut])
        assert stream.take(9) == []
        feed(stream, data[cut:])
        assert stream.take(9) == [[b"pmessage", b"a.*", b"a.b", b"7"]]


def test_answers_are_left_out_while_they_are_awaited() -> None:
    stream = ReplyStream()
    stream.expect(2)
    feed(stream, message(1) + PONG + message(2) + PONG + message(3))

    assert numbers(stream.take(9)) == [1, 2, 3]
    assert stream.awaited == 0


def test_messages_behind_a_full_load_of_answers_are_taken_at_once() -> None:
    stream = ReplyStream()
    stream.expect(3)
    feed(stream, PONG * 3 + message(1))

    assert numbers(stream.take(2)) == [1]


def test_garbage_ends_the_stream_behind_the_messages_before_it() -> None:
    stream = ReplyStream()
    feed(stream, message(1) + b"?garbage\r\n")

    assert numbers(stream.take(9)) == [1]
    for _ in range(2):
        with pytest.raises(hiredis.ProtocolError):
            stream.take(9)


def test_a_refusal_ends_the_stream() -> None:
    stream = ReplyStream()
    stream.expect(1)
    feed(stream, b"-NOPERM this user may not\r\n")

    with pytest.raises(ServerRefused, match="NOPERM"):
        stream.take(9)


def test_a_refusal_behind_messages_ends_the_stream_after_them() -> None:
    stream = ReplyStream()
    stream.expect(1)
    feed(stream, message(1) + b"-ERR no\r\n")

    assert numbers(stream.take(9)) == [1]
    with pytest.raises(ServerRefused):
        stream.take(9)
