"""What systemd is told (``Type=notify``): that we serve, that we stop, that we still turn.

The protocol is a datagram to the socket that ``NOTIFY_SOCKET`` names (sd_notify(3)). Without that
variable nothing is done.
"""

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final

import gevent

STATUS_CHARS: Final = 200
"""systemd shows it on one line."""


class Notifier:
    """Tells the service manager; never waits, and what cannot be told is left.

    Args:
        environment: where ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID`` are looked up.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # "@" stands for the NUL of Linux's abstract names.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        wanted = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watchdog_s = int(environment.get("WATCHDOG_USEC", "0")) / 1e6 if wanted else 0.0
        """Within this a sign of life is expected; 0: none is."""

    def ready(self, status: str) -> None:
        """We serve."""
        self._send(f"READY=1\nSTATUS={status[:STATUS_CHARS]}")

    def stopping(self, status: str) -> None:
        """We are on the way down."""
        self._send(f"STOPPING=1\nSTATUS={status[:STATUS_CHARS]}")

    @contextmanager
    def watched(self, turns: Callable[[float], bool]) -> Iterator[None]:
        """Give signs of life during the block, as long as ``turns(limit_s)`` says so.

        It is asked in a greenlet, so that a loop that hangs is silent whatever it would say.
        """
        if not self._address or not self.watchdog_s:
            yield
            return
        greenlet = gevent.spawn(self._watch, turns)
        greenlet.name = "notify-watchdog"
        try:
            yield
        finally:
            greenlet.kill()

    def _watch(self, turns: Callable[[float], bool]) -> None:
        # Half of the time, as sd_watchdog_enabled(3) advises; the question has the other half.
        while True:
            if turns(self.watchdog_s / 4):
                self._send("WATCHDOG=1")
            gevent.sleep(self.watchdog_s / 4)

    def _send(self, text: str) -> None:
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(text.encode(), self._address)
