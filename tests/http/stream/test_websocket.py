import json
import socket
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import gevent
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.sync.client import ClientConnection

from ...actors.broadcaster.test_frames import parse
from ..conftest import LIMIT_S, Serve, Served, frame, frame_where


def ask(client: ClientConnection, **action: Any) -> None:
    client.send(json.dumps(action))


def refused(served: Served, path: str = "/", **options: Any) -> InvalidStatus:
    with pytest.raises(InvalidStatus) as caught, served.socket(path, **options):
        pass
    return caught.value


def closed(client: ClientConnection) -> int:
    """The code with which the server closes."""
    with pytest.raises(ConnectionClosed) as caught:
        deque(iter(lambda: client.recv(timeout=10), None), maxlen=0)
    assert caught.value.rcvd is not None, "no close frame came"
    return int(caught.value.rcvd.code)


@contextmanager
def upgraded(
    served: Served, path: str, *, host: str = "localhost", more: bytes = b""
) -> Iterator[socket.socket]:
    """A bare socket after a handshake was sent on it (and ``more``), for clients that misbehave."""
    handshake = (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    with socket.create_connection((served.host, served.port), timeout=LIMIT_S) as sock:
        sock.sendall(handshake.encode() + more)
        yield sock


# -- the greeting and the events -----------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/ws"])
def test_the_first_frame_greets_with_the_newest_id(served: Served, path: str) -> None:
    newest = served.stored()
    served.wait_until(lambda: (served.daemon._clients.newest_id or 0) >= newest)

    with served.socket(path, greeted=False) as client:
        greeting = frame(client)

    assert greeting["type"] == "connection"
    assert greeting["status"] == "connected"
    assert greeting["message"]
    assert greeting["timestamp"].endswith("Z")
    assert greeting["instance"]
    assert greeting["env"]
    assert greeting["cursor"] >= newest


def test_before_any_event_the_persister_tells_the_cursor(serve: Serve) -> None:
    served = serve()
    newest = served.get("/bus/events").json["cursor"]

    with served.socket(greeted=False) as client:
        assert frame(client)["cursor"] >= newest


def test_a_published_event_comes_as_a_frame(served: Served) -> None:
    with served.socket() as client, served.redis as bus:
        bus.publish("strategy.candidate", '{"symbol": "AAPL", "source":"dev-1", "price": 1.10}')
        got = frame_where(client, eventType="strategy.candidate")

    assert got["type"] == "redis_event"
    assert got["channel"] == "strategy.candidate"
    assert got["data"] == {"symbol": "AAPL", "source": "dev-1", "price": 1.1}
    assert got["source"] == "dev-1"
    assert got["id"] > 0
    assert got["timestamp"].endswith("Z")
    assert served.get(f"/bus/events/{got['id']}").json["event"]["ts"] == got["timestamp"]


def test_everything_published_comes_once_and_in_order(served: Served) -> None:
    with served.socket("/?types=strategy.flood") as client, served.redis as bus:
        pipe = bus.pipeline(transaction=False)
        for number in range(2000):
            pipe.publish("strategy.flood", json.dumps({"n": number}))
        pipe.execute()
        got = [frame(client) for _ in range(2000)]

    assert [one["data"]["n"] for one in got] == list(range(2000))
    ids = [one["id"] for one in got]
    assert ids == sorted(set(ids))


def test_types_in_the_url_filter_events(served: Served) -> None:
    with served.socket("/?types=risk.*,strategy.b") as client:
        for type_ in ("strategy.a", "strategy.b", "risk.limit"):
            served.stored(type_)

        assert [frame(client)["eventType"] for _ in range(2)] == ["strategy.b", "risk.limit"]


def test_subscribe_replaces_the_filter_and_is_confirmed(served: Served) -> None:
    with served.socket("/?types=strategy.a") as client:
        ask(client, action="subscribe", types=["strategy.b", "news.*"])
        confirmed = frame(client)
        for type_ in ("strategy.a", "strategy.b"):
            served.stored(type_)

        assert confirmed == {"type": "subscribed", "types": ["news.*", "strategy.b"]}
        assert frame(client)["eventType"] == "strategy.b"


def test_a_filter_is_applied_and_replaced(served: Served) -> None:
    with served.socket("/?types=strategy.*&where=data.n%20%3E%201") as client:
        for n in range(4):
            served.stored("strategy.where", {"n": n})
        assert [frame(client)["data"]["n"] for _ in range(2)] == [2, 3]

        ask(client, action="subscribe", types=[], where="data.n == 0 and topic == 'strategy.*'")
        confirmed = frame(client)
        for n in range(4):
            served.stored("strategy.where", {"n": n})
        served.stored("news.signal.entity", {"n": 0})
        ask(client, action="subscribe", types=["none"])

        assert confirmed["where"] == "data.n == 0 and topic == 'strategy.*'"
        assert frame(client)["data"]["n"] == 0
        assert frame(client) == {"type": "subscribed", "types": ["none"]}


def test_a_filter_that_is_none_is_refused_before_the_upgrade(served: Served) -> None:
    with pytest.raises(InvalidStatus) as caught, served.socket("/?where=nonsense"):
        pass

    assert caught.value.response.status_code == 400
    assert b"where: expected topic" in (caught.value.response.body or b"")


def test_only_so_many_different_filters_are_in_force(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.actors.broadcaster.clients.MAX_WHERES", 2)
    with ExitStack() as stack:
        for n in (1, 1, 2):
            stack.enter_context(served.socket(f"/?where=data.n=={n}"))
        with pytest.raises(InvalidStatus) as caught, served.socket("/?where=data.n==3"):
            pass
        assert caught.value.response.status_code == 503

        client = stack.enter_context(served.socket("/?types=none"))
        ask(client, action="subscribe", types=["none"], where="data.n == 3")
        refused = frame(client)
    assert refused["type"] == "error"
    assert "different ways already" in refused["message"]


def test_subscribing_to_nothing_means_everything(served: Served) -> None:
    with served.socket("/?types=strategy.a") as client:
        ask(client, action="subscribe", types=[])

        assert frame(client) == {"type": "subscribed", "types": ["*"]}


def test_ping_is_answered(served: Served) -> None:
    with served.socket("/?types=none") as client:
        ask(client, action="ping")

        pong = frame(client)
    assert pong["type"] == "pong"
    assert pong["timestamp"].endswith("Z")


def test_a_websocket_ping_is_answered_with_its_data(served: Served) -> None:
    with served.socket("/?types=none") as client:
        assert client.ping(b"sign of life").wait(5)


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "[]",
        "{}",
        '{"action":"dance"}',
        '{"action":"subscribe"}',
        '{"action":"subscribe","types":"risk.*"}',
        '{"action":"subscribe","types":[5]}',
        '{"action":"subscribe","types":[],"where":"nonsense"}',
        '{"action":"subscribe","types":[],"where":""}',
        json.dumps({"action": "subscribe", "types": ["x" * 201]}),
        json.dumps({"action": "subscribe", "types": [f"t{n}" for n in range(101)]}),
        "[" * 10_000,
        b'{"action":"\xff"}',
    ],
)
def test_a_message_that_means_nothing_is_answered_and_the_connection_stays(
    served: Served, text: str | bytes
) -> None:
    with served.socket("/?types=none") as client:
        client.send(text)
        error = frame(client)
        ask(client, action="ping")

        assert error["type"] == "error"
        assert error["error"] == "bad_message"
        assert error["message"]
        assert frame(client)["type"] == "pong"


