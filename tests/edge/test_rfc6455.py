"""The channel as an echo server, section by section of RFC 6455.

Every case is sent in whole and byte by byte. What comes back is read by a strict reader of our own
until the server ends the connection; a case that breaks no rule ends with a close of its own.
"""

import random
import socket
from collections.abc import Iterable
from typing import Any, NamedTuple

import gevent
import pytest

from ..http.echo import echoing, masked, rest

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MASK = b"\x37\xfa\x21\x3d"
BYE = (CLOSE, b"\x03\xe8")
KOSME = "κόσμε".encode()

Frames = list[tuple[int, bytes]]


class Case(NamedTuple):
    """What is sent, and the frames that must come back."""

    name: str
    sent: bytes
    back: Frames


def raw(first: int, payload: bytes = b"", *, mask: bytes = MASK) -> bytes:
    """A frame with any first byte, masked by hand."""
    length = len(payload)
    head = bytes([first, 0x80 | (min(126, length))])
    if length >= 126:
        head += length.to_bytes(2, "big")
    return head + mask + bytes(byte ^ mask[n % 4] for n, byte in enumerate(payload))


def parts(opcode: int, *payloads: bytes, between: bytes = b"") -> bytes:
    """A message in fragments, with ``between`` between each two."""
    frames = [
        masked(opcode if n == 0 else CONT, payload, fin=n == len(payloads) - 1)
        for n, payload in enumerate(payloads)
    ]
    return between.join(frames)


def good(name: str, sent: bytes, *back: tuple[int, bytes]) -> Case:
    """A case that breaks no rule; a close is sent behind it."""
    return Case(name, sent + masked(*BYE), [*back, BYE])


def bad(name: str, sent: bytes, code: int, *back: tuple[int, bytes]) -> Case:
    """A case that is closed with ``code``; whatever follows is not looked at."""
    return Case(name, sent + masked(TEXT, b"ignored"), [*back, (CLOSE, code.to_bytes(2, "big"))])


def frames_of(data: bytes) -> Frames:
    """What a server sent: final, unmasked, without reserved bits, lengths in the shortest form."""
    found = []
    while data:
        first, length = data[0], data[1]
        assert first & 0xF0 == 0x80
        start = 2
        if length >= 126:
            start, least = (4, 126) if length == 126 else (10, 1 << 16)
            length = int.from_bytes(data[2:start], "big")
            assert length >= least
        assert len(data) >= start + length
        found.append((first & 0x0F, data[start : start + length]))
        data = data[start + length :]
    return found


def send_all(client: socket.socket, pieces: Iterable[bytes]) -> None:
    try:
        for piece in pieces:
            client.sendall(piece)
    except OSError:
        pass  # the server has read enough


def answers(sent: bytes, *, step: int, **settings: Any) -> Frames:
    """All frames that come back for ``sent``, given in pieces of ``step`` bytes."""
    with echoing(**settings) as (client, _):
        pieces = [sent[n : n + step] for n in range(0, len(sent), step)]
        sender = gevent.spawn(send_all, client, pieces)
        back = frames_of(rest(client))
        sender.join(5)
    return back


def check(case: Case, *, step: int, **settings: Any) -> None:
    back = answers(case.sent, step=step, **settings)
    wanted = case.back
    assert [opcode for opcode, _ in back] == [opcode for opcode, _ in wanted]
    assert back[:-1] == wanted[:-1]
    # Our own closes have a reason behind the code.
    code, reason = back[-1][1][:2], back[-1][1][2:]
    assert code == wanted[-1][1][:2]
    assert reason.decode().isprintable()
    assert wanted[-1][1][2:] in {b"", reason}


# -- 5.2: base framing ---------------------------------------------------------------------------

FRAMING = [
    good(f"{kind} of {size}", masked(opcode, b"*" * size), (opcode, b"*" * size))
    for kind, opcode in (("text", TEXT), ("binary", BINARY))
    for size in (0, 1, 124, 125, 126, 127, 128)
]

LONG = [
    good(f"{kind} of {size}", masked(opcode, b"*" * size), (opcode, b"*" * size))
    for kind, opcode in (("text", TEXT), ("binary", BINARY))
    for size in (65534, 65535, 65536)
]

LENGTHS = [
    bad("16 bits for a length of 7", b"\x81\xfe\x00\x7d" + MASK + bytes(125), 1002),
    bad("64 bits for a length of 7", b"\x81\xff" + bytes(7) + b"\x7d" + MASK, 1002),
    bad("64 bits for a length of 16", b"\x81\xff" + (65535).to_bytes(8, "big"), 1002),
    bad("the highest bit of 64", b"\x81\xff\x80" + bytes(7), 1002),
]

