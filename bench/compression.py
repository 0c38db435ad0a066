"""What compression costs the daemon, and what it saves: bytes, and CPU for each event.

The same events go to the same number of clients, with compression agreed on and without; the
clients are a process of their own that reads and throws away.
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
from pathlib import Path
from typing import Any

from .fanout import HANDSHAKE
from .report import Row, progress

CLIENTS = 50
EVENTS = 2_000
BATCH = 20
PAUSE_S = 0.005  # a batch in each of the Broadcaster's ticks, at most
ROUNDS = 3
LIMIT_S = 60.0
OFFER = {"HTTP_SEC_WEBSOCKET_EXTENSIONS": "permessage-deflate; client_max_window_bits"}
TICK = {
    "symbol": "AAPL", "price": 187.42, "volume": 120934, "bid": 187.41, "ask": 187.43,
    "exchange": "XNAS", "timeframe": "1m", "source": "quotes-1", "agent_id": "quotes-1",
    "timestamp": "2026-01-31T09:30:00.123Z",
}  # fmt: skip
REGIME = {
    "regime": "stable", "trend": "bullish", "volatility": 0.0123, "trend_strength": 0.51,
    "mean_return": 0.0004, "data_points": 20,
}  # fmt: skip


def run() -> list[Row]:
    """Measure in a patched process."""
    progress(f"compression of {EVENTS:,} events for {CLIENTS} clients, {ROUNDS} rounds")
    done = subprocess.run(
        [sys.executable, "-m", "bench.compression"],
        cwd=Path(__file__).parent.parent,
        check=True,
        capture_output=True,
        timeout=LIMIT_S * 2 * ROUNDS,
    )
    rows = []
    for kind, rounds in json.loads(done.stdout.splitlines()[-1]).items():
        saved = statistics.median(plain[0] / deflated[0] for plain, deflated in rounds)
        costs = statistics.median(deflated[1] - plain[1] for plain, deflated in rounds)
        plain_us = statistics.median(plain[1] for plain, _ in rounds)
        detail = f"CPU {costs:+.0f} µs an event, of {plain_us:.0f} for {CLIENTS} clients"
        rows.append(Row(f"compression of {kind}: bytes", saved, "x", 1.2, detail=detail))
    return rows


def batches(payload: dict[str, Any]) -> list[Any]:
    """Events with payloads that differ a little, as the persister passes them on."""
    from orchestrator.actors.events import Event
    from orchestrator.actors.messages.events import EventsJournalled

    events = [
        Event(
            number,
            "data.market.AAPL.1m",
            json.dumps(payload | {"seq": number, "price": 187.42 + number / 100}).encode(),
            "2026-01-31T09:30:00.123Z",
            "quotes-1",
        )
        for number in range(1, EVENTS + 1)
    ]
    return [EventsJournalled(tuple(events[n : n + BATCH])) for n in range(0, EVENTS, BATCH)]


def show(sockets: list[socket.socket], payload: dict[str, Any], environ: dict[str, str]) -> float:
    """Send them all; returns microseconds of CPU for each event."""
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

    settings = WebSocketSettings(queue_bytes=64 * 1024 * 1024, compression_from_bytes=64)
    registry = Clients(CLIENTS)
    registry.saw(0)
    past = PastEvents(Address("nobody"), Database(PostgresSettings()), registry)  # not asked
    feeds = Feeds(registry, past, settings, Instance("bench", "dev", "0"))
    for sock in sockets:
        registry.reserve()
        handshake = Handshake(environ, settings)
        reader = sock.makefile("rb")
        gevent.spawn(Connection(handshake, sock=sock, reader=reader, feeds=feeds).run)
    gevent.sleep(0.2)
    broadcaster = Broadcaster(clients=registry)
    address = start_actor(broadcaster)
    messages = batches(payload)
    began = time.process_time()
    for message in messages:
        address.tell(message)
        gevent.sleep(PAUSE_S)
    while registry.newest_id != EVENTS or any(client.buffer for client in registry):
        gevent.sleep(0.001)
    spent_us = (time.process_time() - began) * 1e6 / EVENTS
    stop_actor(broadcaster)
    for sock in sockets:
        sock.shutdown(socket.SHUT_WR)
    return spent_us


def read_all(port: int, total: multiprocessing.connection.Connection) -> None:
    """The clients: read until the server closes, then tell how much that was."""
    selector = selectors.DefaultSelector()
    for _ in range(CLIENTS):
        sock = socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S)
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ)
    room = memoryview(bytearray(1 << 20))
    count = 0
    while selector.get_map():
        for key, _ in selector.select(LIMIT_S):
            sock = key.fileobj  # type: ignore[assignment] # it is one
            size = sock.recv_into(room)
            count += size
            if not size:
                selector.unregister(sock)
                sock.close()
    total.send(count)


def measure(payload: dict[str, Any], environ: dict[str, str]) -> tuple[float, float]:
    """Bytes for each event and client, and microseconds of CPU for each event."""
    import gevent

    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    with socket.create_server(("127.0.0.1", 0), backlog=CLIENTS) as listener:
        process = context.Process(target=read_all, args=(listener.getsockname()[1], sender))
        process.start()
        sockets = [listener.accept()[0] for _ in range(CLIENTS)]
        spent_us = show(sockets, payload, environ)
        for sock in sockets:
            sock.close()
        while not receiver.poll():  # to wait in recv() would stop the connections, too
            gevent.sleep(0.01)
        count = receiver.recv()
        process.join(LIMIT_S)
    return count / EVENTS / CLIENTS, spent_us


def main() -> None:
    """Print the figures of each round."""
    found = {}
    details = dict.fromkeys(("AAPL", "TSLA", "NVDA", "MSFT", "GOOGL", "AMZN"), REGIME)
    for kind, payload in (("ticks", TICK), ("states", TICK | {"symbol_details": details})):
        found[kind] = [
            [measure(payload, HANDSHAKE), measure(payload, HANDSHAKE | OFFER)]
            for _ in range(ROUNDS)
        ]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
