"""The channel by itself, as an echo server on a pair of sockets."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import pytest
from orchestrator.actors.clients import SendBuffer
from orchestrator.http.frame_reader import Message
from orchestrator.http.settings import WebSocketSettings
from orchestrator.http.websocket_channel import Channel
from websockets.frames import Frame, Opcode

from .conftest import LIMIT_S


class Echo:
    """A session that sends back what it gets, and notes what it is told."""

    def __init__(self, sock: Any, reader: Any, settings: WebSocketSettings) -> None:
        self.told: list[object] = []
        self.buffer = SendBuffer(settings.queue_bytes)
        self.channel = Channel(
            self, sock=sock, reader=reader, buffer=self.buffer, settings=settings
        )

    def opened(self) -> None:
        self.told.append("opened")

    def received(self, message: Message) -> None:
        opcode = Opcode.TEXT if message.is_text else Opcode.BINARY
        self.buffer.add_urgent(Frame(opcode, message.data).serialize(mask=False))
        self.channel.wake()

    def closing(self) -> None:
        self.told.append("closing")

    def ended(self, code: int) -> None:
        self.told.append(code)


@contextmanager
def echoing(**settings: Any) -> Iterator[tuple[socket.socket, Echo]]:
    """A client's socket, and what serves it."""
    ours, theirs = socket.socketpair()
    ours.settimeout(LIMIT_S)
    with theirs, theirs.makefile("rb") as reader:
        echo = Echo(theirs, reader, WebSocketSettings(**settings))
        server = gevent.spawn(echo.channel.run)
        try:
            with ours:
                yield ours, echo
        finally:
            server.join(LIMIT_S)
            assert server.dead


def masked(opcode: Opcode, data: bytes) -> bytes:
    return Frame(opcode, data).serialize(mask=True)


def rest(sock: socket.socket) -> bytes:
    """All that comes until the server closes."""
    data = b""
    while piece := sock.recv(65536):
        data += piece
    return data


def test_what_is_sent_comes_back_until_the_client_closes() -> None:
    with echoing() as (client, echo):
        client.sendall(masked(Opcode.TEXT, b"hello") + masked(Opcode.CLOSE, b"\x03\xe8"))

        assert rest(client) == b"\x81\x05hello\x88\x02\x03\xe8"
    assert echo.told == ["opened", "closing", 1000]


def test_closing_is_told_once_and_ends_with_its_own_code() -> None:
    with echoing() as (client, echo):
        client.sendall(masked(Opcode.TEXT, b"hello"))
        assert client.recv(100) == b"\x81\x05hello"
        echo.channel.close(1001, "over")
        echo.channel.close(1008, "too late")
        assert client.recv(100) == b"\x88\x06\x03\xe9over"
        client.sendall(masked(Opcode.CLOSE, b"\x03\xe9"))

        assert rest(client) == b""
    assert echo.told == ["opened", "closing", 1001]


@pytest.mark.timing
def test_a_client_that_does_not_answer_the_close_is_left() -> None:
    with echoing() as (client, echo):
        client.sendall(masked(Opcode.TEXT, b"hello"))
        assert client.recv(100) == b"\x81\x05hello"
        echo.channel.close(1001, "over")

        assert rest(client) == b"\x88\x06\x03\xe9over"
    assert echo.told == ["opened", "closing", 1001]


def test_a_client_that_is_gone_ends_without_a_code() -> None:
    with echoing() as (client, echo):
        client.shutdown(socket.SHUT_RDWR)

    assert echo.told == ["opened", 1006]
