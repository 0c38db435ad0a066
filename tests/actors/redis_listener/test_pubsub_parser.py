import tracemalloc

import hiredis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orchestrator.actors.payloads import MAX_PAYLOAD_BYTES, Cut, size_of
from orchestrator.actors.redis_listener.pubsub_parser import PubsubParser, ServerRefused


def wire(*parts: bytes) -> bytes:
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(p), p) for p in parts)


def message(number: int) -> bytes:
    return wire(b"pmessage", b"a.*", b"a.b", b"%d" % number)


PONG = wire(b"pong", b"")


def feed(stream: PubsubParser, data: bytes) -> None:
    stream.feed(bytearray(data) + b"old bytes of the buffer", len(data))


def numbers(replies: list[list[bytes]]) -> list[int]:
    return [int(reply[3]) for reply in replies]


def test_messages_come_in_order_and_at_most_so_many_at_once() -> None:
    stream = PubsubParser()
    feed(stream, b"".join(map(message, range(5))))

    assert numbers(stream.take(3)) == [0, 1, 2]
    assert numbers(stream.take(3)) == [3, 4]
    assert stream.take(3) == []


def test_a_message_in_two_pieces_is_one_message() -> None:
    stream = PubsubParser()
    data = message(7)
    for cut in range(1, len(data)):
        feed(stream, data[:cut])
        assert stream.take(9) == []
        feed(stream, data[cut:])
        assert stream.take(9) == [[b"pmessage", b"a.*", b"a.b", b"7"]]


def test_answers_are_left_out_while_they_are_awaited() -> None:
    stream = PubsubParser()
    stream.expect(2)
    feed(stream, message(1) + PONG + message(2) + PONG + message(3))

    assert numbers(stream.take(9)) == [1, 2, 3]
    assert stream.awaited == 0


def test_messages_behind_a_full_load_of_answers_are_taken_at_once() -> None:
    stream = PubsubParser()
    stream.expect(3)
    feed(stream, PONG * 3 + message(1))

    assert numbers(stream.take(2)) == [1]


def test_garbage_ends_the_stream_behind_the_messages_before_it() -> None:
    stream = PubsubParser()
    feed(stream, message(1) + b"?garbage\r\n")

    assert numbers(stream.take(9)) == [1]
    for _ in range(2):
        with pytest.raises(hiredis.ProtocolError):
            stream.take(9)


def test_a_refusal_ends_the_stream() -> None:
    stream = PubsubParser()
    stream.expect(1)
    feed(stream, b"-NOPERM this user may not\r\n")

    with pytest.raises(ServerRefused, match="NOPERM"):
        stream.take(9)


def test_a_refusal_behind_messages_ends_the_stream_after_them() -> None:
    stream = PubsubParser()
    stream.expect(1)
    feed(stream, message(1) + b"-ERR no\r\n")

    assert numbers(stream.take(9)) == [1]
    with pytest.raises(ServerRefused):
        stream.take(9)


LIMIT = MAX_PAYLOAD_BYTES
PIECE = 48 * 1024


def feed_in_pieces(stream: PubsubParser, data: bytes, size: int = PIECE) -> list[list[bytes]]:
    taken: list[list[bytes]] = []
    buffer = bytearray(size)
    for start in range(0, len(data), size):
        piece = data[start : start + size]
        buffer[: len(piece)] = piece
        stream.feed(buffer, len(piece))
        while replies := stream.take(1000):
            taken += replies
    return taken