RESERVED_BITS = [
    bad(f"reserved bits {bits:03b}, {name}", raw(0x80 | bits << 4 | opcode, payload), 1002)
    for bits in range(1, 8)
    for name, opcode, payload in (
        ("text", TEXT, b"hello"),
        ("binary", BINARY, b""),
        ("ping", PING, b"x"),
        ("pong", PONG, b""),
        ("close", CLOSE, b"\x03\xe8"),
    )
] + [
    bad("after a good text", masked(TEXT, b"a") + raw(0xC1, b"b"), 1002, (TEXT, b"a")),
    bad("in a continuation", masked(TEXT, b"a", fin=False) + raw(0xC0, b"b"), 1002),
    bad("with a ping between", masked(PING, b"p") + raw(0xA1), 1002, (PONG, b"p")),
]

OPCODES = [
    bad(f"opcode {opcode}, {len(payload)} bytes", raw(0x80 | opcode, payload), 1002)
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
    for payload in (b"", b"reserved")
] + [
    bad("between two texts", masked(TEXT, b"a") + raw(0x85) + masked(TEXT), 1002, (TEXT, b"a")),
]

# -- 5.3: masking --------------------------------------------------------------------------------

MASKING = [
    good(f"mask {mask.hex()}", raw(0x82, bytes(range(256)), mask=mask), (BINARY, bytes(range(256))))
    for mask in (bytes(4), b"\xff" * 4, b"\x01\x00\x00\x00", b"\x00\x00\x00\x01", MASK)
] + [
    bad("text without", b"\x81\x05hello", 1002),
    bad("an empty text without", b"\x81\x00", 1002),
    bad("a ping without", b"\x89\x00", 1002),
    bad("a close without", b"\x88\x02\x03\xe8", 1002),
    bad("a continuation without", masked(TEXT, b"a", fin=False) + b"\x80\x01b", 1002),
]

# -- 5.4: fragmentation --------------------------------------------------------------------------

FRAGMENTS = [
    good("two", parts(TEXT, b"frag", b"ment"), (TEXT, b"fragment")),
    good("three, binary", parts(BINARY, b"\x00", b"\xff", b"\x01"), (BINARY, b"\x00\xff\x01")),
    good("all empty", parts(TEXT, b"", b"", b""), (TEXT, b"")),
    good("empty at the ends", parts(TEXT, b"", b"middle", b""), (TEXT, b"middle")),
    good(
        "two messages", parts(TEXT, b"a", b"b") + parts(BINARY, b"c", b"d"), (1, b"ab"), (2, b"cd")
    ),
    good(
        "a ping between",
        parts(TEXT, b"a", b"b", between=masked(PING, b"p")),
        (PONG, b"p"),
        (TEXT, b"ab"),
    ),
    good(
        "pings and pongs between all",
        parts(
            TEXT, b"a", b"b", b"c", between=masked(PING, b"1") + masked(PONG) + masked(PING, b"2")
        ),
        *[(PONG, b"1"), (PONG, b"2")] * 2,
        (TEXT, b"abc"),
    ),
    good("as many as are allowed", parts(TEXT, *[b"x"] * 64), (TEXT, b"x" * 64)),
    bad("a ping in fragments", raw(0x09, b"a") + raw(0x80, b"b"), 1002),
    bad("a pong in fragments", raw(0x0A) + raw(0x80, b"b"), 1002),
    bad("a close in fragments", raw(0x08, b"\x03\xe8"), 1002),
    bad("nothing to continue", masked(CONT, b"x"), 1002),
    bad("nothing to continue, not the last", masked(CONT, b"x", fin=False), 1002),
    bad("nothing left to continue", parts(TEXT, b"a", b"b") + masked(CONT, b"c"), 1002, (1, b"ab")),
    bad("nothing after a text", masked(TEXT, b"a") + masked(CONT, b"b"), 1002, (TEXT, b"a")),
    bad("a text inside", masked(TEXT, b"a", fin=False) + masked(TEXT, b"b"), 1002),
    bad("a binary inside", masked(TEXT, b"a", fin=False) + masked(BINARY, b"b", fin=False), 1002),
    bad(
        "a text inside, behind a ping",
        masked(BINARY, b"a", fin=False) + masked(PING) + masked(TEXT, b"b"),
        1002,
        (PONG, b""),
    ),
]

# -- 5.5: control frames -------------------------------------------------------------------------

