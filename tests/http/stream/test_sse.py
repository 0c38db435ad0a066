"""Server-Sent Events from a whole daemon, read as the specification says."""

import json
import socket
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import pytest
from orchestrator.actors.events import Event
from orchestrator.actors.messages.events import EventReplaced

from ..conftest import LIMIT_S, Serve, Served


class Message(NamedTuple):
    """One message of a stream."""

    id: str | None
    data: dict[str, Any]


class Listening:
    """A client; ``head`` is what the server said first."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.comments = 0
        self.retry: int | None = None
        self._buffer = b""
        self.head = self._until(b"\r\n\r\n").decode()

    def _until(self, end: bytes) -> bytes:
        while end not in self._buffer:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError(self._buffer)
            self._buffer += data
        piece, _, self._buffer = self._buffer.partition(end)
        return piece

    def next(self) -> Message:
        """The next message with data."""
        while True:
            event_id, data = None, []
            for line in self._until(b"\n\n").decode().split("\n"):
                name, _, value = line.partition(":")
                match name:
                    case "":
                        self.comments += 1
                    case "retry":
                        self.retry = int(value)
                    case "id":
                        event_id = value.removeprefix(" ")
                    case "data":
                        data.append(value.removeprefix(" "))
            if data:
                return Message(event_id, json.loads("\n".join(data)))

    def event(self) -> Message:
        """The next event."""
        while (message := self.next()).data["type"] != "redis_event":
            pass
        return message


@contextmanager
def listening(
    served: Served, query: str = "", *, method: str = "GET", **headers: str
) -> Iterator[Listening]:
    lines = [f"{method} /events/stream{query} HTTP/1.1", "Host: localhost"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    with socket.create_connection((served.host, served.port), timeout=LIMIT_S) as sock:
        sock.sendall("\r\n".join([*lines, "", ""]).encode())
        yield Listening(sock)


def test_the_first_message_greets_with_the_place_to_resume_from(served: Served) -> None:
    newest = served.stored()
    served.wait_until(lambda: (served.daemon._clients.newest_id or 0) >= newest)

    with listening(served) as client:
        greeting = client.next()

    assert client.head.startswith("HTTP/1.1 200 OK\r\n")
    assert "Content-Type: text/event-stream" in client.head
    assert "no-store" in client.head
    assert "Transfer-Encoding" not in client.head
    assert "Content-Length" not in client.head
    assert client.retry is not None
    assert greeting.data["type"] == "connection"
    assert int(greeting.id or "") == greeting.data["cursor"] >= newest


def test_events_come_with_their_ids_as_they_are_published(served: Served) -> None:
    with listening(served, "?types=strategy.sse") as client:
        client.next()
        stored = served.stored("strategy.sse", {"x": 1})
        message = client.event()

    assert message.id == str(stored)
    assert message.data["id"] == stored
    assert message.data["data"] == {"x": 1}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_payload_over_several_lines_is_one_message(served: Served, end: str) -> None:
    with listening(served, "?types=strategy.lines") as client, served.redis as bus:
        client.next()
        bus.publish("strategy.lines", f'{{"a":{end}{end}[1,{end} 2]}}')

        assert client.event().data["data"] == {"a": [1, 2]}


@pytest.mark.parametrize(
    "query", ["?types=strategy.b,strategy.d", "?type=strategy.b&type=strategy.d"]
)
def test_only_what_is_asked_for_comes(served: Served, query: str) -> None:
    with listening(served, query) as client:
        client.next()
        for name in "abcd":
            served.stored(f"strategy.{name}")

        assert [client.event().data["channel"] for _ in range(2)] == ["strategy.b", "strategy.d"]


def test_a_filter_narrows_what_comes(served: Served) -> None:
    with listening(served, "?type=strategy.w&where=data.n%20%3E=%202") as client:
        client.next()
        for n in range(4):
            served.stored("strategy.w", {"n": n})

        assert [client.event().data["data"]["n"] for _ in range(2)] == [2, 3]


def test_what_is_no_filter_is_refused(served: Served) -> None:
    reply = served.get("/events/stream?where=data.n%20=%202")

    assert reply.status == 400
    assert reply.json["message"] == "where: cannot read '= 2' (character 8)."


@pytest.mark.parametrize("by", ["header", "query", "both"])
def test_whoever_comes_back_gets_what_it_missed_and_then_what_comes(
    served: Served, by: str
) -> None:
    first = served.stored("strategy.back", {"n": 0})
    missed = [served.stored("strategy.back", {"n": n}) for n in range(1, 4)]
    query = "" if by == "header" else f"&since={first if by == 'query' else 0}"
    headers = {} if by == "query" else {"Last_Event_ID": str(first)}

    with listening(served, f"?types=strategy.back{query}", **headers) as client:
        assert client.next().id == str(first)
        got = [int(client.event().id or "") for _ in missed]
        live = served.stored("strategy.back", {"n": 4})
        got.append(int(client.event().id or ""))

    assert got == [*missed, live]


def test_an_id_that_there_is_not_is_said_and_the_next_one_is_right(served: Served) -> None:
    newest = served.stored("strategy.ahead")
    with listening(served, "?types=strategy.ahead", Last_Event_ID="999999999999") as client:
        client.next()
        error = client.next()
        live = served.stored("strategy.ahead")

        assert error.data["error"] == "cursor_ahead"
        assert newest <= int(error.id or "") < live
        assert client.event().data["id"] == live


def test_a_replaced_event_does_not_set_the_place_back(served: Served) -> None:
    first, second = served.stored("strategy.again"), served.stored("strategy.again")
    with listening(served, "?types=bus.rejected", Last_Event_ID=str(second)) as client:
        client.next()
        served.wait_until(lambda: not served.daemon._clients._behind)
        event = Event(first, "bus.rejected", b"{}", "2026-01-31T09:30:00.123Z", None)
        served.daemon._to.broadcaster.tell(EventReplaced(event))
        message = client.next()

    assert message.data["replaces"] is True
    assert message.id is None


@pytest.mark.parametrize("value", ["x", "-1", "1.5", "1e3", "²", "9" * 30, "9223372036854775808"])
def test_what_is_no_id_is_refused(served: Served, value: str) -> None:
    for headers, query in (({"Last_Event_ID": value}, ""), ({}, f"?since={value}")):
        if not value.isascii() and query:
            continue
        reply = served.get(f"/events/stream{query}", **headers)
        assert reply.status == 400, (headers, query)


def test_too_many_types_are_refused_and_take_no_place(served: Served) -> None:
    taken = served.daemon._clients.places_taken
    types = ",".join(f"t{n}" for n in range(101))

    assert served.get(f"/events/stream?types={types}").status == 400
    assert served.daemon._clients.places_taken == taken


@pytest.mark.parametrize("name", ["type", "types"])
def test_a_pattern_with_too_many_stars_is_refused(served: Served, name: str) -> None:
    reply = served.get(f"/events/stream?{name}={'*' * 17}")

    assert reply.status == 400
    assert "at most 16 stars" in reply.json["message"]


def test_a_head_request_has_the_headers_and_takes_no_place(served: Served) -> None:
    reply = served.call("HEAD", "/events/stream")

    assert reply.status == 200
    assert reply.headers["Content-Type"] == "text/event-stream"
    assert reply.body == b""
    served.wait_until(lambda: served.daemon._clients.places_taken == 0)


def test_streams_and_websockets_share_their_places(serve: Serve) -> None:
    served = serve(websocket={"max_clients": 2})
    with served.socket(), listening(served) as client:
        client.next()
        reply = served.get("/events/stream")
        assert reply.status == 503
        assert int(reply.headers["Retry-After"]) > 0
        assert served.get("/health").json["websocket_clients"] == 2

    served.wait_until(lambda: served.daemon._clients.places_taken == 0)
    with listening(served) as client:
        client.next()


def test_a_quiet_stream_is_kept_alive(serve: Serve) -> None:
    served = serve(websocket={"ping_interval_s": 0.05})
    with listening(served, "?types=strategy.late") as client:
        client.next()
        served.wait_until(lambda: client._until(b"\n\n") == b":")


def test_the_stop_passes_every_filter(serve: Serve) -> None:
    served = serve()
    with listening(served, "?types=none") as client:
        client.next()
        served.post("/risk/killswitch", {"reason": "drill"})
        while (message := client.next()).data["type"] != "killswitch_activated":
            pass

    assert message.data["data"]["reason"] == "drill"
    assert message.id is None


def test_a_client_that_has_gone_leaves_its_place(served: Served) -> None:
    with listening(served) as client:
        client.next()
        assert served.daemon._clients.places_taken == 1

    served.wait_until(lambda: served.daemon._clients.places_taken == 0)
    assert len(served.daemon._clients) == 0


def test_a_client_that_talks_on_is_let_go(served: Served) -> None:
    with listening(served, "?types=none") as client:
        client.next()
        with suppress(ConnectionError):
            client.sock.sendall(b"x" * 200_000)
        served.wait_until(lambda: served.daemon._clients.places_taken == 0)


def test_a_stop_of_the_server_ends_the_stream(serve: Serve) -> None:
    served = serve()
    with listening(served, "?types=none") as client:
        client.next()
        served.post("/runtime/actors/http/restart")

        with pytest.raises(EOFError):
            deque(iter(client.next, None), maxlen=0)
    served.wait_until(lambda: served.daemon._clients.closed[1001] == 1)
    served.wait_until(lambda: served.get("/health").status == 200)


def test_a_client_that_takes_nothing_is_let_go(serve: Serve) -> None:
    served = serve(
        websocket={"send_timeout_s": 0.5, "queue_bytes": 64 * 1024, "send_buffer_bytes": 16 * 1024}
    )
    clients = served.daemon._clients
    payload = json.dumps({"x": "y" * 10_000})
    with listening(served) as client, served.redis as bus:
        client.next()

        def flood() -> bool:
            for _ in range(20):
                bus.publish("strategy.flood", payload)
            return clients.closed[1013] == 1

        served.wait_until(flood)
    assert clients.dropped > 0
    served.wait_until(lambda: clients.places_taken == 0)


def test_http_1_0_will_do(served: Served) -> None:
    with socket.create_connection((served.host, served.port), timeout=LIMIT_S) as sock:
        sock.sendall(b"GET /events/stream?types=none HTTP/1.0\r\n\r\n")
        client = Listening(sock)

        assert client.next().data["type"] == "connection"
