"""A pipelined publisher in a process of its own: numbered messages, flat out or at a rate.

``python -m bench.publisher URL COUNT RATE`` (RATE 0: flat out). Prints the monotonic moment of its
first send and of its last.
"""

import socket
import sys
import time
from urllib.parse import urlsplit

CHANNELS = [f"data.market.{symbol}.1m" for symbol in ("STLA", "TSLA", "AAPL", "NVDA", "MSFT")]
BLOCK = 500
TICK_S = 0.01


def payload(number: int) -> bytes:
    """A market data message of the usual size that carries its number."""
    return (
        b'{"symbol":"AAPL","price":187.42,"volume":120934,"bid":187.41,"ask":187.43,'
        b'"exchange":"XNAS","timeframe":"1m","source":"bench","agent_id":"bench",'
        b'"timestamp":"2026-01-31T09:30:00.000Z","n":%d}' % number
    )


def command(number: int) -> bytes:
    """One PUBLISH in RESP."""
    channel, body = CHANNELS[number % len(CHANNELS)].encode(), payload(number)
    return b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (
        len(channel),
        channel,
        len(body),
        body,
    )


def publish(url: str, count: int, rate: int, first: int = 0) -> tuple[float, float]:
    """Publish ``count`` messages, numbered from ``first``; returns when it began and ended."""
    parts = urlsplit(url)
    connection = socket.create_connection((parts.hostname, parts.port or 6379), timeout=60)
    blocks = [
        b"".join(map(command, range(start, min(start + size, first + count))))
        for size in [BLOCK if rate == 0 else max(1, int(rate * TICK_S))]
        for start in range(first, first + count, size)
    ]
    begin = time.monotonic()
    for index, block in enumerate(blocks):
        if rate:
            time.sleep(max(0.0, begin + index * TICK_S - time.monotonic()))
        connection.sendall(block)
        _discard(connection)
    connection.sendall(b"*1\r\n$4\r\nPING\r\n")
    connection.settimeout(60)
    tail = b""
    while b"PONG" not in tail:
        tail = (tail + connection.recv(65536))[-65600:]
    return begin, time.monotonic()


def _discard(connection: socket.socket) -> None:
    """Read the replies that are there, so that the server never has to keep them."""
    connection.setblocking(False)
    try:
        while connection.recv(1 << 20):
            pass
    except BlockingIOError:
        pass
    finally:
        connection.settimeout(60)


if __name__ == "__main__":
    print(*publish(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
