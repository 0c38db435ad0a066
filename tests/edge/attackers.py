"""A program: eight clients break the WebSocket's rules ten times a second, until it is stopped.

``attackers.py HOST PORT``. Says ``ready`` when all have begun.
"""

import os
import socket
import sys
import threading
import time
from contextlib import suppress
from typing import Final

HANDSHAKE: Final = (
    b"GET /?types=none HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
PAUSE_S: Final = 0.1
NO_MASK: Final = bytes(4)


def attack_of(number: int) -> bytes:
    """What the client of that number sends."""
    return [
        b"\x82\xff" + (400 << 20).to_bytes(8, "big") + NO_MASK + bytes(1 << 20),
        b"\x82\xff" + (1 << 20).to_bytes(8, "big") + NO_MASK + bytes(1 << 20),
        (b"\x89\x80" + NO_MASK) * 10_000,
        b"\x02\x80" + NO_MASK + (b"\x00\x80" + NO_MASK) * 64,
        b"\x81\xfe\xff\xff" + NO_MASK + b"a" * 65_534 + b"\xff",
        b"\x81\x02{}",
        (b"\x81\x92" + NO_MASK + b'{"action":"pingx"}') * 3_000,
        os.urandom(1 << 16),
    ][number]


def break_rules(number: int, host: str, port: int, began: threading.Barrier) -> None:
    """One client."""
    first = True
    while True:
        with suppress(OSError), socket.create_connection((host, port), timeout=1) as sock:
            sock.sendall(HANDSHAKE)
            sock.recv(4096)
            if first:
                began.wait()
                first = False
            sock.sendall(attack_of(number))
            while sock.recv(65536):
                pass
        time.sleep(PAUSE_S)


def main() -> None:
    """Start them, and wait for the end."""
    os.nice(10)  # elsewhere they have a machine of their own
    host, port = sys.argv[1], int(sys.argv[2])
    began = threading.Barrier(9)
    for number in range(8):
        threading.Thread(target=break_rules, args=(number, host, port, began), daemon=True).start()
    began.wait()
    print("ready", flush=True)  # noqa: T201 a program
    threading.Event().wait()


if __name__ == "__main__":
    main()
