"""Notifies systemd (``Type=notify``): ready, stopping, still responsive.

The protocol is a datagram to the socket that ``NOTIFY_SOCKET`` names (sd_notify(3)). Without that
variable nothing is done.
"""

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final

import gevent

from .linked import running

STATUS_CHARS: Final = 200
"""systemd shows it on one line."""


class Notifier:
    """Notifies the service manager; never blocks, and drops what cannot be sent.

    Args:
        environment: where ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID`` are looked up.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # "@" stands for the NUL of Linux's abstract names.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        wanted = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watchdog_s = int(environment.get("WATCHDOG_USEC", "0")) / 1e6 if wanted else 0.0
        """systemd's limit between two signs of life; 0: none is expected."""

    def ready(self, status: str) -> None:
        """The daemon serves."""
        self._send(f"READY=1\nSTATUS={status[:STATUS_CHARS]}")

    def stopping(self, status: str) -> None:
        """The daemon is stopping."""
        self._send(f"STOPPING=1\nSTATUS={status[:STATUS_CHARS]}")

    @contextmanager
    def watched(self, responds: Callable[[float], bool]) -> Iterator[None]:
        """Send signs of life during the block while ``responds(limit_s)`` is true.

        Called in a greenlet, so that a hanging loop sends none.
        """
        if not self._address or not self.watchdog_s:
            yield
            return
        with running("notify-watchdog", self._watch, responds):
            yield

    def _watch(self, responds: Callable[[float], bool]) -> None:
        # Half of the time, as sd_watchdog_enabled(3) advises; the question has the other half.
        while True:
            if responds(self.watchdog_s / 4):
                self._send("WATCHDOG=1")
            gevent.sleep(self.watchdog_s / 4)

    def _send(self, text: str) -> None:
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(text.encode(), self._address)
