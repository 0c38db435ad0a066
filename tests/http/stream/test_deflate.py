"""Compression: what is agreed, frames shared by all, messages that grow too large."""

import json
import random
import zlib

import pytest
from orchestrator.actors.broadcaster.frames import text_frame, text_of
from orchestrator.http.stream.deflate import Deflater, MessageInflater, extensions_of
from orchestrator.http.stream.frame_reader import FrameReader, Message, Violation
from websockets.datastructures import Headers
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from ..echo import echoing, masked, rest

TEXT = json.dumps([{"symbol": "AAPL", "price": 187.42, "n": n} for n in range(20)]).encode()
LIMIT = 65536


def agreed(*offers: str) -> str | None:
    """What the answer to a handshake says about compression."""
    headers = Headers(
        {
            "Host": "localhost",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
            "Sec-WebSocket-Version": "13",
        }
    )
    for offer in offers:
        headers["Sec-WebSocket-Extensions"] = offer
    response = ServerProtocol(extensions=extensions_of(compression=True)).accept(
        Request("/", headers)
    )
    assert response.status_code == 101
    return response.headers.get("Sec-WebSocket-Extensions")


def deflated(data: bytes, *, bits: int = 15) -> bytes:
    """A message's payload as a client compresses it."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -bits)
    return (deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


def compressed(payload: bytes, first: int = 0xC1) -> bytes:
    """A masked frame with RSV1 set."""
    frame = bytearray(masked(Opcode.TEXT, payload))
    frame[0] = first
    return bytes(frame)


# -- agreeing ------------------------------------------------------------------------------------

OURS = "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "


@pytest.mark.parametrize(
    ("offers", "answer"),
    [
        ((), None),
        (("x-webkit-deflate-frame",), None),
        (("permessage-deflate",), OURS + "server_max_window_bits=12"),
        (("permessage-deflate; client_max_window_bits",), OURS + "server_max_window_bits=12"),
        (("permessage-deflate; server_max_window_bits=15",), OURS + "server_max_window_bits=12"),
        (("permessage-deflate; server_max_window_bits=9",), None),
        (
            ("permessage-deflate; server_max_window_bits=9, permessage-deflate",),
            OURS + "server_max_window_bits=12",
        ),
        (("permessage-deflate; unknown=1",), None),
        (("permessage-deflate; server_max_window_bits=99",), None),
    ],
)
def test_only_what_leaves_one_frame_for_all_is_agreed_on(
    offers: tuple[str, ...], answer: str | None
) -> None:
    assert agreed(*offers) == answer


def test_without_compression_nothing_is_agreed_on() -> None:
    assert extensions_of(compression=False) is None


# -- what we send --------------------------------------------------------------------------------


def test_a_compressed_frame_is_shorter_and_says_the_same() -> None:
    frame = Deflater(100)(text_frame(TEXT), None)

    assert len(frame) < len(TEXT) / 3
    assert frame[0] == 0xC1
    client = PerMessageDeflate(True, True, 12, 15)
    for _ in range(2):  # it refers to nothing before it
        read = client.decode(Frame(Opcode.TEXT, text_of(frame), rsv1=True))
        assert bytes(read.data) == TEXT


def test_what_is_short_or_does_not_shrink_goes_as_it_is() -> None:
    short, dense = text_frame(b"x" * 90), text_frame(random.Random(1).randbytes(200))
    deflate = Deflater(100)

    assert deflate(short, 1) is short
    assert deflate(dense, 2) is dense


def test_one_frame_is_compressed_once_for_all() -> None:
    deflate = Deflater(100)
    first, second = text_frame(TEXT), text_frame(TEXT + b" ")

    assert deflate(first, 1) is deflate(first, 1)
    assert deflate(second, 2) is not deflate(first, 1)
    assert deflate.counts.frames == 3  # the last only is remembered
    assert deflate.counts.bytes_after < deflate.counts.bytes_before / 3


# -- what clients send ---------------------------------------------------------------------------


def read(*pieces: bytes) -> list[Message]:
    reader = FrameReader(max_message_bytes=LIMIT, max_fragments=64, inflater=MessageInflater())
    found = []
    for piece in pieces:
        reader.feed(piece)
        while (event := reader.next_event()) is not None:
            assert isinstance(event, Message)
            found.append(event)
    return found


def code(*pieces: bytes) -> int:
    with pytest.raises(Violation) as caught:
        read(*pieces)
    return int(caught.value.code)


@pytest.mark.parametrize("size", [0, 1, 10, 1000, LIMIT])
def test_compressed_messages_are_read(size: int) -> None:
    data = (TEXT * (size // len(TEXT) + 1))[:size]
    sent = compressed(deflated(data)) + masked(Opcode.TEXT, b"plain") + compressed(deflated(data))
    expected = [Message(data, True), Message(b"plain", True), Message(data, True)]

    assert read(sent) == expected
    assert read(*(bytes([one]) for one in sent)) == expected


def test_compressed_fragments_are_read() -> None:
    payload = deflated(TEXT)
    first = compressed(payload[:20], 0x41)
    more = bytes([0x00]) + masked(Opcode.CONT, payload[20:])[1:]

    assert read(first + more + masked(Opcode.CONT, b"")) == [Message(TEXT, True)]


def test_the_examples_of_the_standard_are_read() -> None:
    # RFC 7692, sections 7.2.3.1, 7.2.3.3 and 7.2.3.4: one block, an uncompressed one, a final one.
    for example in ("f248cdc9c90700", "000500faff48656c6c6f00", "f348cdc9c9070000"):
        assert read(compressed(bytes.fromhex(example))) == [Message(b"Hello", True)]


def test_a_message_that_grows_too_large_is_refused_before_it_is_all_there() -> None:
    bomb = deflated(bytes(50 << 20), bits=15)
    assert len(bomb) < LIMIT

    began = masked(Opcode.TEXT, bomb)
    assert code(bytes([0xC1]) + began[1:1000]) == 1009  # the rest has not even come
    assert code(compressed(deflated(b"a" * (LIMIT + 1)))) == 1009


def test_fragments_of_one_message_share_the_limit() -> None:
    payload = deflated(b"a" * (LIMIT + 1))
    half = len(payload) // 2

    last = masked(Opcode.CONT, payload[half:])
    assert code(compressed(payload[:half], 0x41), last) == 1009


@pytest.mark.parametrize("payload", [b"\xff\xff\xff\xff", b"\x07", b"\x03\x00more of it"])
def test_what_cannot_be_decompressed_is_refused(payload: bytes) -> None:
    assert code(compressed(payload)) == 1007


def test_text_is_checked_after_decompression() -> None:
    assert code(compressed(deflated(b"\xff"))) == 1007


@pytest.mark.parametrize("first", [0xC0, 0xC9, 0xE1])
def test_only_the_first_frame_of_a_message_is_marked(first: int) -> None:
    assert code(compressed(deflated(TEXT), 0x41) + bytes([first, 0x80])) == 1002


def test_a_channel_takes_compressed_messages_if_that_was_agreed_on() -> None:
    with echoing(MessageInflater()) as (client, _):
        client.sendall(compressed(deflated(b"hello")) + masked(Opcode.CLOSE, b"\x03\xe8"))
        assert rest(client) == b"\x81\x05hello\x88\x02\x03\xe8"

    with echoing() as (client, _):
        client.sendall(compressed(deflated(b"hello")))
        assert rest(client)[2:4] == b"\x03\xea"
