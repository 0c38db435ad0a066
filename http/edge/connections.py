"""The open connections: their limits, and which one is evicted at a limit.

An idle connection (slow head, slow body, keep-alive, a client that does not read its response) is
evicted for a new one. Connections whose request is being answered, and WebSockets, never are.
"""

import resource
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

_log = structlog.get_logger(actor="http")
# One line in a hundred shows an attack without letting it fill the log.
_LOG_EVERY: Final = 100


class OpenConnection:
    """One open connection."""

    __slots__ = ("address", "counted", "cut")

    def __init__(self, address: str, cut: Callable[[], None], *, counted: bool) -> None:
        self.address = address
        """The client's."""
        self.cut = cut
        """Ends it; its reader sees the end of the stream."""
        self.counted = counted
        """Whether the limit per address applies; it does not to trusted proxies."""


class Connections:
    """All of them, on one listening socket. Pure but for the log.

    Args:
        total: The most that may be open.
        per_address: The most of one address, WebSockets not counted.
    """

    def __init__(self, total: int, per_address: int) -> None:
        self.total = total
        self.per_address = per_address
        self.cut = 0
        """Idle ones that were evicted."""
        self.refused = 0
        """New ones closed at once, since no open one was idle."""
        self._open: set[OpenConnection] = set()
        self._idle: dict[OpenConnection, None] = {}  # oldest first
        self._by_address: dict[str, dict[OpenConnection, None]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, held: OpenConnection) -> bool:
        """Add it, if need be in place of an idle one; false if there is no room."""
        of_address = self._by_address.get(held.address, {})
        if held.counted and len(of_address) >= self.per_address and not self._make_room(of_address):
            return self._refuse(held)
        if len(self._open) >= self.total and not self._make_room(self._idle):
            return self._refuse(held)
        self._open.add(held)
        self._idle[held] = None
        if held.counted:
            self._by_address.setdefault(held.address, {})[held] = None
        return True

    def leave(self, held: OpenConnection) -> None:
        """It has ended; idempotent."""
        self._open.discard(held)
        self._idle.pop(held, None)
        self._uncount(held)

    def busy(self, held: OpenConnection) -> None:
        """Its request is complete."""
        self._idle.pop(held, None)

    def idle(self, held: OpenConnection) -> None:
        """It waits for the client: for a request, or to read an answer."""
        if held in self._open:
            self._idle.pop(held, None)
            self._idle[held] = None

    def upgraded(self, held: OpenConnection) -> None:
        """It is an event feed now; those have a limit of their own."""
        self._idle.pop(held, None)
        self._uncount(held)

    def _uncount(self, held: OpenConnection) -> None:
        of_address = self._by_address.get(held.address)
        if of_address is not None:
            of_address.pop(held, None)
            if not of_address:
                del self._by_address[held.address]

    def _make_room(self, among: dict[OpenConnection, None]) -> bool:
        oldest = next((one for one in among if one in self._idle), None)
        if oldest is None:
            return False
        self.leave(oldest)
        self.cut += 1
        if self.cut % _LOG_EVERY == 1:
            _log.warning("idle connections evicted", cut=self.cut, open=len(self))
        oldest.cut()
        return True

    def _refuse(self, held: OpenConnection) -> bool:
        self.refused += 1
        if self.refused % _LOG_EVERY == 1:
            _log.warning("connection refused", address=held.address, refused=self.refused)
        return False


def allowed_connections(wanted: int, reserved_files: int) -> int:
    """How many the file descriptors allow, ``reserved_files`` held back; at least 16.

    Raises the soft limit of the process as far as that takes (and its hard limit allows).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + reserved_files
    if soft != resource.RLIM_INFINITY and soft < needed:
        with suppress(OSError, ValueError):
            most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
    if soft == resource.RLIM_INFINITY:
        return wanted
    allowed = max(16, min(wanted, soft - reserved_files))
    if allowed < wanted:
        _log.warning("fewer connections than http.max_connections", allowed=allowed, files=soft)
    return allowed
