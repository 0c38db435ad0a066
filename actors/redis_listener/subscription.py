"""The subscriptions: sockets, parsers and what was read but not yet passed on.

They belong to the listener's child spec, not to an incarnation: the greenlet that reads may be
killed at any wait, and its successor goes on behind the last message that was told. Nothing is
read before what was read is passed on, so a full mailbox pushes back to the socket, and to Redis.
"""

import time
from collections import deque
from collections.abc import Callable
from socket import socket as Socket  # noqa: N812 a class
from typing import Any, Final

import hiredis
import redis
import structlog
from gevent.lock import BoundedSemaphore

from ...agents.routing import redis_glob
from ...agents.tls_advice import tls_advice
from ...protocol.patterns import matches
from ...runtime import give_way
from ...runtime.errors import reason_of
from ..events import HEARTBEAT_PREFIX, utc_now
from ..messages.event_persister import PersistEvents, PersistReplies
from ..messages.redis_listener import SubscriptionStatus
from .gaps import GapBook
from .pubsub_parser import ReplyStream, ServerRefused
from .reconnect import Dialer, dial

BUS_ERRORS: Final = (OSError, redis.RedisError, hiredis.HiredisError, ServerRefused)
"""What a server or a network may do to us; anything else is a fault of ours."""

READ_BYTES: Final = 48 * 1024
"""What one read takes at most, some 400 messages. For each KiB parsed hiredis moves the rest of its
buffer to the front, so larger reads are slower (M: 3.2 million messages a second of processor time
by 48 KiB, 2.3 million by 256 KiB, against 2.9 million of a plain loop in Python at its best)."""

MAX_REPLIES: Final = 1_000
"""What one message to the persister holds at most, so that nobody has the loop for long."""

TICK_S: Final = 1.0
"""How often a lane that has little to say is pinged, and how long a read waits."""

MAX_QUIET_TICKS: Final = 4
"""So many in a row without a byte, not even a pong: the connection is dead (noticed in 5 s)."""

BUSY_READ_BYTES: Final = 16 * 1024
"""A lane whose reads bring so much is alive and is not pinged; see the reply stream for why."""

Tell = Callable[[object], None]
"""Passes a message on; waits while there is no room."""


