"""Reads the durable stream, and trims it up to what is committed.

It belongs to the listener's child spec, like the subscriptions: what was sent and not journalled is
sent again if the persister asks for it. Nothing is read before the persister has sent its position
(of the daemon's previous run), and never more than a few messages beyond what it has journalled: so
a full disk pauses the stream, and nothing else.
"""

import time
from collections import deque
from typing import Any, Final

import gevent
import msgspec
import redis
import structlog
from gevent.event import Event as Signal
from gevent.lock import BoundedSemaphore

from ...agents.tls_advice import tls_advice
from ...protocol.timestamps import timestamp, utc_now
from ...runtime import give_way
from ...runtime.errors import reason_of
from ...sql.events.stream_position import STREAM, StreamPosition
from ..messages.durable_stream import PersistStream, ReadStream, StreamProgress
from ..messages.redis_listener import DurableStreamStatus
from ..payloads import size_of
from .oversized import INCOMPLETE, ReplyParser
from .raw_socket import socket_of
from .reconnect import Dialer
from .server_role import RoleWatch
from .stream_cursor import Entry, StreamCursor, StreamFacts, read_facts
from .subscription import BUS_ERRORS, Send

BLOCK_MS: Final = 1_000
"""How long one read waits for entries; each return proves that the connection is alive."""

ANSWER_S: Final = 3.5
"""How much longer a reply may take: a dead connection is noticed within 5 s."""

READ_AT_ONCE_BYTES: Final = 64 * 1024
"""Read from the socket in one call."""

MAX_UNACKNOWLEDGED: Final = 4
"""Messages sent to the persister and not journalled yet."""

REFUSED_S: Final = 5.0
"""Pause after the server refused a command (no permission, not a stream)."""


class StreamLimits(msgspec.Struct, frozen=True):
    """From the settings (``[bus] stream_…``)."""

    entries: int = 500
    """Of one read, at most."""
    read_bytes: int = 4 * 1024 * 1024
    """Of one read, about; the sizes of previous entries tell how many to ask for."""
    trim_s: float = 5.0
    """How often the stream is trimmed."""


