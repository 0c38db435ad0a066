"""The transport by itself, as an echo server on a pair of sockets."""

import socket

import pytest
from orchestrator.actors.broadcaster.send_buffer import Chunk
from orchestrator.runtime import give_way
from processor import time_scale
from quiet_clock import quiet_s
from websockets.frames import Opcode

from ..echo import echoing, masked, rest


def test_what_is_sent_comes_back_until_the_client_closes() -> None:
    with echoing() as (client, echo):
        client.sendall(masked(Opcode.TEXT, b"hello") + masked(Opcode.CLOSE, b"\x03\xe8"))

        assert rest(client) == b"\x81\x05hello\x88\x02\x03\xe8"
    assert echo.told == ["opened", "closing", 1000]


def test_closing_is_told_once_and_ends_with_its_own_code() -> None:
    with echoing() as (client, echo):
        client.sendall(masked(Opcode.TEXT, b"hello"))
        assert client.recv(100) == b"\x81\x05hello"
        echo.transport.close(1001, "over")
        echo.transport.close(1008, "too late")
        assert client.recv(100) == b"\x88\x06\x03\xe9over"
        client.sendall(masked(Opcode.CLOSE, b"\x03\xe9"))

        assert rest(client) == b""
    assert echo.told == ["opened", "closing", 1001]


@pytest.mark.timing
def test_a_client_that_does_not_answer_the_close_is_left() -> None:
    with echoing(close_timeout_s=0.1) as (client, echo):
        client.sendall(masked(Opcode.TEXT, b"hello"))
        assert client.recv(100) == b"\x81\x05hello"
        echo.transport.close(1001, "over")

        assert rest(client) == b"\x88\x06\x03\xe9over"
    assert echo.told == ["opened", "closing", 1001]


def test_a_client_that_is_gone_ends_without_a_code() -> None:
    with echoing() as (client, echo):
        client.shutdown(socket.SHUT_RDWR)

    assert echo.told == ["opened", 1006]


def test_nothing_follows_a_close_frame() -> None:
    with echoing() as (client, echo):
        client.sendall(masked(Opcode.TEXT, b"hello"))
        assert client.recv(100) == b"\x81\x05hello"
        echo.buffer.add(Chunk(b"an event", 1, 1, 1))
        echo.transport.close(1001, "over")
        echo.buffer.add(Chunk(b"another", 2, 2, 1))
        client.sendall(masked(Opcode.TEXT, b"too late") + masked(Opcode.CLOSE, b"\x03\xe9"))

        assert rest(client) == b"\x88\x06\x03\xe9over"
    assert echo.buffer.dropped == 2


def test_a_client_that_sends_on_after_its_fault_is_not_read() -> None:
    with echoing(close_timeout_s=0.5) as (client, echo):
        client.settimeout(0.2)
        sent = 0
        try:
            while True:
                sent += client.send(b"\x82\xff" + (1 << 30).to_bytes(8, "big") + bytes(65536))
        except TimeoutError:  # it is not taken any more
            pass

        assert client.recv(4) == b"\x88\x24\x03\xf1"
        assert echo.read_before_closing <= 65536
        assert echo.reader.count <= 2 * 65536 < sent


@pytest.mark.timing
def test_one_client_that_talks_without_a_pause_leaves_others_their_turn() -> None:
    with echoing(max_control_frames_per_s=100_000) as (client, echo):
        client.sendall(masked(Opcode.TEXT, b"") * 10_000)
        longest = last = 0.0
        while echo.reader.count < 60_000:
            now = quiet_s()
            longest, last = max(longest, now - (last or now)), now
            give_way()

    assert longest < 0.05 * time_scale()