# -- resuming ------------------------------------------------------------------------------------


def test_whoever_comes_back_gets_what_it_missed_and_then_what_comes(served: Served) -> None:
    first = served.stored("strategy.back")
    missed = [served.stored("strategy.back") for _ in range(3)]

    with served.socket(f"/?types=strategy.back&since={first}") as client:
        got = [frame(client)["id"] for _ in missed]
        live = served.stored("strategy.back")
        got.append(frame(client)["id"])

    assert got == [*missed, live]


def test_since_0_begins_with_the_very_first_event(serve: Serve) -> None:
    served = serve()
    served.stored()
    known = served.get("/bus/events?after=0&order=asc&limit=200").json["events"]

    with served.socket("/?since=0") as client:
        got = [frame_where(client, type="redis_event")["id"] for _ in known]

    assert got == [event["id"] for event in known]


def test_a_resumed_event_looks_as_it_did_live(served: Served) -> None:
    first = served.stored("strategy.same")
    with served.socket("/?types=heartbeat.same-1") as client, served.redis as bus:
        bus.publish("heartbeat.same-1", '{"agent_id":"same-1","x":1.10}')
        live = frame_where(client, type="redis_event")

    with served.socket(f"/?types=heartbeat.same-1&since={first}") as client:
        assert frame_where(client, type="redis_event") == live


