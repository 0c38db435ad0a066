"""WebSocket clients that read and throw away: ``python -m bench.listeners HOST PORT COUNT TYPES``.

A process of their own, since to parse what they get would cost more than to send it. Prints how
many are connected, then goes on until standard input ends, and prints the bytes they have read.
"""

import selectors
import socket
import sys
import threading

ASK = (
    "GET /ws?types={types} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def main(host: str, port: str, count: str, types: str) -> None:
    """Connect, read, tell."""
    selector = selectors.DefaultSelector()
    for _ in range(int(count)):
        sock = socket.create_connection((host, int(port)), timeout=30)
        sock.sendall(ASK.format(types=types).encode())
        assert sock.recv(12) == b"HTTP/1.1 101", "refused"
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ)
    print(count, flush=True)
    waiting = threading.Thread(target=sys.stdin.read, daemon=True)
    waiting.start()
    room, read = bytearray(1 << 20), 0
    while waiting.is_alive() and selector.get_map():
        for key, _ in selector.select(0.2):
            assert isinstance(key.fileobj, socket.socket)
            if not (size := key.fileobj.recv_into(room)):
                selector.unregister(key.fileobj)
            read += size
    print(len(selector.get_map()), read, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
