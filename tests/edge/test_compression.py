"""Compression as real clients meet it: what is agreed, what they read, what it is made of."""

import json
import shutil
import socket
import subprocess
from typing import Any

import pytest
from orchestrator.actors.broadcaster.clients import Client, Clients
from orchestrator.actors.broadcaster.frames import EventFrames, text_of
from orchestrator.actors.events import Event
from orchestrator.http.stream.deflate import Deflater
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from ..http.api.test_metrics import samples
from ..http.conftest import frame, frame_where
from .conftest import LIMIT_S, Serve, Served

NODE = shutil.which("node")
STATE = {
    "regime": "stable",
    "symbols": [{"symbol": f"S{n}", "trend": "bullish"} for n in range(60)],
}
OFFER = "permessage-deflate; client_max_window_bits"
TAKEN = (
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
    "server_max_window_bits=12"
)


def raw_client(served: Served, offer: str = "") -> tuple[socket.socket, bytes]:
    """A bare socket behind its handshake, and the head of the answer."""
    sock = socket.create_connection((served.host, served.port), timeout=LIMIT_S)
    offered = f"Sec-WebSocket-Extensions: {offer}\r\n" if offer else ""
    sock.sendall(
        b"GET /?types=quant.* HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        b"Sec-WebSocket-Version: 13\r\n" + offered.encode() + b"\r\n"
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(1)
    return sock, head


def event_frame(sock: socket.socket) -> bytes:
    """The first frame that is no greeting and no agent's, as it came."""
    with sock.makefile("rb") as stream:
        while True:
            head = stream.read(2)
            if head[1] == 126:
                head += stream.read(2)
                data = head + stream.read(int.from_bytes(head[2:], "big"))
            else:
                data = head + stream.read(head[1])
            if head[0] == 0xC1 or b'"redis_event"' in data:
                return data


def test_real_clients_agree_and_read_the_same_as_others(served: Served) -> None:
    with (
        served.socket("/?types=quant.*") as deflating,
        served.socket("/?types=quant.*", compression=None) as plain,
    ):
        assert [one.name for one in deflating.protocol.extensions] == ["permessage-deflate"]
        assert plain.protocol.extensions == []
        served.stored("quant.regime.state", STATE)
        served.stored("quant.small", {"n": 1})

        for client in (deflating, plain):
            assert frame_where(client, eventType="quant.regime.state")["data"] == STATE
            assert frame_where(client, eventType="quant.small")["data"] == {"n": 1}


def test_what_clients_send_may_be_compressed(served: Served) -> None:
    with served.socket("/?types=none") as client:
        client.send(json.dumps({"action": "subscribe", "types": ["quant.*", "risk.*"]}))

        assert frame(client) == {"type": "subscribed", "types": ["quant.*", "risk.*"]}


def test_one_frame_goes_to_all_who_agreed(served: Served) -> None:
    clients = [raw_client(served, offer) for offer in (OFFER, "", OFFER)]
    served.stored("quant.regime.state", STATE)
    (first, head), (plain, plain_head), (second, _) = clients

    assert TAKEN.encode() in head
    assert b"permessage-deflate" not in plain_head
    compressed, as_it_is = event_frame(first), event_frame(plain)
    assert compressed == event_frame(second)
    assert len(compressed) < len(as_it_is) / 3
    read = PerMessageDeflate(True, True, 12, 15).decode(
        Frame(Opcode.TEXT, text_of(compressed), rsv1=True)
    )
    assert bytes(read.data) == text_of(as_it_is)
    for sock, _ in clients:
        sock.close()


def test_an_event_is_compressed_once_whatever_the_filters() -> None:
    deflater, registry = Deflater(512), Clients()
    clients = [
        Client(1 << 20, lambda: None, types, deflater)
        for types in (("*",), ("quant.*",), ("quant.*",), ("quant.regime.*", "risk.*"), ("none",))
    ]
    for client in clients:
        registry.attach(client)
    events = [
        Event(n, "quant.regime.state", json.dumps(STATE).encode(), "2026-01-31T09:30:00.123Z", "a")
        for n in (1, 2, 3)
    ]

    registry.publish(events, EventFrames().build)
    registry.flush()

    *read, nothing = (client.buffer.take() for client in clients)
    assert deflater.counts.frames == len(events)
    assert read[0].count(b"\xc1") >= len(events)
    assert set(read) == {read[0]}
    assert nothing == b""


def test_metrics_tell_what_it_brought_whichever_server_did_it(serve: Serve) -> None:
    served = serve()
    for count in (1, 2):
        with (
            served.socket("/?types=quant.*") as first,
            served.socket("/?types=quant.regime.*") as second,
        ):
            served.stored("quant.regime.state", STATE)
            for client in (first, second):
                frame_where(client, eventType="quant.regime.state")
            found = samples(served)

        assert found["orchestrator_ws_compressed_frames_total"] == count
        before = found["orchestrator_ws_compressed_bytes_total,size=before"]
        assert before > count * len(json.dumps(STATE, separators=(",", ":")))
        assert 0 < found["orchestrator_ws_compressed_bytes_total,size=after"] < before / 3
        restart_server(served)


def restart_server(served: Served) -> None:
    name = "orchestrator_actor_restarts_total,actor=http"
    before = samples(served).get(name, 0)
    served.daemon._to.http.tell(object())  # nothing that it knows
    served.wait_until(lambda: samples(served).get(name, 0) > before)


def test_compression_can_be_left_out(serve: Serve) -> None:
    served = serve(websocket={"compression": False})
    with served.socket("/?types=quant.*") as client:
        assert client.protocol.extensions == []
        served.stored("quant.regime.state", STATE)

        assert frame_where(client, eventType="quant.regime.state")["data"] == STATE


def test_from_which_size_on_is_a_setting(serve: Serve) -> None:
    served = serve(websocket={"compression_from_bytes": 64})
    sock, _ = raw_client(served, OFFER)
    served.stored("quant.small", {"n": 1})

    with sock:
        assert event_frame(sock)[0] == 0xC1


def test_a_bomb_is_closed_with_1009(served: Served) -> None:
    with served.socket("/?types=none") as client:
        client.send("x" * 10_000_000)  # some 10 KB when compressed

        with pytest.raises(Exception, match="1009"):
            client.recv(timeout=LIMIT_S)
    assert served.get("/health").status == 200


@pytest.mark.subprocess
@pytest.mark.skipif(NODE is None, reason="Node is not installed")
def test_node_agrees_and_reads(served: Served) -> None:
    program = """
      const socket = new WebSocket(`ws://${process.argv[1]}/?types=quant.*`);
      socket.addEventListener("message", ({ data }) => {
        const frame = JSON.parse(data);
        if (frame.type === "connection") console.log(JSON.stringify(socket.extensions));
        if (frame.type !== "redis_event") return;
        console.log(JSON.stringify(frame.data));
        socket.close();
      });
      socket.addEventListener("error", ({ message }) => { console.log(message); process.exit(1); });
    """
    command = [str(NODE), "--experimental-websocket", "--no-warnings", "-e", program]
    with subprocess.Popen(
        [*command, f"{served.host}:{served.port}"], stdout=subprocess.PIPE, text=True
    ) as node:
        said: list[Any] = [json.loads(node.stdout.readline())]
        served.stored("quant.regime.state", STATE)
        said.append(json.loads(node.stdout.readline()))

    assert node.returncode == 0
    assert said[1] == STATE
    assert said[0] in {"", TAKEN}  # some versions of Node offer nothing


def test_who_resumes_reads_compressed_what_it_missed(served: Served) -> None:
    before = served.stored("quant.regime.state", {"n": 0})
    ids = [served.stored("quant.regime.state", STATE | {"n": n}) for n in range(5)]

    with served.socket(f"/?types=quant.*&since={before}") as client:
        got = [frame_where(client, type="redis_event") for _ in ids]
    assert [one["id"] for one in got] == ids
    assert [one["data"] for one in got] == [STATE | {"n": n} for n in range(5)]