def test_an_id_that_there_is_not_is_said_and_the_connection_goes_on_live(served: Served) -> None:
    with served.socket("/?types=strategy.on&since=999999999999") as client:
        error = frame(client)
        live = served.stored("strategy.on")

        assert error["error"] == "cursor_ahead"
        assert frame(client)["id"] == live


def test_a_filter_can_be_changed_while_one_catches_up(served: Served) -> None:
    first = served.stored("strategy.other")
    with served.socket(f"/?types=none&since={first}") as client:
        ask(client, action="subscribe", types=["strategy.changed"])
        assert frame_where(client, type="subscribed")["types"] == ["strategy.changed"]
        live = served.stored("strategy.changed")

        assert frame_where(client, type="redis_event")["id"] == live


@pytest.mark.parametrize(
    "value", ["x", "-1", "1.5", "1e3", "9" * 25, "9223372036854775808", "1&since=2"]
)
def test_what_is_no_id_is_refused_before_the_upgrade(served: Served, value: str) -> None:
    assert refused(served, f"/?since={value}").response.status_code == 400


# -- what passes every filter --------------------------------------------------------------------


def test_the_killswitch_passes_filters_and_comes_as_an_event_too(serve: Serve) -> None:
    served = serve()
    with served.socket("/?types=none") as deaf, served.socket() as client:
        reply = served.post("/risk/killswitch", {"reason": "test"})
        trip_id = reply.json["trip_id"]

        notice = frame_where(deaf, type="killswitch_activated")
        assert notice["data"]["reason"] == "test"
        assert notice["data"]["trip_id"] == trip_id
        assert notice["timestamp"].endswith("Z")
        event = frame_where(client, type="redis_event", eventType="risk.killswitch")
        assert event["data"]["enabled"] is True
        served.post("/risk/killswitch/release", {"reason": "over", "trip_id": trip_id})
        assert frame_where(deaf, type="killswitch_released")["data"]["trip_id"] == trip_id


def test_a_change_of_an_agent_is_shown(served: Served) -> None:
    with served.socket("/?types=none") as client, served.redis as bus:
        bus.publish("heartbeat.new-1", '{"agent_id":"new-1","status":"active"}')
        row = frame_where(client, type="agent_status")["data"]

    assert row["id"] == "new-1"
    assert row["status"] == "active"
    assert row["is_alive"] is True


# -- the ends ------------------------------------------------------------------------------------


def test_a_clients_close_is_answered(served: Served) -> None:
    with served.socket() as client:
        client.close(1000, "bye")

    assert client.close_code == 1000
    served.wait_until(lambda: served.get("/health").json["websocket_clients"] == 0)


def test_a_message_over_64_kib_closes_with_1009(served: Served) -> None:
    with served.socket("/?types=none") as client:
        client.send("x" * (64 * 1024 + 1))

        assert closed(client) == 1009


def test_a_large_message_is_refused_before_it_is_read(served: Served) -> None:
    with served.socket("/?types=none") as client:
        header = bytes([0x81, 0xFF]) + (400 * 1024 * 1024).to_bytes(8, "big") + b"mask"
        client.socket.sendall(header)

        assert closed(client) == 1009


def test_a_message_of_exactly_64_kib_is_taken(served: Served) -> None:
    with served.socket("/?types=none") as client:
        client.send("x" * (64 * 1024))

        assert frame(client)["type"] == "error"


