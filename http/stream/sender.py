"""Sending on endless connections: kernel buffers and time limits."""

import socket
from typing import Any

from ...runtime import OrchestratorError, deadline
from ..settings import WebSocketSettings


class Stalled(OrchestratorError):
    """The client read nothing for too long."""

    def __init__(self, rest: memoryview) -> None:
        super().__init__(len(rest))
        self.rest = rest
        """The unsent data."""

    def __str__(self) -> str:
        return f"client is not reading, {len(self.rest)} bytes unsent"


def set_socket_options(sock: Any, settings: WebSocketSettings) -> None:
    """Keep the kernel buffer of this client small, and detect early that its host is gone."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, settings.send_buffer_bytes)
    if sock.family in {socket.AF_INET, socket.AF_INET6}:
        gone_ms = int(settings.ping_timeout_s * 1000)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, gone_ms)


def send_all(sock: Any, data: bytes, limit_s: float) -> None:
    """Send all of ``data``, however slowly the client reads, as long as it reads at all.

    Raises:
        Stalled: It read nothing for ``limit_s``.
        OSError: The connection is broken.
    """
    view = memoryview(data)
    while view:
        with deadline(limit_s, Stalled(view)):
            view = view[sock.send(view) :]
