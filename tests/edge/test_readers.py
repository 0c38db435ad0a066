"""Clients of the event stream that do not read: others are served, and they cost little."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from ..http.conftest import frame
from .conftest import LIMIT_S, Serve, Served

LIMITS = {"send_timeout_s": 1.0, "queue_bytes": 64 * 1024, "send_buffer_bytes": 16 * 1024}
WEBSOCKET = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
EVENTS = b"GET /events/stream HTTP/1.1\r\nHost: localhost\r\n\r\n"
BEHIND = EVENTS.replace(b"/stream", b"/stream?since=0")


@contextmanager
def that_do_not_read(served: Served, *requests: bytes) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        opened = []
        for request in requests:
            sock = stack.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
            sock.settimeout(LIMIT_S)
            sock.connect((served.host, served.port))
            sock.sendall(request)
            opened.append(sock)
        served.wait_until(lambda: len(served.daemon._clients) >= len(requests))
        yield opened


def test_those_who_do_not_read_are_let_go_and_the_others_miss_nothing(serve: Serve) -> None:
    served = serve(websocket=LIMITS)
    clients = served.daemon._clients
    payload = "y" * 4_000
    most, sent = 0, 0
    requests = [WEBSOCKET] * 8 + [EVENTS] * 4 + [BEHIND] * 4
    with (
        that_do_not_read(served, *requests),
        served.socket("/?types=strategy.flood") as good,
        served.redis as bus,
    ):

        def flood() -> bool:
            nonlocal most, sent
            for _ in range(5):
                bus.publish("strategy.flood", json.dumps({"n": sent, "x": payload}))
                sent += 1
            heard.extend(frame(good)["data"]["n"] for _ in range(5))
            most = max([most, *(one.buffer.size_bytes for one in clients)])
            return clients.closed[1013] == len(requests)

        heard: list[int] = []
        served.wait_until(flood)

    assert heard == list(range(sent))
    assert 0 < most <= 64 * 1024 + 300_000  # the queue, or one stretch of those behind
    served.wait_until(lambda: clients.places_taken == 0)


def test_a_client_far_behind_that_does_not_read_is_not_read_for(serve: Serve) -> None:
    served = serve(websocket=LIMITS | {"send_timeout_s": 60.0})
    with served.redis as bus:
        pipe = bus.pipeline(transaction=False)
        for number in range(3_000):
            pipe.publish("strategy.old", json.dumps({"n": number, "x": "y" * 1_000}))
        pipe.execute()
    served.wait_until(lambda: (served.daemon._clients.newest_id or 0) >= 3_000)

    with that_do_not_read(served, BEHIND):
        (client,) = served.daemon._clients
        served.wait_until(lambda: client.buffer.size_bytes)
        behind = served.daemon._clients._behind[client].position
        for _ in range(20):
            assert served.get("/health").status == 200
        assert served.daemon._clients._behind[client].position == behind < 3_000
        assert client.buffer.size_bytes < 300_000