def test_fragments_are_joined_and_their_sum_is_limited(served: Served) -> None:
    with served.socket("/?types=none") as client:
        client.send(iter(['{"act', 'ion":', '"ping"}']))
        assert frame(client)["type"] == "pong"

        client.send(iter(["x" * 30_000] * 3))
        assert closed(client) == 1009


def test_text_that_is_not_utf_8_closes_with_1007(served: Served) -> None:
    with served.socket("/?types=none") as client:
        client.socket.sendall(Frame(Opcode.TEXT, b"\xff\xfe").serialize(mask=True))

        assert closed(client) == 1007


def test_an_unmasked_frame_closes_with_1002(served: Served) -> None:
    with served.socket("/?types=none") as client:
        client.socket.sendall(Frame(Opcode.TEXT, b"{}").serialize(mask=False))

        assert closed(client) == 1002


def test_what_comes_together_with_the_handshake_is_read(served: Served) -> None:
    ping = Frame(Opcode.TEXT, b'{"action":"ping"}').serialize(mask=True)
    with upgraded(served, "/?types=none", more=ping) as sock:
        received = b""
        while b'"pong"' not in received:
            data = sock.recv(65536)
            assert data, received
            received += data

    assert received.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")


def test_a_silent_client_is_pinged_and_then_closed(serve: Serve) -> None:
    served = serve(websocket={"ping_interval_s": 0.1, "ping_timeout_s": 0.4})
    with upgraded(served, "/?types=none") as sock:
        received = b""
        while data := sock.recv(65536):
            received += data

    assert b"\x89\x00" in received  # a ping
    assert b"\x88\x0e\x03\xf0ping timeout" in received or b"\x03\xf0" in received
    served.wait_until(lambda: served.daemon._clients.closed[1008] == 1)


def test_a_client_that_answers_pings_stays(serve: Serve) -> None:
    served = serve(websocket={"ping_interval_s": 0.05, "ping_timeout_s": 0.3})

    with served.socket("/?types=strategy.late") as client:
        gevent.sleep(1.0)  # three timeouts long
        served.stored("strategy.late")
        assert frame(client)["eventType"] == "strategy.late"


def test_a_client_that_takes_nothing_is_closed_with_1013_and_holds_up_nobody(serve: Serve) -> None:
    served = serve(websocket={"send_timeout_s": 1.0, "queue_bytes": 64 * 1024})
    clients = served.daemon._clients
    payload = json.dumps({"x": "y" * 4_000})
    with upgraded(served, "/"), served.socket("/?types=strategy.end") as good, served.redis as bus:
        limit = time.monotonic() + LIMIT_S
        while not clients.closed[1013] and time.monotonic() < limit:
            for _ in range(50):
                bus.publish("strategy.flood", payload)
            gevent.sleep(0.02)

        assert clients.closed[1013] == 1
        assert clients.dropped > 0
        served.stored("strategy.end")
        assert frame(good)["eventType"] == "strategy.end"


def test_a_client_that_reads_late_gets_a_gap_and_then_the_newest(serve: Serve) -> None:
    served = serve(websocket={"send_timeout_s": 30.0, "queue_bytes": 64 * 1024})
    clients = served.daemon._clients
    payload = json.dumps({"x": "y" * 4_000})
    with upgraded(served, "/?types=strategy.flood") as slow, served.redis as bus:
        while not clients.dropped:
            for _ in range(50):
                bus.publish("strategy.flood", payload)
            gevent.sleep(0.02)
        last = served.stored("strategy.flood", {"last": True})
        received = b""
        while b'"last": true' not in received:
            received += slow.recv(1 << 20)

    got = parse(received[received.index(b"\r\n\r\n") + 4 :])
    gap = next(one for one in got if one["type"] == "gap")
    shown = [int(one["id"]) for one in got if one["type"] == "redis_event"]
    assert shown == sorted(set(shown))
    assert shown[-1] == last
    assert gap["dropped"] > 0
    assert not [one for one in shown if gap["from"] <= one <= gap["to"]]
    missing = set(range(shown[0], last + 1)) - set(shown)
    dropped = sum(one["dropped"] for one in got if one["type"] == "gap")
    assert dropped <= len(missing)