class StreamReader:
    """The connection that reads the stream.

    Args:
        dialer: Shared with the subscriptions.
        limits: From the settings.
        watch: Whether the server is a master; after a change it is dialled again.
    """

    def __init__(
        self,
        dialer: Dialer,
        limits: StreamLimits | None = None,
        watch: RoleWatch | None = None,
    ) -> None:
        self._watch = watch or RoleWatch()
        self._dialled_under = 0
        self._read_at: float | None = None
        self._dialer = dialer
        self._limits = limits or StreamLimits()
        self._running = BoundedSemaphore(1)
        self._connection: Any = None  # redis-py's, whose methods have no types
        self._parser = ReplyParser(_refusal)
        self._buffer = bytearray(READ_AT_ONCE_BYTES)
        self._cursor: StreamCursor | None = None
        self._sent_to = StreamPosition()
        self._journalled = StreamPosition()
        self._unacknowledged: deque[StreamPosition] = deque()
        self._pending: deque[PersistStream] = deque()
        self._epoch = 0
        self._changed = Signal()
        self._committed: StreamPosition | None = None
        self._trimmed_to: StreamPosition | None = None
        self._trim_at = 0.0
        self._count = min(100, self._limits.entries)
        self._complete_at = ""
        self._log: Any = structlog.get_logger(actor="RedisListener", connection="stream")
        self.entries = 0
        """Entries read."""
        self.gaps = 0
        """Losses found."""
        self.trimmed = 0
        """Entries trimmed."""
        self.last_error: str | None = None
        """Of the last failure."""

    def status(self) -> DurableStreamStatus:
        """Its state and counts."""
        return DurableStreamStatus(
            reading=self._connection is not None and self._cursor is not None,
            position=self._cursor.position if self._cursor else None,
            committed=self._committed,
            entries=self.entries,
            gaps=self.gaps,
            trimmed=self.trimmed,
            last_error=self.last_error,
            read_age_s=None if self._read_at is None else time.monotonic() - self._read_at,
        )

    # -- from the persister ----------------------------------------------------------------------

    def read_from(self, message: ReadStream) -> None:
        """Start reading, or go back to the persister's position."""
        if self._cursor is not None and not message.anew:
            return
        position = message.position
        self._cursor = StreamCursor(position)
        self._sent_to = position
        self._epoch += 1
        self._unacknowledged.clear()
        self._pending.clear()
        at_s = position.read_at_ms / 1000
        self._complete_at = timestamp(at_s) if at_s else utc_now()
        self._log.info("reading the durable stream", after=position.entry_id)
        self._changed.set()

    def note_progress(self, progress: StreamProgress) -> None:
        """Acknowledge what was sent, up to what is journalled."""
        self._journalled = progress.journalled
        while self._unacknowledged and self._unacknowledged[0] <= progress.journalled:
            self._unacknowledged.popleft()
        self._committed = progress.committed
        self._changed.set()

    # -- reading -------------------------------------------------------------------------------

    def run(self, send: Send) -> None:
        """Read until killed, reconnecting. Run it in a linked greenlet."""
        with self._running:
            while True:
                try:
                    self._wait_for_room()
                    self._send_pending(send)
                    if self._connection is None:
                        self._connect()
                    self._read()
                    self._send_pending(send)
                    self._trim()
                except redis.ResponseError as error:
                    self._fail(error)
                    gevent.sleep(REFUSED_S)
                except BUS_ERRORS as error:
                    self._fail(error)
                except BaseException:
                    self.close()  # killed in the middle of a reply
                    raise

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()

    def _wait_for_room(self) -> None:
        while self._cursor is None or len(self._unacknowledged) >= MAX_UNACKNOWLEDGED:
            self._changed.clear()
            self._changed.wait()

    def _send_pending(self, send: Send) -> None:
        while self._pending:
            message, epoch = self._pending[0], self._epoch
            send(message)  # a kill while it blocks leaves the message here
            if epoch != self._epoch:
                return  # the persister went back meanwhile: this message is void
            self._pending.popleft()
            # It may be journalled already, and would not be acknowledged again.
            if message.items and message.end > self._journalled:
                self._unacknowledged.append(message.end)

    def _connect(self) -> None:
        self._dialled_under = self._watch.changes
        with self._dialer.connect("stream") as connection:
            self._connection = connection
        self._parser = ReplyParser(_refusal)
        if self.last_error is not None:
            self._log.info("durable stream readable again")

    def _fail(self, error: BaseException) -> None:
        reason = reason_of(error) + tls_advice(error)
        if self._connection is not None or self.last_error is None:
            self._log.warning("cannot read the durable stream, retrying", reason=reason)
        self.last_error = reason
        self.close()

    def _read(self) -> None:
        assert self._cursor is not None  # noqa: S101 waited for
        if self._dialled_under != self._watch.changes:
            raise redis.ConnectionError("the server's role has changed")
        epoch, began = self._epoch, time.monotonic()
        entries, facts = self._fetch(self._cursor.position.entry_id)
        self._read_at = time.monotonic()
        if epoch != self._epoch:
            return
        self._note_size(entries)
        now_ms = time.time_ns() // 1_000_000
        now = utc_now()
        gaps = self._cursor.gaps
        items, at_end = self._cursor.take(
            entries, facts, now_ms=now_ms, now=now, since=self._complete_at or now
        )
        self.entries += len(entries)
        if self._cursor.gaps > gaps:
            self.gaps += self._cursor.gaps - gaps
            self._log.error(
                "entries of the durable stream lost before they were read", since=self._complete_at
            )
        if at_end:
            self._complete_at = now
        if items or at_end:
            message = PersistStream(self._sent_to, now, items, began if at_end else 0.0)
            self._sent_to = message.end
            self._pending.append(message)

    def _fetch(self, after: str) -> tuple[list[Entry], StreamFacts | None]:
        asked = ("COUNT", self._count, "BLOCK", BLOCK_MS, "STREAMS", STREAM, after)
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
        """The reply to one command; ``limit_s`` is for each piece of it."""
        self._connection.send_command(*command, check_health=False)
        socket = socket_of(self._connection)
        socket.settimeout(limit_s)
        while (answer := self._parser.take()) is INCOMPLETE:
            size = socket.recv_into(self._buffer)
            if size == 0:
                raise redis.ConnectionError("the server closed the connection")
            self._parser.feed(memoryview(self._buffer)[:size])
            if size == READ_AT_ONCE_BYTES:
                give_way()  # reading a long reply would never yield
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _note_size(self, entries: list[Entry]) -> None:
        """Adapt how many entries the next read asks for to the size of these."""
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
        if self._cursor is None or committed.generation != self._cursor.position.generation:
            return
        self._trim_at = now + self._limits.trim_s
        # That entry too: each XINFO returns the first and the last entry, however large.
        first_kept = f"{committed.ms}-{committed.seq + 1}"
        try:
            self.trimmed += int(self._call("XTRIM", STREAM, "MINID", first_kept))
        except redis.ResponseError as error:  # before Redis 6.2
            self._log.warning("cannot trim the durable stream", reason=reason_of(error))
            self._trim_at = now + 3600
        self._trimmed_to = committed


def _refusal(text: str) -> redis.RedisError:
    """A server that is loading or changes its role counts as away; other errors are refusals."""
    if text.startswith("LOADING"):
        return redis.BusyLoadingError(text)
    if text.startswith("UNBLOCKED"):
        return redis.ConnectionError(text)
    return redis.ResponseError(text)
