import socket
import time

import gevent
import pytest
from orchestrator.http.settings import WebSocketSettings
from orchestrator.http.stream.sender import Stalled, send_all, set_socket_options


def connected() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        return listener.accept()[0], client


def test_the_system_holds_little_for_one_that_does_not_read() -> None:
    ours, theirs = connected()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
    set_socket_options(ours, WebSocketSettings(send_buffer_bytes=32 * 1024))
    with ours, theirs:
        ours.settimeout(0.2)
        with pytest.raises(TimeoutError):
            ours.sendall(b"x" * 4_000_000)
        assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 64 * 1024
        assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000


def test_a_unix_socket_will_do() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        set_socket_options(ours, WebSocketSettings())


def test_one_that_takes_nothing_is_found_out() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        began = time.monotonic()
        with pytest.raises(Stalled) as caught:
            send_all(ours, b"x" * 10_000_000, 0.1)
        assert 0 < len(caught.value.rest) < 10_000_000
        assert str(len(caught.value.rest)) in str(caught.value)
        assert time.monotonic() - began >= 0.1


def test_one_that_takes_a_little_at_a_time_is_waited_for() -> None:
    ours, theirs = socket.socketpair()
    data = bytes(range(256)) * 8_000
    taken = bytearray()

    def read() -> None:
        while len(taken) < len(data):
            taken.extend(theirs.recv(200_000))
            gevent.sleep(0.03)

    with ours, theirs:
        reader = gevent.spawn(read)
        send_all(ours, data, 0.25)
        reader.join(10)

    assert bytes(taken) == data
