"""The open connections: how many there may be, and which has to go when there is one too many.

Whoever only holds a connection (a head that drips, a body that drips, an idle keep-alive, an answer
that is not taken) loses it to whoever comes anew. Connections whose request is being answered, and
WebSockets, are never taken.
"""

import resource
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

_log = structlog.get_logger(actor="http")
# One line in so many says that somebody is at it, without letting him fill the log.
_LOG_EVERY: Final = 100


class Held:
    """One open connection."""

    __slots__ = ("address", "counted", "cut")

    def __init__(self, address: str, cut: Callable[[], None], *, counted: bool) -> None:
        self.address = address
        """Whose it is."""
        self.cut = cut
        """Ends it; what reads from it sees its end."""
        self.counted = counted
        """Whether the limit of one address holds; for those of a trusted proxy it does not."""


class Connections:
    """All of them, on one listening socket. Pure but for the log.

    Args:
        total: As many may be open.
        per_address: As many of one address may be, WebSockets left out.
    """

    def __init__(self, total: int, per_address: int) -> None:
        self.total = total
        self.per_address = per_address
        self.cut = 0
        """Taken from those that only held them."""
        self.refused = 0
        """Closed at once, since all others were at work."""
        self._open: set[Held] = set()
        self._waiting: dict[Held, None] = {}  # those without a complete request, oldest first
        self._by_address: dict[str, dict[Held, None]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, held: Held) -> bool:
        """Take it in, if need be in place of another; false if there is no place."""
        of_address = self._by_address.get(held.address, {})
        if held.counted and len(of_address) >= self.per_address and not self._make_room(of_address):
            return self._refuse(held)
        if len(self._open) >= self.total and not self._make_room(self._waiting):
            return self._refuse(held)
        self._open.add(held)
        self._waiting[held] = None
        if held.counted:
            self._by_address.setdefault(held.address, {})[held] = None
        return True

    def leave(self, held: Held) -> None:
        """It has ended, or is ended; twice is no harm."""
        self._open.discard(held)
        self._waiting.pop(held, None)
        self._uncount(held)

    def works(self, held: Held) -> None:
        """Its request has come in full."""
        self._waiting.pop(held, None)

    def waits(self, held: Held) -> None:
        """Its answer is sent; it may send another request."""
        if held in self._open:
            self._waiting.pop(held, None)
            self._waiting[held] = None

    def upgraded(self, held: Held) -> None:
        """It is a WebSocket now, of which there is a limit of their own."""
        self._waiting.pop(held, None)
        self._uncount(held)

    def _uncount(self, held: Held) -> None:
        of_address = self._by_address.get(held.address)
        if of_address is not None:
            of_address.pop(held, None)
            if not of_address:
                del self._by_address[held.address]

    def _make_room(self, among: dict[Held, None]) -> bool:
        oldest = next((one for one in among if one in self._waiting), None)
        if oldest is None:
            return False
        self.leave(oldest)
        self.cut += 1
        if self.cut % _LOG_EVERY == 1:
            _log.warning("connections without a request are cut", cut=self.cut, open=len(self))
        oldest.cut()
        return True

    def _refuse(self, held: Held) -> bool:
        self.refused += 1
        if self.refused % _LOG_EVERY == 1:
            _log.warning("a connection is refused", address=held.address, refused=self.refused)
        return False


def allowed_connections(wanted: int, reserved_files: int) -> int:
    """As many as there are file descriptors for, ``reserved_files`` held back; at least 16.

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