CONTROLS = [
    good("an empty ping", masked(PING), (PONG, b"")),
    good("a ping with text", masked(PING, b"hello"), (PONG, b"hello")),
    good("a ping with bytes", masked(PING, b"\x00\xff\xfe\xc0"), (PONG, b"\x00\xff\xfe\xc0")),
    good("a ping of 125", masked(PING, b"\xfe" * 125), (PONG, b"\xfe" * 125)),
    bad("a ping of 126", raw(0x89, bytes(126)), 1002),
    bad("a ping with a length of 64 bits", b"\x89\xff" + bytes(8), 1002),
    bad("a pong of 126", raw(0x8A, bytes(126)), 1002),
    bad("a close of 126", raw(0x88, b"\x03\xe8" + b"x" * 124), 1002),
    good("a pong that nobody asked for", masked(PONG)),
    good("such a pong, then a ping", masked(PONG, b"a") + masked(PING, b"b"), (PONG, b"b")),
    good(
        "ten pings",
        b"".join(masked(PING, b"%d" % n) for n in range(10)),
        *[(PONG, b"%d" % n) for n in range(10)],
    ),
    good(
        "pings among texts",
        (masked(TEXT, b"t") + masked(PING, b"p")) * 3,
        *[(TEXT, b"t"), (PONG, b"p")] * 3,
    ),
]

# -- 7: the closing ------------------------------------------------------------------------------

ALLOWED_CODES = [*range(1000, 1004), *range(1007, 1015), 3000, 3001, 3999, 4000, 4001, 4999]
FORBIDDEN_CODES = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 9999, 65535]


def closing(name: str, sent: bytes, payload: bytes, *back: tuple[int, bytes]) -> Case:
    return Case(name, sent, [*back, (CLOSE, payload)])


CLOSINGS = [
    closing("empty", masked(CLOSE), b""),
    closing("a reason", masked(CLOSE, b"\x03\xe8ok"), b"\x03\xe8ok"),
    closing("a reason of 123", masked(CLOSE, b"\x03\xe8" + b"*" * 123), b"\x03\xe8" + b"*" * 123),
    closing("a reason in Greek", masked(CLOSE, b"\x03\xe8" + KOSME), b"\x03\xe8" + KOSME),
    closing("a text behind it", masked(*BYE) + masked(TEXT, b"late"), b"\x03\xe8"),
    closing("a ping behind it", masked(*BYE) + masked(PING, b"late"), b"\x03\xe8"),
    closing("another behind it", masked(*BYE) + masked(CLOSE, b"\x03\xe9"), b"\x03\xe8"),
    closing("noise behind it", masked(*BYE) + b"\xff" * 100, b"\x03\xe8"),
    closing("a text before it", masked(TEXT, b"a") + masked(*BYE), b"\x03\xe8", (TEXT, b"a")),
    closing("inside a message", masked(TEXT, b"a", fin=False) + masked(*BYE), b"\x03\xe8"),
    closing(
        "inside a message that goes on",
        parts(TEXT, b"a", b"b", between=masked(*BYE)),
        b"\x03\xe8",
    ),
    bad("one byte", masked(CLOSE, b"\x03"), 1002),
    bad("a reason that is not UTF-8", masked(CLOSE, b"\x03\xe8\xce\xba\xff"), 1007),
    bad("a reason cut inside a character", masked(CLOSE, b"\x03\xe8\xe2\x82"), 1007),
    *[
        closing(f"code {code}", masked(CLOSE, code.to_bytes(2, "big")), code.to_bytes(2, "big"))
        for code in ALLOWED_CODES
    ],
    *[
        bad(f"code {code}{reason.decode()}", masked(CLOSE, code.to_bytes(2, "big") + reason), 1002)
        for code in FORBIDDEN_CODES
        for reason in (b"", b" why")
    ],
]

# -- 8.1: UTF-8 ----------------------------------------------------------------------------------

