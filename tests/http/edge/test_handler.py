import socket

import pytest
from orchestrator.http.edge import wsgi
from quiet_clock import quiet_s

from ..conftest import LIMIT_S, Served


def exchange(served: Served, request: bytes) -> bytes:
    """All that comes back until the server closes."""
    with socket.create_connection((served.host, served.port), timeout=LIMIT_S) as sock:
        sock.sendall(request)
        received = b""
        while data := sock.recv(65536):
            received += data
    return received


@pytest.mark.parametrize(
    "request_",
    [
        b"NONSENSE\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused_and_the_connection_ends(
    served: Served, request_: bytes
) -> None:
    received = exchange(served, request_)

    assert received.startswith((b"HTTP/1.1 400", b"HTTP/1.1 414"))
    assert b"Traceback" not in received


def test_of_a_refused_body_only_a_little_is_waited_for(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wsgi, "_DISCARD_S", 0.1)
    request = (
        b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 1000\r\n\r\nonly this"
    )
    started = quiet_s()

    received = exchange(served, request)

    assert received.startswith(b"HTTP/1.1 404")
    assert received.count(b"HTTP/1.1") == 1
    assert quiet_s() - started < 5


def test_a_body_that_nobody_wanted_does_not_become_the_next_request(served: Served) -> None:
    smuggled = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    request = (
        b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(smuggled)
    )
    last = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

    received = exchange(served, request + smuggled + last)

    assert received.count(b"HTTP/1.1 404") == 2
    assert b"HTTP/1.1 200" not in received


def test_an_expected_continue_is_sent(served: Served) -> None:
    body = b'{"type":"strategy.expect","payload":{}}'
    request = (
        b"POST /bus/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body)
    )
    with socket.create_connection((served.host, served.port), timeout=LIMIT_S) as sock:
        sock.sendall(request)
        assert sock.recv(100).startswith(b"HTTP/1.1 100")
        sock.sendall(body)
        assert sock.recv(100).startswith(b"HTTP/1.1 201")


def test_an_upgrade_to_something_else_is_an_ordinary_request(served: Served) -> None:
    reply = served.get("/health", Upgrade="h2c", Connection="Upgrade")

    assert reply.status == 200
