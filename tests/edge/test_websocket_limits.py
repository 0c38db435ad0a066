"""WebSocket clients that send what they must not: closed with the right code, to nobody's harm."""

import math
import random
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from processor import time_scale
from quiet_clock import quiet_s

from ..http.echo import masked
from ..http.stream.test_websocket import upgraded
from .conftest import LIMIT_S, Serve, Served

TEXT, BINARY, CONT, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
CODES = {1002, 1007, 1008, 1009}
GOAL_MS = 50


def begun(opcode: int, length: int) -> bytes:
    """A header that promises so much, and the mask."""
    return bytes([0x80 | opcode, 0xFF]) + length.to_bytes(8, "big") + b"mask"


def raw(first: int, second: int, rest: bytes = b"") -> bytes:
    return bytes([first, second]) + rest


def unfinished(count: int, size: int = 0) -> bytes:
    """So many fragments of a message that does not end."""
    more = masked(CONT, bytes(size), fin=False)
    return masked(BINARY, bytes(size), fin=False) + more * (count - 1)


ATTACKS = {
    "64 unfinished fragments": (unfinished(64), 1008),
    "unfinished fragments over 64 KiB together": (unfinished(3, 30_000), 1009),
    "pings without end": (masked(PING) * 10_000, 1008),
    "pongs without end": (masked(PONG) * 10_000, 1008),
    "a frame that is not masked": (raw(0x81, 0x02, b"{}"), 1002),
    "a ping that is not masked": (raw(0x89, 0x00), 1002),
    "text that is not UTF-8": (masked(TEXT, b'{"action":"\xff"}'), 1007),
    "text cut inside a character": (masked(TEXT, b"\xe2\x82"), 1007),
    "wrong text in two fragments": (
        masked(TEXT, b"\xe2", fin=False) + masked(CONT, b"\x28\xa1", fin=False),
        1007,
    ),
    "a surrogate": (masked(TEXT, b"\xed\xa0\x80", fin=False), 1007),
    "RSV1 without compression": (raw(0xC1, 0x80), 1002),
    "RSV2": (raw(0xA1, 0x80), 1002),
    "RSV3": (raw(0x91, 0x80), 1002),
    "an opcode for data to come": (raw(0x83, 0x80), 1002),
    "an opcode for control to come": (raw(0x8F, 0x80), 1002),
    "a ping over 125 bytes": (raw(0x89, 0xFE), 1002),
    "a close over 125 bytes": (raw(0x88, 0xFF), 1002),
    "a ping in fragments": (raw(0x09, 0x80), 1002),
    "a continuation of nothing": (masked(CONT, b"x"), 1002),
    "a message inside another": (masked(TEXT, b"x", fin=False) + masked(TEXT, b"y"), 1002),
    "a length in too long a form": (raw(0x81, 0xFE, b"\x00\x05"), 1002),
    "a negative length": (raw(0x82, 0xFF, b"\xff" * 8), 1002),
    "a close code that may not be sent": (masked(CLOSE, struct.pack("!H", 1005)), 1002),
    "a close with one byte": (masked(CLOSE, b"\x03"), 1002),
    "a close reason that is not UTF-8": (masked(CLOSE, b"\x03\xe8\xff"), 1007),
}


@contextmanager
def client_of(served: Served) -> Iterator[socket.socket]:
    """A bare socket behind its handshake and greeting."""
    with upgraded(served, "/?types=none") as sock:
        received = b""
        while b'"cursor"' not in received:
            received += sock.recv(65536)
        yield sock


def close_code(sock: socket.socket) -> int:
    """The code of the close frame that comes; what comes before it is passed over."""
    with sock.makefile("rb") as stream:
        while True:
            first, length = stream.read(2)
            if length >= 126:
                length = int.from_bytes(stream.read(2 if length == 126 else 8), "big")
            payload = stream.read(length)
            if first == 0x88:
                assert stream.read() == b"", "something followed the close frame"
                return int.from_bytes(payload[:2], "big")