SCALARS = [0, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFEFF, 0xFFFD, 0xFFFE, 0xFFFF, 0x10000]
SCALARS += [0x1F600, *(plane << 16 | 0xFFFE for plane in range(1, 17)), 0x10FFFE, 0x10FFFF]
VALID = [chr(scalar).encode() for scalar in SCALARS]
VALID += [b"".join(VALID), KOSME, "Hello-µ@ßöäüàá-UTF-8!!".encode(), "日本語".encode()]
INVALID = {
    "a continuation alone": b"\x80",
    "the last continuation alone": b"\xbf",
    "many continuations": bytes(range(0x80, 0xC0)),
    "two bytes, cut": b"\xc2",
    "three bytes, cut": b"\xe2\x82",
    "four bytes, cut": b"\xf0\x9f\x98",
    "two bytes, then a space": b"\xc2 ",
    "three bytes, then a space": b"\xe2\x82 ",
    "an overlong slash in two": b"\xc0\xaf",
    "an overlong slash in three": b"\xe0\x80\xaf",
    "an overlong slash in four": b"\xf0\x80\x80\xaf",
    "an overlong zero": b"\xc0\x80",
    "the highest overlong in two": b"\xc1\xbf",
    "the highest overlong in three": b"\xe0\x9f\xbf",
    "the highest overlong in four": b"\xf0\x8f\xbf\xbf",
    "the first surrogate": b"\xed\xa0\x80",
    "the last surrogate": b"\xed\xbf\xbf",
    "a pair of surrogates": b"\xed\xa0\xbd\xed\xb8\x80",
    "above U+10FFFF": b"\xf4\x90\x80\x80",
    "far above": b"\xf7\xbf\xbf\xbf",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "six bytes": b"\xfc\x84\x80\x80\x80\x80",
    "fe": b"\xfe",
    "ff": b"\xff",
    "two that belong together the other way round": b"\x82\xe2",
    "Latin-1": "Müller".encode("latin-1"),
    "UTF-16": "text".encode("utf-16"),
}

UTF_8 = [
    *[good(f"valid {n}", masked(TEXT, text), (TEXT, text)) for n, text in enumerate(VALID)],
    *[
        good(
            f"a character cut behind byte {n}",
            parts(TEXT, KOSME[:n], KOSME[n:]),
            (TEXT, KOSME),
        )
        for n in range(1, len(KOSME))
    ],
    good("each byte a fragment", parts(TEXT, *(bytes([b]) for b in KOSME)), (TEXT, KOSME)),
    good(
        "pings inside a character",
        parts(TEXT, b"\xf0", b"\x9f", b"\x98", b"\x80", between=masked(PING, b"\xff")),
        *[(PONG, b"\xff")] * 3,
        (TEXT, "😀".encode()),
    ),
    *[bad(name, masked(TEXT, wrong), 1007) for name, wrong in INVALID.items()],
    *[
        bad(f"{name}, in fragments", parts(TEXT, KOSME, *(bytes([b]) for b in wrong), b""), 1007)
        for name, wrong in list(INVALID.items())[3:]
    ],
    *[good(f"{name}, as binary", masked(BINARY, w), (BINARY, w)) for name, w in INVALID.items()],
]

SECTIONS = {
    "5.2": FRAMING + LENGTHS,
    "5.2 reserved": RESERVED_BITS + OPCODES,
    "5.3": MASKING,
    "5.4": FRAGMENTS,
    "5.5": CONTROLS,
    "7": CLOSINGS,
    "8.1": UTF_8,
}
CASES = [
    pytest.param(case, id=f"{section}-{case.name}")
    for section, cases in SECTIONS.items()
    for case in cases
]


@pytest.mark.parametrize("case", CASES)
def test_what_is_sent_at_once(case: Case) -> None:
    check(case, step=len(case.sent))


@pytest.mark.parametrize("case", CASES)
def test_what_comes_byte_by_byte(case: Case) -> None:
    check(case, step=1)


@pytest.mark.parametrize("case", LONG, ids=lambda case: case.name)
@pytest.mark.parametrize("step", [997, 1 << 20])
def test_long_messages(case: Case, step: int) -> None:
    check(case, step=step)


@pytest.mark.parametrize("wrong", INVALID.values(), ids=INVALID)
def test_wrong_text_is_refused_before_its_message_ends(wrong: bytes) -> None:
    with echoing() as (client, _):
        # A byte that may not follow, for what is only cut; the frame promises much more.
        client.sendall(b"\x01\xfe\x10\x00" + bytes(4) + KOSME + wrong + b"\xff")

        ((opcode, payload),) = frames_of(rest(client))
        assert (opcode, payload[:2]) == (CLOSE, b"\x03\xef")


# -- 9 and 10 of the usual suites: size, and fragments of a transport's choosing ------------------


@pytest.mark.parametrize("size", [1 << 18, 1 << 20, 1 << 22])
@pytest.mark.parametrize("piece", [1 << 12, 1300, 1 << 22])
def test_large_messages_in_pieces(size: int, piece: int) -> None:
    message = random.Random(size).randbytes(size)
    pieces = [message[n : n + piece] for n in range(0, size, piece)]
    case = good("large", parts(BINARY, *pieces), (BINARY, message))

    check(case, step=1 << 16, max_message_bytes=1 << 22, max_fragments=100_000)


def test_many_messages_come_back_in_order() -> None:
    messages = [b"%d" % n for n in range(3_000)]
    case = good("many", b"".join(masked(TEXT, m) for m in messages), *[(TEXT, m) for m in messages])

    check(case, step=1 << 16)