def test_stopping_the_server_closes_with_1001(serve: Serve) -> None:
    served = serve()
    with served.socket("/?types=none") as client:
        served.post("/runtime/actors/http/restart")

        assert closed(client) == 1001
    served.wait_until(lambda: served.get("/health").status == 200)


# -- refusals come before the upgrade ------------------------------------------------------------


def test_another_origin_is_refused_with_403(served: Served) -> None:
    error = refused(served, origin="https://evil.example")

    assert error.response.status_code == 403
    assert json.loads(error.response.body or b"")["request_id"]


def test_the_own_origin_and_the_fronts_are_let_in(serve: Serve) -> None:
    served = serve(http={"front_origin": "https://desk.example.com"})

    for origin in (f"http://127.0.0.1:{served.port}", "https://desk.example.com"):
        with served.socket(origin=origin):
            pass


def test_a_foreign_host_is_refused(served: Served) -> None:
    handshake = (
        b"GET / HTTP/1.1\r\nHost: rebound.example\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        b"Sec-WebSocket-Version: 13\r\n\r\n"
    )
    with socket.create_connection((served.host, served.port), timeout=10) as sock:
        sock.sendall(handshake)
        assert sock.recv(100).startswith(b"HTTP/1.1 403")


def test_too_many_clients_are_refused_with_503(serve: Serve) -> None:
    served = serve(websocket={"max_clients": 2})
    with served.socket(), served.socket():
        error = refused(served)
        assert error.response.status_code == 503
        assert int(error.response.headers["Retry-After"]) > 0

    served.wait_until(lambda: served.daemon._clients.places_taken == 0)
    with served.socket():
        pass


def test_another_path_is_refused_with_404(served: Served) -> None:
    assert refused(served, "/elsewhere").response.status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-WebSocket-Version": "8", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="},
        {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="},
        {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "short"},
        {"Sec-WebSocket-Version": "13"},
    ],
)
def test_an_improper_handshake_is_400(served: Served, headers: dict[str, str | None]) -> None:
    upgrade: dict[str, str | None] = {"Upgrade": "websocket", "Connection": "Upgrade"}

    reply = served.call("GET", "/", headers=upgrade | headers)

    assert reply.status == 400
    assert reply.json["error"]


def test_too_many_types_in_the_url_are_400(served: Served) -> None:
    types = ",".join(f"t{n}" for n in range(101))

    assert refused(served, f"/?types={types}").response.status_code == 400


def test_the_filter_is_understood_by_its_name_in_rest_too(served: Served) -> None:
    with served.socket("/?type=strategy.b&type[]=strategy.c") as client:
        for name in "abc":
            served.stored(f"strategy.{name}")

        assert [frame(client)["channel"] for _ in "bc"] == ["strategy.b", "strategy.c"]


def test_other_parameters_do_no_harm(served: Served) -> None:
    with served.socket("/?_=1&client=dashboard&v=&sinse=3&tipes=x"):
        pass


# -- pure parts ----------------------------------------------------------------------------------


def test_a_subscription_with_too_many_stars_is_an_error_frame(served: Served) -> None:
    with served.socket() as client:
        ask(client, action="subscribe", types=["*" * 17])
        refusal = frame(client)

    assert (refusal["type"], refusal["error"]) == ("error", "bad_message")
    assert "at most 16 stars" in refusal["message"]


def test_too_many_stars_in_the_url_are_400(served: Served) -> None:
    assert refused(served, f"/?types={'*' * 17}").response.status_code == 400


def test_no_file_descriptor_is_left_behind(served: Served) -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    with served.socket():
        pass
    served.wait_until(lambda: served.daemon._clients.places_taken == 0)
    gevent.sleep(0.1)
    before = open_files()
    for _ in range(20):
        with served.socket():
            pass
    served.wait_until(lambda: served.daemon._clients.places_taken == 0)

    served.wait_until(lambda: open_files() <= before + 2)
