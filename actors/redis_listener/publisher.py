"""The connection that publishes, sends the canaries, inspects the server and watches its role.

Stops go first and are sent until one arrives. Any other message that is being sent when the
connection breaks is dropped, since it is unknown whether Redis got it; messages not yet sent wait.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import gevent
import redis
import structlog
from gevent.event import Event as Signal

from ...runtime.errors import reason_of
from ..canary import INTERVAL_S, Canaries
from ..events import KILLSWITCH
from ..messages.redis_listener import Publish
from .publish_queue import PublishQueue
from .reconnect import Dialer
from .server_checks import Danger, ServerFacts, ask, inspect
from .server_role import ROLE_S, RoleWatch, ServerRole, ask_role
from .subscription import BUS_ERRORS, Subscription

REDIAL_S: Final = 5.0
"""A server that is no master is left after so long: its name may lead to the master by then."""

OnSettled = Callable[[Publish, int | None], None]
"""Called with each settled message and its receivers (None: unknown); must not block."""


class Publisher:
    """Publishes for as long as the daemon runs; belongs to the child spec like the subscriptions.

    Args:
        dialer: Shared with the subscriptions.
        own_copies: How many copies of a message on a channel come back to ourselves.
        canaries: Makes those.
        subscriptions: By which they come back.
        on_danger: Called with the server's settings that endanger events, after a connect.
        watch: Gets the server's role, each second.
    """

    def __init__(  # noqa: PLR0913 wired in one place
        self,
        dialer: Dialer,
        own_copies: Callable[[str], int],
        *,
        canaries: Canaries | None = None,
        subscriptions: Sequence[Subscription] = (),
        on_danger: Callable[[tuple[Danger, ...]], None] = lambda _dangers: None,
        watch: RoleWatch | None = None,
    ) -> None:
        self._watch = watch or RoleWatch()
        self._on_danger = on_danger
        self._dialer = dialer
        self._own_copies = own_copies
        self._canaries = canaries
        self._subscriptions = subscriptions if canaries else ()
        self._canary_at = 0.0
        self._role_at = 0.0
        self._redial_at = 0.0
        self._queue = PublishQueue()
        self._connection: Any = None  # redis-py's, whose methods have no types
        self._filled = Signal()
        self._log: Any = structlog.get_logger(actor="RedisListener", connection="publish")
        self.idle = Signal()
        """Set while nothing is pending."""
        self.idle.set()
        self.facts: ServerFacts | None = None
        """What the server said at the last connect."""
        self.published = 0
        """Messages that Redis took."""
        self.failures = 0
        """Attempts that failed, whatever became of their message."""
        self.given_up = 0
        """Messages not known to have arrived: dropped, refused, or interrupted."""
        self.last_error: str | None = None
        """Of the last failure."""

    @property
    def connected(self) -> bool:
        """Whether the connection is up, as far as is known."""
        return self._connection is not None

    @property
    def pending(self) -> int:
        """Messages that are not settled."""
        return len(self._queue)

    def add(self, publish: Publish, on_settled: OnSettled) -> None:
        """Publish this as soon as possible; a full queue drops the oldest of its kind."""
        dropped = self._queue.add(publish)
        if dropped is not None:
            self._give_up(dropped, "the publish queue is full", on_settled)
        self.idle.clear()
        self._filled.set()

    def run(self, on_settled: OnSettled) -> None:
        """Publish until killed, reconnecting. Run it in a linked greenlet."""
        self._after_break(on_settled)
        while True:
            try:
                if self._connection is None:
                    self._connect()
                self._serve(self._connection, on_settled)
            except BUS_ERRORS as error:
                self.failures += 1
                if self.last_error is None or self.connected:
                    self._log.warning("cannot publish, retrying", reason=reason_of(error))
                self.last_error = reason_of(error)
                self.close()

    def close(self) -> None:
        """End the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()

    def _connect(self) -> None:
        with self._dialer.connect("publish") as connection:
            facts = inspect(partial(ask, connection))
            role = ask_role(partial(ask, connection))
        self._connection = connection
        self._role_at = time.monotonic() + ROLE_S
        self._redial_at = time.monotonic() + REDIAL_S
        self._note_role(role)
        self._note_facts(facts)

    def _note_role(self, role: ServerRole) -> bool:
        before = self._watch.role
        changed = self._watch.note(role)
        if changed or before is None:
            if role.trouble is not None:
                self._log.error("Redis cannot carry the bus", reason=role.trouble)
            elif before is not None:
                self._log.info("Redis is a master again")
        return changed

    def _note_facts(self, facts: ServerFacts) -> None:
        known, self.facts = self.facts, facts
        if facts == known:
            return
        for danger in facts.dangers:
            self._log.warning(
                "server setting endangers events", what=danger.what, command=danger.command
            )
        if facts.unknown:
            unknown = "; ".join(danger.what for danger in facts.unknown)
            self._log.warning("unknown whether the server endangers events", what=unknown)
        if dangers := (*facts.dangers, *facts.unknown):
            self._on_danger(dangers)

    def _serve(self, connection: Any, on_settled: OnSettled) -> None:
        while True:
            self._watch_role(connection)
            self._send_canaries(connection)
            publish = self._queue.take()
            if publish is not None:
                self._send(connection, publish, on_settled)
                continue
            self.idle.set()
            self._filled.clear()
            self._filled.wait(self._idle_s())

    def _idle_s(self) -> float:
        """How long to wait for a message: until the next canary or look at the role is due."""
        due = min(self._role_at, self._canary_at) if self._subscriptions else self._role_at
        return max(0.0, due - time.monotonic())

    def _watch_role(self, connection: Any) -> None:
        """Leave the server when its role has changed, or when it has been no master for long.

        The answer also shows a broken connection before the next stop needs it.
        """
        now = time.monotonic()
        if now < self._role_at:
            return
        self._role_at = now + ROLE_S
        try:
            role = ask_role(partial(ask, connection))
        except gevent.GreenletExit:  # its reply would be taken for the next one's
            self.close()
            raise
        if self._note_role(role):
            raise redis.ConnectionError("the server's role has changed")
        if role.elsewhere and now >= self._redial_at:
            raise redis.ConnectionError(role.trouble)

    def _send_canaries(self, connection: Any) -> None:
        """Publish a canary for each subscription that has none on its way, once a second."""
        now = time.monotonic()
        if self._canaries is None or now < self._canary_at:
            return
        self._canary_at = now + INTERVAL_S
        for subscription in self._subscriptions:
            if subscription.wants_canary:
                payload = self._canaries.next(subscription.name, time.monotonic())
                subscription.expect_canary(payload)
                command = "PUBLISH", self._canaries.channel, payload
                connection.send_command(*command, check_health=False)
                try:
                    connection.read_response()
                except redis.ResponseError as error:
                    subscription.refuse_canary(str(error))
                else:
                    subscription.canary_published()

    def _send(self, connection: Any, publish: Publish, on_settled: OnSettled) -> None:
        try:
            if connection.can_read(timeout=0):
                raise redis.ConnectionError("the server sent data without a command")
        except BUS_ERRORS:  # it broke while idle: the message was not sent
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

    def _refused(self, publish: Publish, error: Exception, on_settled: OnSettled) -> None:
        if publish.channel == KILLSWITCH:
            self._queue.put_back()
            raise error
        self._queue.settle()
        self.failures += 1
        self._give_up(publish, reason_of(error), on_settled)

    def _after_break(self, on_settled: OnSettled) -> None:
        if (lost := self._queue.interrupted()) is not None:
            self._give_up(lost, "the connection broke while it was being sent", on_settled)

    def _give_up(self, publish: Publish, reason: str, on_settled: OnSettled) -> None:
        self.given_up += 1
        self._log.error(
            "message dropped, unknown whether published",
            channel=publish.channel,
            size_bytes=len(publish.payload),
            reason=reason,
        )
        on_settled(publish, None)
