"""One subscription: its socket, its parser, and messages read but not yet sent to the persister.

It belongs to the listener's child spec, not to a run of the actor: the greenlet that reads may be
killed wherever it yields, and its successor goes on after the last message sent. Nothing is read
before all that was read is sent, so a full mailbox pushes back to the socket, and to Redis.
"""

import math
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from socket import socket as Socket  # noqa: N812 a class
from typing import Any, Final

import hiredis
import redis
import structlog
from gevent.event import Event as Signal
from gevent.lock import BoundedSemaphore

from ...agents.routing import redis_glob
from ...agents.tls_advice import tls_advice
from ...protocol.patterns import matches
from ...protocol.timestamps import utc_now
from ...runtime import give_way
from ...runtime.errors import reason_of
from ..events import HEARTBEAT_PREFIX
from ..messages.event_persister import PersistEvents, PersistReplies
from ..messages.redis_listener import SubscriptionStatus
from .gaps import GapTracker
from .pubsub_parser import PubsubParser, ServerRefused
from .raw_socket import socket_of
from .reconnect import Dialer
from .server_checks import ask
from .server_role import RoleWatch, ServerRole, ask_role

BUS_ERRORS: Final = (OSError, redis.RedisError, hiredis.HiredisError, ServerRefused)
"""What a server or a network may cause; anything else is a defect of ours."""

READ_BYTES: Final = 48 * 1024
"""What one read takes at most, some 400 messages. For each KiB parsed hiredis moves the rest of its
buffer to the front, so larger reads are slower (M: 3.2 million messages a second of processor time
by 48 KiB, 2.3 million by 256 KiB, against 2.9 million of a plain loop in Python at its best)."""

MAX_REPLIES: Final = 1_000
"""Replies in one message to the persister at most, so that each is handled within some ms."""

TICK_S: Final = 1.0
"""How often a quiet connection is pinged, and how long a read waits."""

MAX_QUIET_TICKS: Final = 4
"""Ticks in a row without a byte, not even a pong: the connection is dead (noticed in 5 s)."""

CANARY_RETRY_S: Final = 10.0
"""Where an account may not use the canaries' channel it is tried again after so long."""

BUSY_READ_BYTES: Final = 16 * 1024
"""A connection whose reads bring this much is alive and is not pinged; see the parser for why."""

Send = Callable[[object], None]
"""Sends a message to the persister; blocks while its mailbox is full."""


