"""How fast a subscription's socket is drained, against the plain loop: receive, feed, get.

Both read the same bytes from a child process that says what Redis says, as fast as the socket takes
it (a real server would be the slower end), in turn, in a process of their own that is patched as
the daemon is. What counts is processor time: that of waiting for the other end says nothing.
"""

if __name__ == "__main__":
    from gevent import monkey

    monkey.patch_all()

import json
import multiprocessing
import socket
import subprocess
import sys
import time
from pathlib import Path

import gevent.event
import hiredis
from orchestrator.actors.messages.event_persister import PersistReplies
from orchestrator.actors.redis_listener.connections import BusConnections

from .report import Row, progress

MESSAGES = 300_000
ROUNDS = 5
READ_BYTES = 64 * 1024  # with larger reads the plain loop is slower (see _reply_stream)
PATTERN = b"data.market.*"


def run() -> list[Row]:
    """Measure in a patched process."""
    progress(f"drain: {MESSAGES:,} messages through a socket, {ROUNDS} rounds")
    program = [sys.executable, "-m", "bench.drain"]
    root = Path(__file__).parent.parent
    done = subprocess.run(program, cwd=root, check=True, capture_output=True, timeout=120)
    plain, drained = json.loads(done.stdout.splitlines()[-1])
    detail = f"{drained:,.0f}/s : {plain:,.0f}/s"
    return [Row("drain / raw parser", drained / plain, "x", 0.9, detail=detail)]


def bulk(*parts: bytes) -> bytes:
    """A reply of several strings, as it is on the wire."""
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(p), p) for p in parts)


def traffic(messages: int) -> bytes:
    """What a subscriber gets for so many messages."""
    payload = b'{"symbol":"AAPL","price":187.25,"volume":1200,"source":"quotes-1","seq":%08d}'
    return b"".join(
        bulk(b"pmessage", PATTERN, b"data.market.AAPL.1m", payload % number)
        for number in range(messages)
    )


def serve(listener: socket.socket, data: bytes) -> None:
    """Greet one connection after another, and send each all of ``data``."""
    while True:
        connection, _ = listener.accept()
        with connection:
            greet(connection)
            connection.sendall(data)
            connection.recv(1)


def greet(connection: socket.socket) -> None:
    """Answer all that comes until the first ping, which follows the subscription, is answered."""
    reader = hiredis.Reader()
    while True:
        command = reader.gets()
        if command is False:
            reader.feed(connection.recv(65536))
        elif command[0] == b"PSUBSCRIBE":
            connection.sendall(b"*3\r\n$10\r\npsubscribe\r\n$1\r\n*\r\n:1\r\n")
        elif command[0] == b"PING":
            connection.sendall(bulk(b"pong", b""))
            return
        else:
            connection.sendall(b"+OK\r\n")


def parse(port: int) -> float:
    """Messages a processor second of the plain loop around socket and parser."""
    reader = hiredis.Reader()
    got, everything = 0, MESSAGES + 2  # a confirmation and a pong
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(bulk(b"PSUBSCRIBE", PATTERN) + bulk(b"PING"))
        data = connection.recv(READ_BYTES)
        began = time.process_time()
        while got < everything:
            reader.feed(data)
            while reader.gets() is not False:
                got += 1
            data = connection.recv(READ_BYTES) if got < everything else b""
        return MESSAGES / (time.process_time() - began)


def drain(port: int) -> float:
    """The same of the listener's own reading, from the socket to the persister's door."""
    subscriptions = BusConnections(
        f"redis://127.0.0.1:{port}/0", control_patterns=["risk.*"], data_patterns=[PATTERN.decode()]
    )
    got = 0
    began = 0.0
    done = gevent.event.Event()

    def tell(message: object) -> None:
        nonlocal got, began
        assert isinstance(message, PersistReplies)
        began = began or time.process_time()
        got += len(message.replies)
        if got == MESSAGES:
            done.set()

    reading = gevent.spawn(subscriptions.data.run, tell, lambda: None)
    assert done.wait(60)
    took_s = time.process_time() - began
    reading.kill()
    subscriptions.close()
    return MESSAGES / took_s


def measure() -> tuple[float, float]:
    """The best of some rounds: the plain loop, and the drain; messages a second."""
    data = traffic(MESSAGES)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        server = multiprocessing.get_context("fork").Process(target=serve, args=(listener, data))
        server.start()
        try:
            rounds = [(parse(port), drain(port)) for _ in range(ROUNDS)]
        finally:
            server.kill()
            server.join(10)
    return max(plain for plain, _ in rounds), max(drained for _, drained in rounds)


if __name__ == "__main__":
    print(json.dumps(measure()))