@pytest.mark.parametrize("name", ATTACKS)
def test_what_breaks_a_rule_is_closed_with_its_code(served: Served, name: str) -> None:
    attack, expected = ATTACKS[name]
    with client_of(served) as sock:
        sock.sendall(attack)

        assert close_code(sock) == expected
    served.wait_until(lambda: served.daemon._clients.places_taken == 0)


@pytest.mark.parametrize("megabytes", [1, 4, 16, 400])
def test_a_huge_frame_is_refused_by_its_header_and_not_read(served: Served, megabytes: int) -> None:
    size = megabytes << 20
    piece = bytes(65536)
    with client_of(served) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)  # it grows to megabytes
        sock.sendall(begun(BINARY, size))
        sock.settimeout(0.1)
        taken = 0
        try:
            while taken < size:
                taken += sock.send(piece)
        except (TimeoutError, OSError):
            pass
        sock.settimeout(20)

        # What the kernels' buffers hold, and no more.
        assert taken < min(size, 16 << 20) or megabytes == 1
        assert first_close_code(sock) == 1009


def first_close_code(sock: socket.socket) -> int:
    """Of the first frame that comes; the end may be a reset, as not everything was read."""
    head = b""
    while len(head) < 4:
        head += sock.recv(4 - len(head))
    assert head[0] == 0x88
    return int.from_bytes(head[2:], "big")


def test_byte_by_byte_is_judged_as_soon_as_at_once(served: Served) -> None:
    with client_of(served) as sock:
        for one in masked(TEXT, b'{"action":"ping"}'):
            sock.sendall(bytes([one]))
        assert b'"pong"' in sock.recv(1000)
        sock.sendall(b"\x81")
        sock.sendall(b"\x02")

        assert close_code(sock) == 1002


def test_limits_are_settings(serve: Serve) -> None:
    served = serve(
        websocket={"max_message_bytes": 2048, "max_fragments": 2, "max_control_frames_per_s": 10}
    )
    allowed = unfinished(1) + masked(CONT, b"x") + masked(PING) * 10
    for attack, expected in [
        (begun(TEXT, 65536), 1009),
        (masked(TEXT, b"x", fin=False) + raw(0x00, 0x80), 1008),
        (masked(PING) * 11, 1008),
    ]:
        with client_of(served) as sock:
            sock.sendall(allowed if expected != 1008 else b"")
            sock.sendall(attack)
            assert close_code(sock) == expected


def test_noise_is_always_answered_by_a_close(served: Served) -> None:
    chance = random.Random(6455)
    for _ in range(30):
        with client_of(served) as sock:
            with suppress(OSError):
                sock.sendall(chance.randbytes(2000) + b"\xff" * 10)
            assert first_close_code(sock) in {1002, 1007, 1008, 1009}
    assert served.get("/health").status == 200


@pytest.mark.timing
@pytest.mark.subprocess
def test_others_are_served_meanwhile(served: Served) -> None:
    program = Path(__file__).with_name("attackers.py")
    command = [sys.executable, str(program), served.host, str(served.port)]
    closed = served.daemon._clients.closed
    rounds: list[float] = [math.inf]

    def is_shown() -> bool:
        return set(closed) >= CODES and rounds[-1] <= GOAL_MS * time_scale()

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as attacker:
        try:
            assert attacker.stdout.readline() == "ready\n"
            limit = time.monotonic() + LIMIT_S
            # Whatever held others up would do so in every round; other programs do in some.
            while time.monotonic() < limit and not is_shown():
                rounds.append(p99_ms(served))
        finally:
            attacker.terminate()

    assert is_shown(), (closed, rounds)


def p99_ms(served: Served) -> float:
    times_ms = []
    for number in range(200):
        began = quiet_s()
        assert served.get(("/health", "/bus/events?limit=5")[number % 2]).status == 200
        times_ms.append((quiet_s() - began) * 1_000)
    return sorted(times_ms)[-3]