def large(size: int, channel: bytes = b"a.large") -> bytes:
    return wire(b"pmessage", b"a.*", channel, b"0123456789abcdef" * (size // 16 + 1))


def test_of_a_payload_over_the_limit_the_beginning_and_the_size_are_kept() -> None:
    data = message(1) + large(3 * LIMIT) + message(2)

    first, cut, last = feed_in_pieces(PubsubParser(), data)

    assert numbers([first, last]) == [1, 2]
    assert cut[:3] == [b"pmessage", b"a.*", b"a.large"]
    assert isinstance(cut[3], Cut)
    assert size_of(cut[3]) == 3 * LIMIT + 16
    assert bytes(cut[3]) == b"0123456789abcdef" * 256


@pytest.mark.parametrize("length", [LIMIT, LIMIT + 1])
def test_the_limit_itself_is_still_whole(length: int) -> None:
    data = wire(b"pmessage", b"a.*", b"a.b", b"x" * length)

    ((_kind, _pattern, _channel, payload),) = feed_in_pieces(PubsubParser(), data)

    assert size_of(payload) == length
    assert isinstance(payload, Cut) == (length > LIMIT)


def test_a_channel_over_the_limit_is_cut_and_its_payload_is_whole() -> None:
    data = large(100, channel=b"c" * (2 * LIMIT)) + message(5)

    (_kind, _pattern, channel, payload), last = feed_in_pieces(PubsubParser(), data)

    assert size_of(channel) == 2 * LIMIT
    assert payload == b"0123456789abcdef" * 7
    assert numbers([last]) == [5]


def test_what_only_looks_like_a_large_message_is_part_of_a_payload() -> None:
    inner = b"*4\r\n$8\r\npmessage\r\n$3\r\na.*\r\n$3\r\na.b\r\n$104857600\r\n"
    payloads = [inner * 3000, inner, (b"\r\n" + inner) * 2000, b"end"]
    data = b"".join(wire(b"pmessage", b"a.*", b"a.b", payload) for payload in payloads)

    for size in (7_001, PIECE, 100_000):
        assert [reply[3] for reply in feed_in_pieces(PubsubParser(), data, size)] == payloads


@given(
    st.lists(st.sampled_from([0, 1, 500, 5_000, 70_000, LIMIT, LIMIT + 1]), max_size=12), st.data()
)
@settings(max_examples=60, deadline=None)
def test_every_message_comes_whole_or_cut_whatever_the_pieces(
    lengths: list[int], data: st.DataObject
) -> None:
    size = data.draw(st.sampled_from([17_000, PIECE, 150_000]))
    pongs = data.draw(st.sets(st.integers(0, 12)))
    stream = PubsubParser()
    stream.expect(len([at for at in pongs if at < len(lengths)]))
    sent = b""
    for at, length in enumerate(lengths):
        sent += (PONG if at in pongs else b"") + wire(
            b"pmessage", b"a.*", b"c" * (length % 999), b"%d" % at * length
        )

    replies = feed_in_pieces(stream, sent, size)

    assert [size_of(reply[3]) for reply in replies] == [
        len(b"%d" % at * length) for at, length in enumerate(lengths)
    ]
    assert [isinstance(reply[3], Cut) for reply in replies] == [
        size_of(reply[3]) > LIMIT for reply in replies
    ]
    assert stream.awaited == 0


def test_no_more_than_a_piece_of_a_large_message_is_held() -> None:
    stream = PubsubParser()
    feed_in_pieces(stream, message(1))
    head = b"*4\r\n$8\r\npmessage\r\n$3\r\na.*\r\n$3\r\na.b\r\n$104857600\r\n"
    tracemalloc.start()

    feed_in_pieces(stream, head)
    buffer = bytearray(PIECE)
    for _ in range(1000):
        stream.feed(buffer, PIECE)
        assert stream.take(1000) == []
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert stream._reader.len() == 0
    assert peak < 4 * PIECE


def test_a_large_message_behind_a_burst_is_whole_or_cut_but_never_lost() -> None:
    stream = PubsubParser()
    burst = b"".join(map(message, range(1000)))

    replies = feed_in_pieces(stream, burst + large(LIMIT + 1) + message(1000))

    assert [int(reply[3]) for reply in replies if size_of(reply[3]) < 10] == list(range(1001))
    assert size_of(replies[1000][3]) > LIMIT


def test_after_a_burst_large_messages_are_seen_by_their_length_again() -> None:
    one = message(1)
    for end in range(len(one)):  # the burst's last read ends anywhere in a message
        stream = PubsubParser()
        burst = b"".join(map(message, range(100)))
        feed(stream, burst + one[:end])
        assert len(stream.take(1000)) == 100
        feed(stream, one[end:])
        assert numbers(stream.take(1000)) == [1]
        feed(stream, one)
        assert numbers(stream.take(1000)) == [1]

        (cut,) = feed_in_pieces(stream, large(LIMIT + 1))
        assert isinstance(cut[3], Cut)
        feed(stream, one)
        assert numbers(stream.take(1000)) == [1]