class Subscription:
    """A connection to Redis, subscribed to ``patterns``.

    Args:
        name: ``control`` or ``data``.
        patterns: As the contract writes them.
        dialer: Connects; shared by all connections.
        gaps: Turns outages into events; shared by both subscriptions.
        watch: Whether the server is a master; after a change it is dialled again.
        canary_pattern: Subscribed to besides; where the server refuses it, it goes on without.
    """

    def __init__(  # noqa: PLR0913 wired in one place
        self,
        name: str,
        patterns: tuple[str, ...],
        *,
        dialer: Dialer,
        gaps: GapTracker,
        watch: RoleWatch,
        canary_pattern: bytes | None = None,
    ) -> None:
        self.name = name
        self.patterns = patterns
        self._dialer = dialer
        self._gaps = gaps
        self._watch = watch
        self._canary_pattern = canary_pattern
        self._hears_canaries = False
        self._canary_refused: str | None = None
        self._canary_retry_at = 0.0
        self._on_change: Callable[[], None] = lambda: None
        self._role: ServerRole | None = None
        self._dialled_under = 0
        self._log: Any = structlog.get_logger(actor="RedisListener", connection=name)
        self._reading = BoundedSemaphore(1)
        self._buffer = bytearray(READ_BYTES)
        self._connection: Any = None  # redis-py's, whose methods have no types
        self._socket: Socket | None = None
        self.subscribed = Signal()
        """Set while it is."""
        self._parser = PubsubParser()
        self._pending: deque[object] = deque()
        self._heard_at = utc_now()
        self._changed_at = self._heard_at
        self._quiet_ticks = 0
        self._last_read_bytes = 0
        self._ping_at = 0.0
        self._pinged_at: float | None = None
        self._canary: bytes | None = None
        self._canary_published_at: float | None = None
        self._canary_seen_at: float | None = None
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
        return bool(self.subscribed.is_set())

    @property
    def carries_heartbeats(self) -> bool:
        """Whether heartbeats can come by it."""
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
        """Its state and counts."""
        return SubscriptionStatus(
            name=self.name,
            patterns=self.patterns,
            connected=self.connected,
            since=self._changed_at,
            received=self.received,
            connects=self.connects,
            cuts=self.cuts,
            last_error=self.last_error,
            latency_ms=self.latency_ms,
            not_master=self._role.trouble if self._role is not None else None,
            canary_age_s=self._canary_age_s,
            canary_refused=self._canary_refused,
            expects_canary=self.expects_canary,
        )

    @property
    def expects_canary(self) -> bool:
        """Whether canaries come by it, unless it is dead."""
        return self._canary_pattern is not None and self._canary_refused is None

    @property
    def _canary_age_s(self) -> float | None:
        seen_at = self._canary_seen_at
        return None if seen_at is None else time.monotonic() - seen_at

    def run(self, send: Send, on_change: Callable[[], None]) -> None:
        """Read until killed, reconnecting. Run it in a linked greenlet.

        Args:
            send: Gets ``PersistReplies`` and ``PersistEvents`` (gaps), in their order.
            on_change: Called after each cut and each new subscription; must not block.
        """
        self._on_change = on_change
        with self._reading:  # a predecessor that is still running must not share the socket
            while True:
                try:
                    if not self.connected:
                        self._subscribe()
                        on_change()
                    self.forward(send)
                    self._read()
                except BUS_ERRORS as error:
                    self._cut(error)
                    on_change()

    def forward(self, send: Send) -> None:
        """Send all that has been read; what cannot be sent stays for the next call."""
        self._send_pending(send)
        before = self.received
        while replies := self._parser.take(MAX_REPLIES):
            if self._canary is not None and any(reply[3] == self._canary for reply in replies):
                self._forget_canary()
                self._canary_seen_at = time.monotonic()
            self._keep(replies)
            self._send_pending(send)
            give_way()
        if self.received == before and self._last_read_bytes == READ_BYTES:
            give_way()  # part of a large message: reading it would never yield
        if self._pinged_at is not None and not self._parser.awaited:
            self._check_canary()
            self.latency_ms = round((time.monotonic() - self._pinged_at) * 1000, 3)
            self._pinged_at = None

    @property
    def wants_canary(self) -> bool:
        """Whether a canary may be published: it is subscribed, and none is on its way.

        One that the server refused is tried again now and then.
        """
        if not self.connected or not self._hears_canaries:
            return False
        if self._canary_refused is not None:
            return time.monotonic() >= self._canary_retry_at
        return self._canary_published_at is None

    def expect_canary(self, payload: bytes) -> None:
        """A canary is about to be published."""
        self._canary, self._canary_published_at = payload, None

    def canary_published(self) -> None:
        """The server has the canary: whatever it replies from here on comes after it."""
        if self._canary is not None:
            self._canary_published_at = time.monotonic()
        self._note_refusal(None)

    def refuse_canary(self, reason: str) -> None:
        """The server does not take it: the account may not publish on the channel."""
        self._forget_canary()
        self._note_refusal(reason)

    def _note_refusal(self, reason: str | None) -> None:
        self._canary_retry_at = time.monotonic() + CANARY_RETRY_S
        if (reason is None) is not (self._canary_refused is None):
            if reason is not None:
                self._log.warning("canaries are refused", reason=reason)
            self._canary_refused = reason
            self._on_change()

    def _forget_canary(self) -> None:
        self._canary = self._canary_published_at = None

    def _check_canary(self) -> None:
        """A pong has come: whatever was published before the ping must have come before it."""
        published_at, pinged_at = self._canary_published_at, self._pinged_at
        if published_at is not None and pinged_at is not None and published_at < pinged_at:
            raise redis.ConnectionError("the subscription delivers nothing, though pings return")

    def close(self) -> None:
        """Close the connection; what was not read by now is part of the next start's gap."""
        connection, self._connection, self._socket = self._connection, None, None
        self.subscribed.clear()
        if connection is not None:
            connection.disconnect()

    def _send_pending(self, send: Send) -> None:
        while self._pending:
            send(self._pending[0])  # a kill while it blocks leaves the message here
            self._pending.popleft()

    # -- reading -----------------------------------------------------------------------------

    def _read(self) -> None:
        if self._dialled_under != self._watch.changes:
            raise redis.ConnectionError("the server's role has changed")
        now = time.monotonic()
        if not self._hears_canaries and now >= self._canary_retry_at:
            self._try_canaries_again()
        if now >= self._ping_at:
            self._ping(now)
        try:
            self._receive()
        except TimeoutError:
            self._quiet_ticks += 1
            if self._quiet_ticks >= MAX_QUIET_TICKS:
                silent_s = MAX_QUIET_TICKS * TICK_S
                raise redis.TimeoutError(f"no data for {silent_s:g} s") from None

    def _receive(self) -> None:
        assert self._socket is not None  # noqa: S101 only called while subscribed
        size = self._socket.recv_into(self._buffer)
        if size == 0:
            raise redis.ConnectionError("the server closed the connection")
        self._heard_at = utc_now()
        self._quiet_ticks = 0
        self._last_read_bytes = size
        self._parser.feed(self._buffer, size)

    def _ping(self, now: float) -> None:
        self._ping_at = now + TICK_S
        if self._parser.awaited or self._last_read_bytes > BUSY_READ_BYTES:
            self._last_read_bytes = 0
            return
        self._pinged_at = now
        self._parser.expect(1)
        self._connection.send_command("PING", check_health=False)

    # -- connecting --------------------------------------------------------------------------

    def _subscribe(self) -> None:
        self._dialled_under = self._watch.changes
        with self._dialer.connect(self.name) as connection:
            self._role = ask_role(partial(ask, connection))
            early = self._handshake(connection)
            self._hear_canaries(connection, early.extend)
        self._connection = connection
        self._established(early)

    def _established(self, early: list[Any]) -> None:
        """Does not yield: a kill finds all of it done, or nothing."""
        assert self._socket is not None  # noqa: S101 set by the handshake
        self._socket.settimeout(TICK_S)
        self.subscribed.set()
        self._changed_at = now = utc_now()
        self.connects += 1
        self._quiet_ticks = 0
        gaps = self._gaps.subscribed(self.name, now)
        self._pending.extend(PersistEvents((gap,)) for gap in gaps)
        if early:
            self.received += len(early)
            self._pending.append(PersistReplies(self.name, now, early))
        self._log.info("subscribed", patterns=self.patterns, connects=self.connects)

    def _cut(self, error: BaseException) -> None:
        self._gaps.lost(self.name, self._heard_at)
        reason = reason_of(error) + tls_advice(error)
        if self.connected:
            self.cuts += 1
            self._changed_at = utc_now()
            self._log.warning("subscription cut", reason=reason, last_data_at=self._heard_at)
        elif self.last_error is None or (self.connects == 0 and self.last_error != reason):
            self._log.warning("cannot subscribe, retrying", reason=reason)
        self.last_error = reason
        self._parser = PubsubParser()
        self._pinged_at = self.latency_ms = self._canary_seen_at = self._role = None
        self._forget_canary()
        self.close()

    def _handshake(self, connection: Any) -> list[Any]:
        """Subscribe; returns messages that came with the confirmations."""
        if connection.can_read(timeout=0):  # its parser would consume what belongs to ours
            raise redis.ConnectionError("the server sent data without a command")
        self._parser = PubsubParser()
        self._parser.expect(len(self.patterns))
        connection.send_command("PSUBSCRIBE", *map(redis_glob, self.patterns), check_health=False)
        self._socket = socket_of(connection)
        early: list[Any] = []
        self._await_confirmations(early.extend)
        return early

    def _await_confirmations(self, keep: Callable[[list[Any]], None]) -> None:
        """Read until the command is confirmed; ``keep`` gets the messages among them."""
        while self._parser.awaited:  # one command: all confirmations come in a row
            self._receive()
            while messages := self._parser.take(MAX_REPLIES):
                keep(messages)

    def _hear_canaries(self, connection: Any, keep: Callable[[list[Any]], None]) -> None:
        """Subscribe to canaries, if the account may; ``keep`` gets what comes meanwhile."""
        self._hears_canaries = False
        self._canary_retry_at = time.monotonic() + CANARY_RETRY_S
        if self._canary_pattern is None:
            self._canary_retry_at = math.inf
            return
        self._parser.expect(1)
        connection.send_command("PSUBSCRIBE", self._canary_pattern, check_health=False)
        try:
            self._await_confirmations(keep)
        except ServerRefused as error:
            self._parser.forgive()
            self._note_refusal(str(error))
        else:
            self._hears_canaries = True
            self._note_refusal(None)

    def _try_canaries_again(self) -> None:
        if not self._parser.awaited:
            self._hear_canaries(self._connection, self._keep)

    def _keep(self, replies: list[Any]) -> None:
        self.received += len(replies)
        self._pending.append(PersistReplies(self.name, self._heard_at, replies))
