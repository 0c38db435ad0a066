"""Whatever a caller sizes has a bound: no request and no message keeps the loop for 50 ms.

The daemon runs in this process, and turns of its loop are measured in processor time, so that
a busy machine is not taken for a slow daemon. What has been slow once is asked twice more:
only what is slow each time counts.
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import TypeVar

import pytest
from loop_meter import LoopMeter, loop_meter
from orchestrator.http.app import all_routes
from orchestrator.http.routes import Route
from orchestrator.http.settings import WebSocketSettings
from orchestrator.http.stream.catch_up import Feeds
from orchestrator.http.stream.feed_query import EventStreamQuery

from .conftest import LIMIT_S, Served, received
from .hostile_requests import requests_of, upgrades_of

STALL_S = 0.05
TRIES = 3

T = TypeVar("T")


@pytest.fixture(scope="module")
def meter() -> Iterator[LoopMeter]:
    with loop_meter() as running:
        yield running


@pytest.fixture(autouse=True)
def _no_actor_fails(served: Served) -> Iterator[None]:
    yield
    children = served.get("/runtime/actors").json["tree"]["children"]
    assert {child["name"]: child["restarts"] for child in children if child["restarts"]} == {}
    assert {child["state"] for child in children} == {"RUNNING"}
    assert served.get("/runtime/dead-letters").json["total"] == 0


def routes_of(served: Served) -> list[Route]:
    peers = served.daemon._peers()
    return all_routes(peers, "HttpServer", Feeds.of(peers, WebSocketSettings()))


def status_of(served: Served, request: bytes) -> int:
    with socket.create_connection((served.host, served.port), timeout=LIMIT_S) as sock:
        with suppress(OSError):  # refused before its end
            sock.sendall(request)
        answer = sock.recv(12) if b"Upgrade: websocket" in request else received(sock)
    return int(answer[9:12] or 0)


def stall_s(meter: LoopMeter, act: Callable[[], T]) -> tuple[T, float]:
    """What ``act`` returns, and the longest turn meanwhile: of some tries, if it is too long."""
    shortest = float("inf")
    for _ in range(TRIES):
        meter.longest_s = 0.0
        result = act()
        shortest = min(shortest, meter.longest_s)
        if shortest < STALL_S:
            break
    return result, shortest


@pytest.mark.timeout(600)
def test_no_request_keeps_the_loop(served: Served, meter: LoopMeter) -> None:
    asked = [one for route in routes_of(served) for one in requests_of(route)]
    stream = Route("GET", "/ws", {}, query=EventStreamQuery)
    slow, failed = {}, {}
    for one in (*asked, *upgrades_of(stream)):
        status, took_s = stall_s(meter, partial(status_of, served, one.encoded()))
        if took_s >= STALL_S:
            slow[one.name] = round(took_s, 3)
        if status in {0, 500}:
            failed[one.name] = status

    assert len(asked) > 2_000
    assert slow == {}
    assert failed == {}
