"""The edge's tests: attacks on a whole daemon, by raw sockets where clients are too polite."""

import hashlib
import re
import socket
from typing import Any

from ..http.conftest import LIMIT_S, Serve, Served, serve, served, shared

__all__ = ["LIMIT_S", "TOKENS", "Serve", "Served", "auth", "exchange", "serve", "served", "shared"]

TOKENS = {
    "viewer": "viewer-canary-9f1c",
    "tripper": "tripper-canary-77ab",
    "operator": "operator-canary-03de",
}
"""By role; each is a canary, too: it may appear nowhere."""


def auth(**more: Any) -> dict[str, Any]:
    """Section ``[http]`` with a token for each role."""
    tokens = [
        {"name": role, "role": role, "sha256": hashlib.sha256(token.encode()).hexdigest()}
        for role, token in TOKENS.items()
    ]
    return {"auth": {"tokens": tokens}} | more


def exchange(served: Served, request: bytes, *, end: bool = False) -> bytes:
    """All that comes back until the server closes; ``end``: say that nothing more will come."""
    with socket.create_connection((served.host, served.port), timeout=LIMIT_S) as sock:
        sock.sendall(request)
        if end:
            sock.shutdown(socket.SHUT_WR)
        return received(sock)


def answered(served: Served, request: bytes) -> bytes:
    """The head of the first response, without waiting for the connection's end."""
    data = b""
    with socket.create_connection((served.host, served.port), timeout=LIMIT_S) as sock:
        sock.sendall(request)
        while b"\r\n\r\n" not in data and (piece := sock.recv(65536)):
            data += piece
    return data


def received(sock: socket.socket) -> bytes:
    """All that comes until the server closes."""
    data = b""
    try:
        while piece := sock.recv(65536):
            data += piece
    except ConnectionResetError:
        pass  # closed with something unread, which ends it as well
    return data


def statuses(data: bytes) -> list[int]:
    """Of all responses in what came back."""
    return [int(found) for found in re.findall(rb"HTTP/1\.[01] (\d{3})", data)]
