"""Those who take their time, and those who come in numbers: others are served all the same."""

import socket
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import pytest
from orchestrator.http.edge.connections import Connections, OpenConnection
from quiet_clock import quiet_s

from .conftest import LIMIT_S, Serve, Served, answered, exchange, received, statuses

HEAD = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
POST = (
    b"POST /bus/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 50\r\n\r\n"
)


@contextmanager
def sockets(served: Served, count: int, begin: bytes) -> Iterator[list[socket.socket]]:
    """So many connections that have sent the same and then fall silent."""
    with ExitStack() as stack:
        opened = []
        for _ in range(count):
            sock = socket.create_connection((served.host, served.port), timeout=LIMIT_S)
            opened.append(stack.enter_context(sock))
            sock.sendall(begin)
        yield opened


def is_open(sock: socket.socket) -> bool:
    sock.settimeout(0.05)
    try:
        return sock.recv(1) != b""
    except TimeoutError:
        return True
    except ConnectionError:
        return False


def stop_ms(served: Served) -> float:
    began = quiet_s()
    assert served.post("/risk/killswitch", {"reason": "drill"}).status == 200
    return (quiet_s() - began) * 1_000


# -- deadlines ---------------------------------------------------------------------------------


def test_a_connection_that_says_nothing_is_closed(serve: Serve) -> None:
    served = serve(http={"headers_timeout_s": 0.2})

    assert exchange(served, b"") == b""


@pytest.mark.parametrize("begun", [b"GET /hea", HEAD, HEAD + b"X-Slow: "])
def test_a_head_that_never_ends_is_408(serve: Serve, begun: bytes) -> None:
    served = serve(http={"headers_timeout_s": 0.2})

    assert statuses(exchange(served, begun)) == [408]


def test_a_head_that_drips_gains_no_time_by_it(serve: Serve) -> None:
    served = serve(http={"headers_timeout_s": 0.5})
    began = quiet_s()
    with socket.create_connection((served.host, served.port), timeout=0.05) as sock:
        sock.sendall(HEAD)
        data = b""
        while not data and quiet_s() - began < LIMIT_S:
            try:
                sock.sendall(b"X-A: b\r\n")
                data = sock.recv(1_000)
            except TimeoutError:
                continue

    assert statuses(data) == [408]
    assert quiet_s() - began < 5


def test_a_body_that_never_ends_is_408(serve: Serve) -> None:
    served = serve(http={"body_timeout_s": 0.2})

    assert statuses(answered(served, POST + b'{"type":')) == [408]


def test_a_body_that_drips_gains_no_time_by_it(serve: Serve) -> None:
    served = serve(http={"body_timeout_s": 0.5})
    began = quiet_s()
    with socket.create_connection((served.host, served.port), timeout=0.05) as sock:
        sock.sendall(POST)
        data = b""
        while not data and quiet_s() - began < LIMIT_S:
            try:
                sock.sendall(b" ")
                data = sock.recv(1_000)
            except TimeoutError:
                continue

    assert statuses(data) == [408]
    assert quiet_s() - began < 5


@contextmanager
def deaf(served: Served) -> Iterator[socket.socket]:
    """A client that asks for more than the system holds, and takes nothing of it."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        sock.settimeout(LIMIT_S)
        sock.connect((served.host, served.port))
        sock.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200)
        yield sock


def test_an_answer_that_nobody_takes_is_given_up(serve: Serve) -> None:
    served = serve(http={"send_timeout_s": 0.3})
    with deaf(served):
        served.wait_until(lambda: len(served.listening.connections) == 1)

        served.wait_until(lambda: len(served.listening.connections) == 0)


def test_at_the_limit_those_who_take_no_answer_make_room(serve: Serve) -> None:
    served = serve(http={"max_connections": 20})
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(deaf(served))
        served.wait_until(lambda: len(served.listening.connections) == 20)
        answered_so_far: deque[float | None] = deque(maxlen=30)

        def all_are_stuck() -> bool:
            labels = {"code": "200", "route": "/openapi.json"}
            registry = served.daemon.metrics.registry
            count = registry.get_sample_value("orchestrator_http_requests_total", labels)
            answered_so_far.append(count)
            return len(answered_so_far) == 30 and answered_so_far[0] == answered_so_far[-1]

        served.wait_until(all_are_stuck)
        for _ in range(20):
            assert served.post("/risk/killswitch", {"reason": "drill"}).status == 200


def test_an_idle_connection_is_closed_after_its_answer(serve: Serve) -> None:
    served = serve(http={"keep_alive_s": 0.2})

    assert statuses(exchange(served, HEAD + b"\r\n")) == [200]


# -- limits ------------------------------------------------------------------------------------


def test_at_the_limit_the_oldest_without_a_request_makes_room(serve: Serve) -> None:
    served = serve(http={"max_connections": 20})
    with sockets(served, 20, HEAD) as opened:
        served.wait_until(lambda: len(served.listening.connections) == 20)

        assert served.get("/health").status == 200
        served.wait_until(lambda: not is_open(opened[0]))
        assert is_open(opened[-1])


def test_one_address_has_a_limit_of_its_own(serve: Serve) -> None:
    served = serve(http={"max_connections_per_address": 5})
    with sockets(served, 8, HEAD) as opened:
        served.wait_until(lambda: served.listening.connections.cut >= 3)

        assert not any(is_open(sock) for sock in opened[:3])
        assert is_open(opened[-1])


def test_the_stop_answers_among_hundreds_that_drip_and_idle(serve: Serve) -> None:
    served = serve(http={"max_connections": 500})
    with sockets(served, 200, HEAD + b"X-Drip: "), sockets(served, 400, b""):
        took_ms = sorted(stop_ms(served) for _ in range(20))

    # The short form of 500 and 1,000.
    assert took_ms[len(took_ms) // 2] <= 200


def test_websockets_are_never_cut_for_others(serve: Serve) -> None:
    served = serve(http={"max_connections": 20, "max_connections_per_address": 15})
    with served.socket() as client, sockets(served, 30, HEAD):
        client.send('{"action":"ping"}')

        assert "pong" in str(client.recv(timeout=LIMIT_S))


# -- the rule ----------------------------------------------------------------------------------


def test_who_works_is_never_cut() -> None:
    cut: list[str] = []
    book = Connections(total=2, per_address=2)
    held = [OpenConnection(name, partial(cut.append, name), counted=True) for name in "abcd"]
    assert book.enter(held[0])
    assert book.enter(held[1])
    book.busy(held[0])

    assert book.enter(held[2])
    assert cut == ["b"]
    book.busy(held[2])
    assert not book.enter(held[3])
    assert book.refused == 1
    book.idle(held[0])
    assert book.enter(held[3])
    assert cut == ["b", "a"]


def test_a_connection_that_has_left_takes_no_place() -> None:
    book = Connections(total=1, per_address=1)
    first, second = (OpenConnection("a", lambda: None, counted=True) for _ in range(2))
    book.enter(first)
    book.leave(first)
    book.leave(first)
    book.idle(first)

    assert book.enter(second)
    assert (book.cut, len(book)) == (0, 1)


def test_an_answer_is_whole_though_the_request_had_too_much(serve: Serve) -> None:
    served = serve()
    with socket.create_connection((served.host, served.port), timeout=LIMIT_S) as sock:
        sock.sendall(HEAD + b"X-A: " + b"a" * 60_000)

        assert received(sock).endswith(b"}")
