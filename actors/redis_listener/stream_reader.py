"""The third lane: reads the durable stream, and trims it behind what is committed.

It belongs to the listener's child spec, like the subscriptions: what was told and not journalled is
told again if the persister says so, and reading goes on behind it. Nothing is read before the
persister has said how far it got (in the daemon's life before this one), and never more than a few
messages beyond what it has journalled: so a full disk pauses the stream, and it alone.
"""

import time
from collections import deque
from datetime import UTC, datetime
from typing import Any, Final

import gevent
import msgspec
import redis
import structlog
from gevent.event import Event as Signal
from gevent.lock import BoundedSemaphore

from ...agents.tls_advice import tls_advice
from ...runtime import give_way
from ...runtime.errors import reason_of
from ...sql.events.stream_position import STREAM, StreamPosition
from ..events import format_time, utc_now
from ..messages.durable_stream import PersistStream, ReadStream, StreamProgress
from ..messages.redis_listener import DurableStreamStatus
from ..payloads import size_of
from .cut_replies import NOTHING, CutReplies
from .reconnect import Dialer, dial
from .stream_progress import Entry, StreamBook, StreamFacts, read_facts
from .subscription import BUS_ERRORS, Tell

BLOCK_MS: Final = 1_000
"""How long one read waits for entries; each end of it proves that the connection lives."""

ANSWER_S: Final = 3.5
"""So much longer an answer may take: a dead connection is noticed within 5 s."""

READ_AT_ONCE_BYTES: Final = 64 * 1024
"""What is taken off the socket at once."""

MAX_IN_FLIGHT: Final = 4
"""Messages told and not journalled."""

REFUSED_S: Final = 5.0
"""How long to wait where the server refuses to read the stream (no permission, no stream)."""

FULL_S: Final = 1.0
"""How often a paused lane looks whether it may go on."""


class StreamLimits(msgspec.Struct, frozen=True):
    """What the settings say (``[bus] stream_…``)."""

    entries: int = 500
    """Of one read, at most."""
    read_bytes: int = 4 * 1024 * 1024
    """What one read should bring at most; how many are asked for follows from those before."""
    trim_s: float = 5.0
    """How often the stream is trimmed."""


