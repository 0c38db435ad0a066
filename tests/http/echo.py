"""An echo server made of our transport, on one end of a pair of sockets."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gevent
from orchestrator.actors.broadcaster.send_buffer import SendBuffer
from orchestrator.http.settings import WebSocketSettings
from orchestrator.http.stream.frame_reader import Inflater, Message
from orchestrator.http.stream.transport import Transport
from websockets.frames import Frame, Opcode

from .conftest import LIMIT_S


class CountingReader:
    """What the transport reads from; counts what it takes."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self.count = 0

    def read1(self, size: int, /) -> bytes:
        data: bytes = self._reader.read1(size)
        self.count += len(data)
        return data


class Echo:
    """A session that sends back what it gets, and notes what it is told."""

    def __init__(
        self, sock: Any, reader: Any, settings: WebSocketSettings, inflater: Inflater | None
    ) -> None:
        self.told: list[object] = []
        self.buffer = SendBuffer(settings.queue_bytes)
        self.reader = CountingReader(reader)
        self.read_before_closing = 0
        self.transport = Transport(
            self,
            sock=sock,
            reader=self.reader,
            buffer=self.buffer,
            settings=settings,
            inflater=inflater,
        )

    def opened(self) -> None:
        self.told.append("opened")

    def received(self, message: Message) -> None:
        opcode = Opcode.TEXT if message.is_text else Opcode.BINARY
        self.buffer.add_urgent(Frame(opcode, message.data).serialize(mask=False))
        self.transport.wake()

    def closing(self) -> None:
        self.read_before_closing = self.reader.count
        self.told.append("closing")

    def ended(self, code: int) -> None:
        self.told.append(code)


@contextmanager
def echoing(
    inflater: Inflater | None = None, **settings: Any
) -> Iterator[tuple[socket.socket, Echo]]:
    """A client's socket, and what serves it."""
    ours, theirs = socket.socketpair()
    ours.settimeout(LIMIT_S)
    with theirs, theirs.makefile("rb") as reader:
        echo = Echo(theirs, reader, WebSocketSettings(**settings), inflater)
        server = gevent.spawn(echo.transport.run)
        try:
            with ours:
                yield ours, echo
        finally:
            server.join(LIMIT_S)
            assert server.dead


def masked(opcode: int, data: bytes = b"", *, fin: bool = True) -> bytes:
    """A frame as clients send it."""
    return Frame(Opcode(opcode), data, fin).serialize(mask=True)


def rest(sock: socket.socket) -> bytes:
    """All that comes until the server closes."""
    data = b""
    try:
        while piece := sock.recv(65536):
            data += piece
    except ConnectionResetError:
        pass  # it closed with something unread
    return data
