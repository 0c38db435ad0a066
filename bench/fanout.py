"""Fan-out to 100 WebSocket clients, against one ``send`` per frame and client.

The clients are a process of their own that reads and throws away; both ways send the same frames
to as many sockets, measured in turn until the last client has the last frame.
"""

if __name__ == "__main__":
    from gevent import monkey

    monkey.patch_all()

import json
import multiprocessing
import multiprocessing.connection
import selectors
import socket
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .report import Row, progress

CLIENTS = 100
EVENTS = 5_000
BATCH = 500
ROUNDS = 3
LIMIT_S = 60.0
END = b'"n":-1}'
TAIL_BYTES = 100  # what of a stream is looked at: more than what follows END in the last frame
HANDSHAKE = {
    "SERVER_PROTOCOL": "HTTP/1.1",
    "PATH_INFO": "/",
    "REQUEST_METHOD": "GET",
    "HTTP_HOST": "localhost",
    "HTTP_UPGRADE": "websocket",
    "HTTP_CONNECTION": "Upgrade",
    "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
}


def run() -> list[Row]:
    """Measure in a patched process."""
    progress(f"fan-out of {EVENTS:,} events to {CLIENTS} clients, {ROUNDS} rounds")
    done = subprocess.run(
        [sys.executable, "-m", "bench.fanout"],
        cwd=Path(__file__).parent.parent,
        check=True,
        capture_output=True,
        timeout=LIMIT_S * 2 * ROUNDS,
    )
    rounds = json.loads(done.stdout.splitlines()[-1])
    ratio = statistics.median(ours / naive for ours, naive in rounds)
    ours, naive = rounds[-1]
    detail = f"{ours:,.0f} deliveries/s : {naive:,.0f}/s"
    return [Row("fan-out / one send per frame", ratio, "x", 10.0, detail=detail)]


def batches() -> list[Any]:
    """The events, as the persister passes them on; the last one says so."""
    from orchestrator.actors.events import Event
    from orchestrator.actors.messages.events import EventsJournalled

    payload = (
        b'{"symbol":"AAPL","price":187.42,"volume":120934,"bid":187.41,"ask":187.43,'
        b'"exchange":"XNAS","timeframe":"1m","source":"bench","n":%d}'
    )
    numbers = [*range(1, EVENTS), -1]
    events = [
        Event(index, "data.market.AAPL.1m", payload % n, "2026-01-31T09:30:00.123Z", "bench")
        for index, n in enumerate(numbers, 1)
    ]
    return [
        EventsJournalled(tuple(events[start : start + BATCH])) for start in range(0, EVENTS, BATCH)
    ]


def ours(sockets: list[socket.socket], done: Any) -> float:
    """Through the Broadcaster and a connection for each client; returns deliveries per second."""
    import gevent
    from orchestrator.actors.broadcaster.actor import Broadcaster
    from orchestrator.actors.broadcaster.clients import Clients
    from orchestrator.http.peers import Instance
    from orchestrator.http.settings import WebSocketSettings
    from orchestrator.http.stream.catch_up import Feeds
    from orchestrator.http.stream.past_events import PastEvents
    from orchestrator.http.stream.websocket import Connection, Handshake
    from orchestrator.runtime import Address, start_actor, stop_actor
    from orchestrator.sql.database import Database, PostgresSettings

    settings = WebSocketSettings(queue_bytes=64 * 1024 * 1024)
    registry = Clients(CLIENTS)
    registry.saw(0)
    past = PastEvents(Address("nobody"), Database(PostgresSettings()), registry)  # not asked
    feeds = Feeds(registry, past, settings, Instance("bench", "dev", "0"))
    for sock in sockets:
        registry.reserve()
        connection = Connection(
            Handshake(HANDSHAKE, settings),
            sock=sock,
            reader=sock.makefile("rb"),
            feeds=feeds,
        )
        gevent.spawn(connection.run)
    gevent.sleep(0.2)
    broadcaster = Broadcaster(clients=registry)
    address = start_actor(broadcaster)
    messages = batches()
    begin = time.monotonic()
    for message in messages:
        address.tell(message)
    while not done.poll():
        gevent.sleep(0.001)
    rate: float = EVENTS * CLIENTS / (done.recv() - begin)
    stop_actor(broadcaster)
    return rate


def naive(sockets: list[socket.socket], done: Any) -> float:
    """The same frames, each sent to each client by itself."""
    import gevent
    from orchestrator.actors.broadcaster.frames import EventFrames

    frames = EventFrames()
    messages = batches()
    begin = time.monotonic()
    for message in messages:
        for event in message.events:
            frame = frames.build(event)
            for sock in sockets:
                sock.sendall(frame)
    while not done.poll():
        gevent.sleep(0.001)
    rate: float = EVENTS * CLIENTS / (done.recv() - begin)
    return rate


def read_all(port: int, done: multiprocessing.connection.Connection) -> None:
    """The clients: read until each has the last event, then tell when that was."""
    selector = selectors.DefaultSelector()
    for _ in range(CLIENTS):
        sock = socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S)
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ, bytearray(TAIL_BYTES))
    room = memoryview(bytearray(1 << 20))
    waiting = CLIENTS
    while waiting:
        for key, _ in selector.select(LIMIT_S):
            size = key.fileobj.recv_into(room)  # type: ignore[union-attr] # it is a socket
            tail: bytearray = key.data
            tail += room[max(0, size - TAIL_BYTES) : size]
            del tail[:-TAIL_BYTES]
            if END in tail:
                selector.unregister(key.fileobj)
                waiting -= 1
    done.send(time.monotonic())
    time.sleep(0.5)


@contextmanager
def clients() -> Any:
    """The sockets to all clients, and the pipe on which they say that they have all."""
    context = multiprocessing.get_context("spawn")
    listener = socket.create_server(("127.0.0.1", 0), backlog=CLIENTS)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=read_all, args=(listener.getsockname()[1], sender))
    process.start()
    try:
        yield [listener.accept()[0] for _ in range(CLIENTS)], receiver
    finally:
        process.join(LIMIT_S)
        listener.close()


def main() -> None:
    """Print the rates of each round."""
    rounds = []
    for _ in range(ROUNDS):
        rates = []
        for way in (ours, naive):
            with clients() as (sockets, done):
                rates.append(way(sockets, done))
                for sock in sockets:
                    sock.close()
        rounds.append(rates)
    print(json.dumps(rounds))


if __name__ == "__main__":
    main()
