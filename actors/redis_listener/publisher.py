"""The third connection: publishes what is to be published, and asks the server about itself.

Stops go first and are sent until one arrives. What else is in hand when the connection breaks is
given up, since nobody can know whether it was sent; what had not been sent yet waits.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import redis
import structlog
from gevent.event import Event as Signal

from ...runtime.errors import reason_of
from ..canary import INTERVAL_S, Canaries
from ..events import KILLSWITCH
from ..messages.redis_listener import Publish
from .publish_queue import PublishQueue
from .reconnect import Dialer, dial
from .server_checks import Danger, ServerFacts, inspect
from .subscription import BUS_ERRORS, Subscription

IDLE_PING_S: Final = 5.0
"""A broken connection is found before the next stop needs it."""

Settled = Callable[[Publish, int | None], None]
"""Told of each message that is done with, and its receivers; must not wait."""


class BusPublisher:
    """Belongs to the child spec like the subscriptions; any incarnation's greenlet may run it.

    Args:
        pool: Makes the connection.
        dialer: Shared with the subscriptions.
        own_copies: How many copies of a message on a channel come back to ourselves.
        canaries: Makes those.
        lanes: For which they are made.
        on_danger: Told what of the server's settings endangers events, at a connect.
    """

    def __init__(  # noqa: PLR0913 wired in one place
        self,
        pool: redis.ConnectionPool,
        dialer: Dialer,
        own_copies: Callable[[str], int],
        *,
        canaries: Canaries | None = None,
        lanes: Sequence[Subscription] = (),
        on_danger: Callable[[tuple[Danger, ...]], None] = lambda _dangers: None,
    ) -> None:
        self._on_danger = on_danger
        self._pool = pool
        self._dialer = dialer
        self._own_copies = own_copies
        self._canaries = canaries
        self._lanes = [lane for lane in lanes if canaries and lane.lane in canaries.channels]
        self._canary_at = 0.0
        self._spoken_at = 0.0
        self._queue = PublishQueue()
        self._connection: Any = None  # redis-py's, whose methods have no types
        self._filled = Signal()
        self._log: Any = structlog.get_logger(actor="RedisListener", lane="publish")
        self.idle = Signal()
        """Set while nothing waits."""
        self.idle.set()
        self.facts: ServerFacts | None = None
        """What the server said at the last connect."""
        self.published = 0
        """Messages that Redis took."""
        self.failures = 0
        """Attempts that failed, whatever became of the message."""
        self.given_up = 0
        """Messages nobody knows to have arrived: dropped, refused, or broken off."""
        self.last_error: str | None = None
        """Of the last failure."""

    @property
    def connected(self) -> bool:
        """Whether the connection stands, as far as is known."""
        return self._connection is not None

    @property
    def waiting(self) -> int:
        """Messages that are not settled."""
        return len(self._queue)

    def add(self, publish: Publish, on_settled: Settled) -> None:
        """Publish this as soon as may be; when there is no room the oldest of its kind goes."""
        victim = self._queue.add(publish)
        if victim is not None:
            self._give_up(victim, "too many wait", on_settled)
        self.idle.clear()
        self._filled.set()

    def run(self, on_settled: Settled) -> None:
        """Publish for ever; for a greenlet that may be killed at any time."""
        self._after_break(on_settled)
        while True:
            try:
                if self._connection is None:
                    self._connect()
                self._serve(self._connection, on_settled)
            except BUS_ERRORS as error:
                self.failures += 1
                if self.last_error is None or self.connected:
                    self._log.warning("cannot publish, trying again", reason=reason_of(error))
                self.last_error = reason_of(error)
                self.close()

    def close(self) -> None:
        """End the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()

    def _connect(self) -> None:
        with self._dialer.turn("publish"):
            connection: Any = self._pool.make_connection()
            try:
                dial(connection)
                facts = inspect(lambda *command: _ask(connection, *command))
            except BaseException:
                connection.disconnect()
                raise
        self._connection = connection
        self._note_facts(facts)

    def _note_facts(self, facts: ServerFacts) -> None:
        known, self.facts = self.facts, facts
        if facts == known:
            return
        for danger in facts.dangers:
            self._log.warning(
                "the server endangers events", what=danger.what, command=danger.command
            )
        if facts.dangers:
            self._on_danger(facts.dangers)

    def _serve(self, connection: Any, on_settled: Settled) -> None:
        while True:
            self._send_canaries(connection)
            publish = self._queue.take()
            if publish is not None:
                self._send(connection, publish, on_settled)
                continue
            self.idle.set()
            self._filled.clear()
            if not self._filled.wait(INTERVAL_S / 4 if self._lanes else IDLE_PING_S):
                self._ping_if_idle(connection)

    def _ping_if_idle(self, connection: Any) -> None:
        now = time.monotonic()
        if now >= self._spoken_at + IDLE_PING_S:
            self._spoken_at = now
            _ask(connection, "PING")

    def _send_canaries(self, connection: Any) -> None:
        """Publish what is to come the whole way back, once a second."""
        now = time.monotonic()
        if self._canaries is None or now < self._canary_at:
            return
        self._canary_at = now + INTERVAL_S
        if any(lane.wants_canary for lane in self._lanes):
            self._spoken_at = now
        for lane in self._lanes:
            if lane.wants_canary:
                payload = self._canaries.next(lane.lane, time.monotonic())
                lane.expect_canary(payload)
                channel = self._canaries.channels[lane.lane]
                connection.send_command("PUBLISH", channel, payload, check_health=False)
                connection.read_response()
                lane.canary_published()

    def _send(self, connection: Any, publish: Publish, on_settled: Settled) -> None:
        try:
            if connection.can_read(timeout=0):
                raise redis.ConnectionError("the server spoke before it was asked")
        except BUS_ERRORS:  # it broke while idle: this was not sent
            self._queue.put_back()
            raise
        try:
            connection.send_command("PUBLISH", publish.channel, publish.payload, check_health=False)
            receivers = int(connection.read_response())
        except redis.ResponseError as error:
            self._refused(publish, error, on_settled)
        except BUS_ERRORS:
            self._after_break(on_settled)
            raise
        else:
            self._queue.settle()
            self.published += 1
            on_settled(publish, max(0, receivers - self._own_copies(publish.channel)))

    def _refused(self, publish: Publish, error: Exception, on_settled: Settled) -> None:
        if publish.channel == KILLSWITCH:
            self._queue.put_back()
            raise error
        self._queue.settle()
        self.failures += 1
        self._give_up(publish, reason_of(error), on_settled)

    def _after_break(self, on_settled: Settled) -> None:
        if (lost := self._queue.interrupted()) is not None:
            self._give_up(lost, "the connection broke while it was sent", on_settled)

    def _give_up(self, publish: Publish, reason: str, on_settled: Settled) -> None:
        self.given_up += 1
        self._log.error(
            "message given up, not known to be published",
            channel=publish.channel,
            size_bytes=len(publish.payload),
            reason=reason,
        )
        on_settled(publish, None)


def _ask(connection: Any, *command: str) -> Any:
    """One command's reply; ``None`` if the server refuses it."""
    connection.send_command(*command, check_health=False)
    try:
        return connection.read_response()
    except redis.ResponseError:
        return None