class Subscription:
    """One lane: a connection to Redis, subscribed to ``patterns``, whoever reads it."""

    def __init__(
        self,
        lane: str,
        patterns: tuple[str, ...],
        *,
        pool: redis.ConnectionPool,
        dialer: Dialer,
        gaps: GapBook,
    ) -> None:
        self.lane = lane
        self.patterns = patterns
        self._pool = pool
        self._dialer = dialer
        self._gaps = gaps
        self._log: Any = structlog.get_logger(actor="RedisListener", lane=lane)
        self._reading = BoundedSemaphore(1)
        self._buffer = bytearray(READ_BYTES)
        self._connection: Any = None  # redis-py's, whose methods have no types
        self._socket: Socket | None = None
        self._subscribed = False
        self._stream = ReplyStream()
        self._pending: deque[object] = deque()
        self._heard_at = utc_now()
        self._changed_at = self._heard_at
        self._quiet_ticks = 0
        self._last_read_bytes = 0
        self._ping_at = 0.0
        self._pinged_at: float | None = None
        self._canary: bytes | None = None
        self._canary_sure_at: float | None = None
        self.received = 0
        """Messages read."""
        self.connects = 0
        """Subscriptions that succeeded."""
        self.cuts = 0
        """Subscriptions that ended."""
        self.last_error: str | None = None
        """Why the last one ended, or the last attempt failed; ``None`` before any did."""
        self.latency_ms: float | None = None
        """The last ping's round trip."""

    @property
    def connected(self) -> bool:
        """Whether it is subscribed."""
        return self._subscribed

    @property
    def carries_heartbeats(self) -> bool:
        """Whether some heartbeat can come this way."""
        heads = (pattern.split("*", 1)[0] for pattern in self.patterns)
        return any(
            head.startswith(HEARTBEAT_PREFIX) or HEARTBEAT_PREFIX.startswith(head) for head in heads
        )

    def copies(self, channel: str) -> int:
        """How many copies of one message on ``channel`` Redis counts as received by us."""
        if not self.connected:
            return 0
        return sum(matches(pattern, channel) for pattern in self.patterns)

    def status(self) -> SubscriptionStatus:
        """How it stands."""
        return SubscriptionStatus(
            name=self.lane,
            patterns=self.patterns,
            connected=self.connected,
            since=self._changed_at,
            received=self.received,
            connects=self.connects,
            cuts=self.cuts,
            last_error=self.last_error,
            latency_ms=self.latency_ms,
        )

    def run(self, tell: Tell, on_change: Callable[[], None]) -> None:
        """Read for ever, reconnecting; for a greenlet that may be killed at any time.

        Args:
            tell: Gets ``PersistReplies`` and ``PersistEvents`` (gaps), in their order.
            on_change: Called after each cut and each new subscription; must not wait.
        """
        with self._reading:  # a predecessor that does not end must not share the socket
            while True:
                try:
                    if not self._subscribed:
                        self._subscribe()
                        on_change()
                    self.pass_on(tell)
                    self._read()
                except BUS_ERRORS as error:
                    self._cut(error)
                    on_change()

    def pass_on(self, tell: Tell) -> None:
        """Tell all that has been read; what could not be told stays for the next call."""
        self._tell_pending(tell)
        before = self.received
        while replies := self._stream.take(MAX_REPLIES):
            self.received += len(replies)
            if self._canary is not None and any(reply[3] == self._canary for reply in replies):
                self._forget_canary()
            self._pending.append(PersistReplies(self.lane, self._heard_at, replies))
            self._tell_pending(tell)
            give_way()
        if self.received == before and self._last_read_bytes == READ_BYTES:
            give_way()  # part of a large message: the reads that bring it never wait
        if self._pinged_at is not None and not self._stream.awaited:
            self._check_hearing()
            self.latency_ms = round((time.monotonic() - self._pinged_at) * 1000, 3)
            self._pinged_at = None

    @property
    def wants_canary(self) -> bool:
        """Whether one may be published: it is subscribed, and none is on its way."""
        return self._subscribed and self._canary_sure_at is None

    def expect_canary(self, payload: bytes) -> None:
        """A canary is about to be published."""
        self._canary, self._canary_sure_at = payload, None

    def canary_published(self) -> None:
        """The server has it: whatever it answers from here on comes behind it."""
        if self._canary is not None:
            self._canary_sure_at = time.monotonic()

    def _forget_canary(self) -> None:
        self._canary = self._canary_sure_at = None

    def _check_hearing(self) -> None:
        """A pong has come: what was published before the ping must have come before it."""
        sure_at = self._canary_sure_at
        if self._pinged_at is not None and sure_at is not None and sure_at < self._pinged_at:
            raise redis.ConnectionError("the server answers, but the subscription is deaf")

    def close(self) -> None:
        """End the connection; what was not read by now is the next start's gap."""
        connection, self._connection, self._socket = self._connection, None, None
        self._subscribed = False
        if connection is not None:
            connection.disconnect()

    def _tell_pending(self, tell: Tell) -> None:
        while self._pending:
            tell(self._pending[0])  # a kill while it waits leaves it here
            self._pending.popleft()

    # -- reading -----------------------------------------------------------------------------

    def _read(self) -> None:
        now = time.monotonic()
        if now >= self._ping_at:
            self._ping(now)
        try:
            self._receive()
        except TimeoutError:
            self._quiet_ticks += 1
            if self._quiet_ticks >= MAX_QUIET_TICKS:
                silent_s = MAX_QUIET_TICKS * TICK_S
                raise redis.TimeoutError(f"no sign of life for {silent_s:g} s") from None

    def _receive(self) -> None:
        assert self._socket is not None  # noqa: S101 only called while subscribed
        size = self._socket.recv_into(self._buffer)
        if size == 0:
            raise redis.ConnectionError("the server closed the connection")
        self._heard_at = utc_now()
        self._quiet_ticks = 0
        self._last_read_bytes = size
        self._stream.feed(self._buffer, size)

    def _ping(self, now: float) -> None:
        self._ping_at = now + TICK_S
        if self._stream.awaited or self._last_read_bytes > BUSY_READ_BYTES:
            self._last_read_bytes = 0
            return
        self._pinged_at = now
        self._stream.expect(1)
        self._connection.send_command("PING", check_health=False)

    # -- connecting --------------------------------------------------------------------------

    def _subscribe(self) -> None:
        with self._dialer.turn(self.lane):
            connection: Any = self._pool.make_connection()
            try:
                early = self._handshake(connection)
            except BaseException:
                connection.disconnect()
                raise
        self._connection = connection
        self._established(early)

    def _established(self, early: list[Any]) -> None:
        """Nothing waits in here: a kill finds all of it done, or nothing."""
        assert self._socket is not None  # noqa: S101 set by the handshake
        self._socket.settimeout(TICK_S)
        self._subscribed = True
        self._changed_at = now = utc_now()
        self.connects += 1
        self._quiet_ticks = 0
        gaps = self._gaps.hears(self.lane, now)
        self._pending.extend(PersistEvents((gap,)) for gap in gaps)
        if early:
            self.received += len(early)
            self._pending.append(PersistReplies(self.lane, now, early))
        self._log.info("subscribed", patterns=self.patterns, connects=self.connects)

    def _cut(self, error: BaseException) -> None:
        self._gaps.deaf(self.lane, self._heard_at)
        reason = reason_of(error) + tls_advice(error)
        if self._subscribed:
            self.cuts += 1
            self._changed_at = utc_now()
            self._log.warning("subscription cut", reason=reason, heard_until=self._heard_at)
        elif self.last_error is None or (self.connects == 0 and self.last_error != reason):
            self._log.warning("cannot subscribe, trying again and again", reason=reason)
        self.last_error = reason
        self._stream = ReplyStream()
        self._pinged_at = self.latency_ms = None
        self._forget_canary()
        self.close()

    def _handshake(self, connection: Any) -> list[Any]:
        """Connect and subscribe; return messages that came with the confirmations."""
        dial(connection)
        if connection.can_read(timeout=0):  # its parser would swallow what belongs to ours
            raise redis.ConnectionError("the server spoke before it was asked")
        self._stream = ReplyStream()
        self._stream.expect(len(self.patterns))
        connection.send_command("PSUBSCRIBE", *map(redis_glob, self.patterns), check_health=False)
        self._socket = connection._sock  # noqa: SLF001 redis-py has no public way to it
        early: list[Any] = []
        while self._stream.awaited:  # one command: all confirmations come in a row
            self._receive()
            while messages := self._stream.take(MAX_REPLIES):
                early += messages
        return early