class StreamLane:
    """One connection that reads the stream, whoever runs it.

    Args:
        pool: Makes the connection.
        dialer: Shared with the subscriptions.
        limits: From the settings.
    """

    def __init__(
        self, pool: redis.ConnectionPool, dialer: Dialer, limits: StreamLimits | None = None
    ) -> None:
        self._pool = pool
        self._dialer = dialer
        self._limits = limits or StreamLimits()
        self._running = BoundedSemaphore(1)
        self._connection: Any = None  # redis-py's, whose methods have no types
        self._replies = CutReplies(_refusal)
        self._buffer = bytearray(READ_AT_ONCE_BYTES)
        self._book: StreamBook | None = None
        self._told_to = StreamPosition()
        self._journalled = StreamPosition()
        self._in_flight: deque[StreamPosition] = deque()
        self._pending: deque[PersistStream] = deque()
        self._turn = 0
        self._changed = Signal()
        self._committed: StreamPosition | None = None
        self._trimmed_to: StreamPosition | None = None
        self._trim_at = 0.0
        self._count = min(100, self._limits.entries)
        self._sure_at = ""
        self._log: Any = structlog.get_logger(actor="RedisListener", lane="stream")
        self.entries = 0
        """Entries read."""
        self.gaps = 0
        """Losses found."""
        self.trimmed = 0
        """Entries trimmed."""
        self.last_error: str | None = None
        """Of the last failure."""

    def status(self) -> DurableStreamStatus:
        """How it stands."""
        return DurableStreamStatus(
            reading=self._connection is not None and self._book is not None,
            position=self._book.position if self._book else None,
            committed=self._committed,
            entries=self.entries,
            gaps=self.gaps,
            trimmed=self.trimmed,
            last_error=self.last_error,
        )

    # -- what the persister says ---------------------------------------------------------------

    def read_from(self, message: ReadStream) -> None:
        """Begin; or go back to where the persister is."""
        if self._book is not None and not message.anew:
            return
        position = message.position
        self._book = StreamBook(position)
        self._told_to = position
        self._turn += 1
        self._in_flight.clear()
        self._pending.clear()
        at_s = position.read_at_ms / 1000
        self._sure_at = format_time(datetime.fromtimestamp(at_s, UTC)) if at_s else utc_now()
        self._log.info("reading the durable stream", behind=position.entry_id)
        self._changed.set()

    def note_progress(self, progress: StreamProgress) -> None:
        """Take in how far what was told has got."""
        self._journalled = progress.journalled
        while self._in_flight and self._in_flight[0] <= progress.journalled:
            self._in_flight.popleft()
        self._committed = progress.committed
        self._changed.set()

    # -- reading -------------------------------------------------------------------------------

    def run(self, tell: Tell) -> None:
        """Read for ever, reconnecting; for a greenlet that may be killed at any time."""
        with self._running:
            while True:
                try:
                    self._wait_for_room()
                    self._tell_pending(tell)
                    if self._connection is None:
                        self._connect()
                    self._read()
                    self._tell_pending(tell)
                    self._trim()
                except redis.ResponseError as error:
                    self._fail(error)
                    gevent.sleep(REFUSED_S)
                except BUS_ERRORS as error:
                    self._fail(error)
                except BaseException:
                    self.close()  # killed in the middle of an answer
                    raise

    def close(self) -> None:
        """End the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()

    def _wait_for_room(self) -> None:
        while self._book is None or len(self._in_flight) >= MAX_IN_FLIGHT:
            self._changed.clear()
            self._changed.wait(FULL_S)

    def _tell_pending(self, tell: Tell) -> None:
        while self._pending:
            message, turn = self._pending[0], self._turn
            tell(message)  # a kill while it waits leaves it here
            if turn != self._turn:
                return  # it was told to read anew meanwhile: nothing of this counts
            self._pending.popleft()
            # What was told last may be journalled by now: nobody would say so again.
            if message.items and message.end > self._journalled:
                self._in_flight.append(message.end)

    def _connect(self) -> None:
        with self._dialer.turn("stream"):
            connection: Any = self._pool.make_connection()
            try:
                dial(connection)
            except BaseException:
                connection.disconnect()
                raise
        self._connection = connection
        self._replies = CutReplies(_refusal)
        if self.last_error is not None:
            self._log.info("the durable stream can be read again")

    def _fail(self, error: BaseException) -> None:
        reason = reason_of(error) + tls_advice(error)
        if self._connection is not None or self.last_error is None:
            self._log.warning("cannot read the durable stream, trying again", reason=reason)
        self.last_error = reason
        self.close()

    def _read(self) -> None:
        assert self._book is not None  # noqa: S101 waited for
        turn, began = self._turn, time.monotonic()
        entries, facts = self._ask(self._book.position.entry_id)
        if turn != self._turn:
            return
        self._note_size(entries)
        now_ms = time.time_ns() // 1_000_000
        now = utc_now()
        gaps = self._book.gaps
        items, at_end = self._book.take(
            entries, facts, now_ms=now_ms, now=now, since=self._sure_at or now
        )
        self.entries += len(entries)
        if self._book.gaps > gaps:
            self.gaps += self._book.gaps - gaps
            self._log.error("entries of the durable stream are gone unread", since=self._sure_at)
        if at_end:
            self._sure_at = now
        if items or at_end:
            message = PersistStream(self._told_to, now, items, began if at_end else 0.0)
            self._told_to = message.end
            self._pending.append(message)

    def _ask(self, behind: str) -> tuple[list[Entry], StreamFacts | None]:
        asked = ("COUNT", self._count, "BLOCK", BLOCK_MS, "STREAMS", STREAM, behind)
        answer = self._call("XREAD", *asked, limit_s=BLOCK_MS / 1000 + ANSWER_S)
        entries = answer[0][1] if answer else []
        try:
            facts = read_facts(self._call("XINFO", "STREAM", STREAM))
        except redis.ResponseError as error:
            if "no such key" not in str(error).lower():
                raise
            return entries, None
        return entries, facts

    def _call(self, *command: str | int, limit_s: float = ANSWER_S) -> Any:
        """One command's answer; ``limit_s`` is for each piece of it."""
        connection = self._connection
        connection.send_command(*command, check_health=False)
        connection._sock.settimeout(limit_s)  # noqa: SLF001 redis-py's parser would hold all of it
        while (answer := self._replies.take()) is NOTHING:
            size = connection._sock.recv_into(self._buffer)  # noqa: SLF001
            if size == 0:
                raise redis.ConnectionError("the server closed the connection")
            self._replies.feed(memoryview(self._buffer)[:size])
            if size == READ_AT_ONCE_BYTES:
                give_way()  # reads of a long answer never wait
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _note_size(self, entries: list[Entry]) -> None:
        """Ask for as many the next time as these let expect to fit."""
        if entries:
            size = sum(sum(map(size_of, entry[1] or ())) for entry in entries)
            mean = max(1, size // len(entries))
            limits = self._limits
            self._count = max(1, min(limits.entries, limits.read_bytes // mean, self._count * 4))

    # -- trimming ------------------------------------------------------------------------------

    def _trim(self) -> None:
        committed, now = self._committed, time.monotonic()
        if committed is None or committed == self._trimmed_to or now < self._trim_at:
            return
        if self._book is None or committed.generation != self._book.position.generation:
            return
        self._trim_at = now + self._limits.trim_s
        # Itself too: XINFO shows the first and the last entry, at each read, however large.
        behind = f"{committed.ms}-{committed.seq + 1}"
        try:
            self.trimmed += int(self._call("XTRIM", STREAM, "MINID", behind))
        except redis.ResponseError as error:  # before Redis 6.2
            self._log.warning("the durable stream is not trimmed", reason=reason_of(error))
            self._trim_at = now + 3600
        self._trimmed_to = committed


def _refusal(text: str) -> redis.RedisError:
    """A server that still loads is as good as away; all else that it refuses, it means."""
    if text.startswith("LOADING"):
        return redis.BusyLoadingError(text)
    return redis.ResponseError(text)
