"""Whatever a caller sizes has a bound: no request and no message keeps the loop for 50 ms.

The daemon runs in this process, and turns of its loop are measured in processor time, so that
a busy machine is not taken for a slow daemon. What has been slow once is asked twice more:
only what is slow each time counts.
"""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import TypeVar

import pytest
import redis
from loop_meter import LoopMeter, loop_meter
from orchestrator.actors.heartbeat_monitor.agent_table import MAX_AGENTS
from orchestrator.http.app import all_routes
from orchestrator.http.routes import Route
from orchestrator.http.settings import WebSocketSettings
from orchestrator.http.stream.catch_up import Feeds
from orchestrator.http.stream.feed_query import EventStreamQuery
from orchestrator.sql.events.event_reader import MAX_TYPES
from processor import time_scale
from websockets.exceptions import ConnectionClosed

from ..hostile import COSTLY, HOSTILE, costly_json
from ..http.conftest import frame
from .conftest import LIMIT_S, Served, received
from .hostile_requests import MIB, Asked, requests_of, upgrades_of

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
    return result, shortest if shortest < STALL_S else shortest / time_scale()


@pytest.mark.timeout(1800)
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


@pytest.mark.timeout(1200)
def test_no_websocket_message_keeps_the_loop(served: Served, meter: LoopMeter) -> None:
    messages: dict[str, str | bytes] = {"types together": subscription([*HOSTILE, *COSTLY])}
    for text in (*HOSTILE, *COSTLY):
        messages[f"types {text[:50]!r}"] = subscription([text] * 10)
    for what, document in costly_json(WebSocketSettings().max_message_bytes - 64):
        messages[f"message {what}"] = document
        messages[f"text {what}"] = document.decode(errors="replace")
        for field in (b"action", b"types", b"other"):
            asked = b'{"action":"subscribe","types":[],"%b":%b}' % (field, document)
            messages[f"{field!r} {what}"] = asked
    slow = {}
    for name, message in messages.items():
        _, took_s = stall_s(meter, partial(answered, served, message))
        if took_s >= STALL_S:
            slow[name] = round(took_s, 3)

    assert slow == {}


def subscription(types: list[str]) -> str:
    return json.dumps({"action": "subscribe", "types": types})


def answered(served: Served, message: str | bytes) -> None:
    """Send it, and wait for its answer, or for the end."""
    with served.socket() as client, suppress(ConnectionClosed):
        client.send(message)
        while frame(client)["type"] not in {"subscribed", "error"}:
            pass


BEAT = ("agent_id", "name", "group", "status", "interval_s", "version", "error", "gate", "trip_id")
NUMBERS = ("source", "seq", "boot", "sequence", "durable", "correlation_id", "other")
STOP = ("enabled", "reason", "triggered_by", "trip_id", "level", "scope")
FIELDS = {
    "heartbeat.a": BEAT,
    "strategy.a": NUMBERS,
    "risk.killswitch": STOP,
    "risk.drill": ("drill",),
    "quant.regime.state": ("regime", "symbol_details"),
}


@pytest.mark.timing
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("channel", FIELDS)
def test_no_message_on_the_bus_keeps_the_loop(
    served: Served, meter: LoopMeter, channel: str
) -> None:
    payloads = {
        f"{field} is {what}": b'{"%b":%b}' % (field.encode(), document)
        for field in FIELDS[channel]
        for what, document in costly_json(MIB - 64)
    } | dict(costly_json(MIB))
    slow = {}
    with served.redis as bus, served.socket("/?types=none", compression="deflate"):
        for name, payload in payloads.items():
            _, took_s = stall_s(meter, partial(heard, served, bus, channel, payload))
            if took_s >= STALL_S:
                slow[name] = round(took_s, 3)

    assert slow == {}


def heard(served: Served, bus: redis.Redis, channel: str | bytes, payload: bytes) -> None:
    """Publish it, and wait until it is an event that everybody has been told of."""
    before = served.daemon._clients.newest_id or 0
    assert bus.publish(channel, payload)
    served.wait_until(lambda: (served.daemon._clients.newest_id or 0) > before)
    served.wait_until(lambda: not served.daemon._to.killswitch.mailbox)


@pytest.mark.timeout(1200)
def test_no_channel_keeps_the_loop(served: Served, meter: LoopMeter) -> None:
    names = [
        f"{head}{text}" for head in ("strategy.", "heartbeat.") for text in (*HOSTILE, *COSTLY)
    ]
    names.append("strategy." + "x" * MIB)
    slow = {}
    with served.redis as bus:
        for name in names:
            encoded = name.encode("utf-8", "surrogatepass")
            _, took_s = stall_s(meter, partial(heard, served, bus, encoded, b"{}"))
            if took_s >= STALL_S:
                slow[name[:50]] = round(took_s, 3)

    assert slow == {}


@pytest.mark.timing
@pytest.mark.timeout(1200)
def test_no_listing_of_many_keeps_the_loop(served: Served, meter: LoopMeter) -> None:
    with served.redis as bus, bus.pipeline(transaction=False) as pipeline:
        for number in range(max(MAX_AGENTS, MAX_TYPES) + 100):
            beat = {"agent_id": f"agent-{number:05d}", "group": f"g{number}", "name": "n" * 100}
            pipeline.publish(f"heartbeat.{number}", json.dumps(beat))
            pipeline.publish(f"strategy.t{number}", b"{}")
        pipeline.execute()
    served.wait_until(
        lambda: len(served.get("/health/agents").json.get("agents", ())) >= MAX_AGENTS, 90
    )
    served.wait_until(lambda: len(served.get("/bus/types").json.get("types", ())) >= MAX_TYPES, 90)
    slow = {}
    for route in routes_of(served):
        if route.method == "GET" and "{" not in route.path and not route.endless:
            request = Asked(route.path, "GET", route.path).encoded()
            _, took_s = stall_s(meter, partial(status_of, served, request))
            if took_s >= STALL_S:
                slow[route.path] = round(took_s, 3)

    assert slow == {}
