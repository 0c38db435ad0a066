"""Stops that came while permits were not renewed, and have not been read yet. Pure.

They may lie in the durable stream, after a start in the journal, or, where the daemon hung, in the
sockets of its subscriptions: permits wait until all are read to where they ended then.
"""

import time
from collections.abc import Callable
from typing import Any, Final

import structlog

LIMIT_S: Final = 10.0
"""How long permits wait: a full disk pauses what reads the stream."""

JOURNAL_LIMIT_S: Final = 120.0
"""The same for the journal, which is read from its beginning and may have eight gigabytes."""

EntryId = tuple[int, int]
"""Of an entry of the stream: milliseconds and sequence number."""


class Unheard:
    """What is to be read before the next permit.

    Args:
        on_read: called when that may have come true.
        now_s: monotonic seconds.
    """

    def __init__(
        self, on_read: Callable[[], None], now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._on_read = on_read
        self._now_s = now_s
        self._since: float | None = None
        self._stream_read: EntryId = (0, 0)
        self._stream_end: EntryId | None = None
        self._bus_read: dict[str, float] = {}
        self._bus_due: float | None = None
        self._journal_read = True
        self._log: Any = structlog.get_logger(actor="Killswitch")

    def begin(self, *, lapsed: bool) -> None:
        """Permits were not renewed until now.

        Args:
            lapsed: whether this daemon was there but did not run, so that what was published may
                lie in its sockets. Of a connection that was cut nothing does.
        """
        self._since, self._stream_end = self._now_s(), None
        self._bus_due = self._since if lapsed and self._bus_read else None

    def stream_read_to(self, entry: EntryId) -> None:
        """Stops in the durable stream are known up to here."""
        self._stream_read = entry
        if self._stream_end is not None and entry >= self._stream_end:
            self._on_read()

    def bus_read_to(self, connection: str, sent_at: float) -> None:
        """Whatever came by a connection before a canary of that moment (monotonic) is known."""
        self._bus_read[connection] = sent_at
        if self._bus_due is not None and not self._is_bus_due():
            self._on_read()

    def journal_is_read(self, *, read: bool) -> None:
        """Whether all stops that the journal held at the daemon's start are known."""
        self._journal_read = read
        if not read:
            self._since = self._now_s()
        elif self._since is not None:
            self._since = self._now_s()  # only from now on is the stream read
            self._on_read()

    def is_over(self, ask_stream_end: Callable[[], EntryId]) -> bool:
        """Whether permits need not wait, or have waited for the limit of what is unread.

        Args:
            ask_stream_end: asks Redis where the stream ends.
        """
        if self._since is None:
            return True
        if self._stream_end is None:
            self._stream_end = ask_stream_end()
        late = {
            what: limit_s
            for what, limit_s, due in (
                ("the journal", JOURNAL_LIMIT_S, not self._journal_read),
                ("the durable stream", LIMIT_S, self._stream_read < self._stream_end),
                ("the bus", LIMIT_S, self._is_bus_due()),
            )
            if due
        }
        if late and self._now_s() - self._since < max(late.values()):
            return False
        if late:
            self._log.error("permits issued with messages unread", unheard=" and ".join(late))
        self._since = self._stream_end = self._bus_due = None
        return True

    def _is_bus_due(self) -> bool:
        due = self._bus_due
        return due is not None and any(read < due for read in self._bus_read.values())
