"""The RedisListener: what is published on Redis becomes messages to the EventPersister.

The actor holds nothing that a crash could lose: sockets, parsers, messages read but not yet sent
and the publish queue are in :class:`~.connections.BusConnections`, which belongs to the child spec.
A successor goes on where the last read ended.

::

    Redis ──control──▶ greenlet ──PersistReplies, urgent────▶ persister
    Redis ──data─────▶ greenlet ──PersistReplies────────────▶ persister (full: stops reading)
    Redis ──stream───▶ greenlet ──PersistStream─────────────▶ persister (a few at a time)
    Redis ◀──PUBLISH── greenlet ◀──queue◀── Publish from the persister
"""

from functools import partial
from typing import Any, Final, assert_never

import gevent

from ...runtime import Actor, Address, MailboxFull, Outbox
from ..messages.durable_stream import ReadStream, StreamProgress
from ..messages.heartbeat_monitor import SetBusVisible
from ..messages.redis_listener import GetBusStatus, Publish, Published
from .connections import BusConnections
from .subscription import BUS_ERRORS, Send, Subscription

REMIND_MONITOR_S: Final = 5.0
"""A restarted monitor starts without knowing whether the bus is visible; it learns it this soon."""

LAST_SEND_S: Final = 2.0
"""At the stop: how long to wait for room in the persister's mailbox for what was read."""

LAST_PUBLISH_S: Final = 1.0
"""At the stop: how long Redis may take for pending messages, if it is connected."""


Message = Publish | GetBusStatus | ReadStream | StreamProgress


class RedisListener(Actor):
    """Reads both subscriptions and the durable stream, and publishes, in a linked greenlet each.

    Args:
        connections: Outlives the actor's runs.
        persister: Gets what is read, urgently what the control connection brings.
        monitor: Notified whether heartbeats are visible.
    """

    drain_on_stop = True  # a stop must not wait for the next start to be published

    def __init__(
        self,
        connections: BusConnections,
        *,
        persister: Address,
        monitor: Address | None = None,
    ) -> None:
        super().__init__()
        self._connections = connections
        self._persister = persister
        self._monitor = Outbox(monitor) if monitor is not None else None
        self._replies: dict[str, Outbox] = {}
        self._readers: list[gevent.Greenlet] = []

    def on_start(self) -> None:
        """Start reading; ready at once, whether Redis is there or not."""
        if self._monitor is not None:
            self.spawn(self._monitor.pump, name="monitor-outbox")
            self.every(REMIND_MONITOR_S, self._notify_monitor)
        self._notify_monitor()
        self._readers = [
            self.spawn(each.run, self._sender(each), self._notify_monitor, name=f"read-{each.name}")
            for each in self._connections.subscriptions
        ]
        self.spawn(self._connections.publisher.run, self._on_settled, name="publish")
        stream = self._connections.stream
        self._readers.append(self.spawn(stream.run, self._persister.tell, name="read-stream"))

    def on_stop(self) -> None:
        """Stop reading, send what was read, and publish what is pending if Redis is quick.

        The connections stay open: the daemon closes them when it stops.
        """
        gevent.killall(self._readers, timeout=LAST_SEND_S)
        for each in self._connections.subscriptions:
            self._send_rest(each)
        publisher = self._connections.publisher
        if publisher.connected and not publisher.idle.wait(LAST_PUBLISH_S):
            self.log.error("stopped with messages unpublished", pending=publisher.pending)

    def on_receive(self, message: Message) -> Any:
        """Dispatch."""
        match message:
            case Publish():
                self._connections.publisher.add(message, self._on_settled)
            case ReadStream():
                self._connections.stream.read_from(message)
            case StreamProgress():
                self._connections.stream.note_progress(message)
            case GetBusStatus():
                return self._connections.status()
            case _:
                assert_never(message)
        return None

    def _sender(self, subscription: Subscription, **options: float) -> Send:
        urgent = subscription is self._connections.control
        return partial(self._persister.tell, urgent=urgent, **options)

    def _send_rest(self, subscription: Subscription) -> None:
        try:
            subscription.forward(self._sender(subscription, timeout_s=LAST_SEND_S))
        except MailboxFull:
            self.log.warning(
                "persister is busy, last messages kept for the next start",
                connection=subscription.name,
            )
        except BUS_ERRORS as error:
            self.log.warning(
                "connection lost while stopping", connection=subscription.name, reason=str(error)
            )

    def _notify_monitor(self) -> None:
        if self._monitor is not None:
            connections = self._connections
            self._monitor.send(
                SetBusVisible(connections.heartbeats_visible, connections.canary_paths)
            )

    def _on_settled(self, publish: Publish, receivers: int | None) -> None:
        if publish.reply_to is None:
            return
        outbox = self._replies.get(publish.reply_to.name)
        if outbox is None:
            outbox = self._replies[publish.reply_to.name] = Outbox(publish.reply_to)
            self.spawn(outbox.pump, name=f"outbox-{publish.reply_to.name}")
        outbox.send(Published(publish.tag, receivers))
