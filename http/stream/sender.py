"""The sending side of connections without an end: what the system holds, how long it takes."""

import socket
from typing import Any

from ...runtime import OrchestratorError, deadline
from ..settings import WebSocketSettings


class Stalled(OrchestratorError):
    """The client took nothing for too long."""

    def __init__(self, rest: memoryview) -> None:
        super().__init__(len(rest))
        self.rest = rest
        """What it did not take."""

    def __str__(self) -> str:
        return f"the client leaves {len(self.rest)} bytes where they are"


def bound(sock: Any, settings: WebSocketSettings) -> None:
    """Have the system hold little for this client, and notice soon that its machine has gone."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, settings.send_buffer_bytes)
    if sock.family in {socket.AF_INET, socket.AF_INET6}:
        gone_ms = int(settings.ping_timeout_s * 1000)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, gone_ms)


def send_all(sock: Any, data: bytes, limit_s: float) -> None:
    """Send all of ``data``, however slowly the client takes it, as long as it takes some.

    Raises:
        Stalled: It took nothing for ``limit_s``.
        OSError: The connection is broken.
    """
    view = memoryview(data)
    while view:
        with deadline(limit_s, Stalled(view)):
            view = view[sock.send(view) :]
