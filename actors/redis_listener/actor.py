"""The RedisListener: what is published on Redis becomes messages to the EventPersister.

The actor holds nothing that a crash could lose: sockets, parsers, messages read but not yet sent
and the publish queue are in :class:`~.connections.BusConnections`, which belongs to the child spec.
A successor goes on where the last read ended.

::

    Redis ──control──▶ greenlet ──PersistReplies, urgent────▶ persister
    Redis ──data─────▶ greenlet ──PersistReplies────────────▶ persister (full: waits, reads no more)
    Redis ──stream───▶ greenlet ──PersistStream─────────────▶ persister (a few at a time)
    Redis ◀──PUBLISH── greenlet ◀──queue◀── Publish from the persister
"""

from typing import Any, Final, assert_never

import gevent

from ...runtime import Actor, Address, MailboxFull, Outbox
from ..messages.durable_stream import ReadStream, StreamProgress
from ..messages.heartbeat_monitor import SetBusVisible
from ..messages.redis_listener import GetBusStatus, Publish, Published
from .connections import BusConnections
from .subscription import BUS_ERRORS, Subscription, Tell

REMIND_MONITOR_S: Final = 5.0
"""A restarted monitor begins blind; so soon it learns that it is not."""

LAST_TELL_S: Final = 2.0
"""At a stop: how long the persister may take to make room for what was read."""

LAST_PUBLISH_S: Final = 1.0
"""At a stop: how long Redis may take for what is to be published, if it is there at all."""


Message = Publish | GetBusStatus | ReadStream | StreamProgress


class RedisListener(Actor):
    """Reads the lanes and the durable stream in a linked greenlet each, and publishes in one.

    Args:
        subscriptions: Outlives this incarnation.
        persister: Gets what is read: of the control lane urgently.
        monitor: Learns whether heartbeats can be seen.
    """

    drain_on_stop = True  # a stop to be published must not wait for the next start

    def __init__(
        self,
        subscriptions: BusConnections,
        *,
        persister: Address,
        monitor: Address | None = None,
    ) -> None:
        super().__init__()
        self._subscriptions = subscriptions
        self._persister = persister
        self._monitor = Outbox(monitor) if monitor is not None else None
        self._replies: dict[str, Outbox] = {}
        self._readers: list[gevent.Greenlet] = []

    def on_start(self) -> None:
        """Start reading; up at once, whether Redis is there or not."""
        if self._monitor is not None:
            self.spawn(self._monitor.pump, name="monitor-outbox")
            self.every(REMIND_MONITOR_S, self._tell_monitor)
        self._tell_monitor()
        self._readers = [
            self.spawn(lane.run, tell, self._tell_monitor, name=f"read-{lane.lane}")
            for lane, tell in self._lanes()
        ]
        self.spawn(self._subscriptions.publisher.run, self._settled, name="publish")
        stream = self._subscriptions.stream
        self._readers.append(self.spawn(stream.run, self._persister.tell, name="read-stream"))

    def on_stop(self) -> None:
        """Read no more, tell what was read, publish what waits if that can be had soon.

        The connections stay open: at the daemon's end it closes them.
        """
        gevent.killall(self._readers, timeout=LAST_TELL_S)
        for lane, _ in self._lanes():
            self._tell_rest(lane)
        publisher = self._subscriptions.publisher
        if publisher.connected and not publisher.idle.wait(LAST_PUBLISH_S):
            self.log.error("not published at the stop", waiting=publisher.waiting)

    def on_receive(self, message: Message) -> Any:
        """Dispatch."""
        match message:
            case Publish():
                self._subscriptions.publisher.add(message, self._settled)
            case ReadStream():
                self._subscriptions.stream.read_from(message)
            case StreamProgress():
                self._subscriptions.stream.note_progress(message)
            case GetBusStatus():
                return self._subscriptions.status()
            case _:
                assert_never(message)
        return None

    def _lanes(self) -> tuple[tuple[Subscription, Tell], ...]:
        return (
            (self._subscriptions.control, self._tell_control),
            (self._subscriptions.data, self._persister.tell),
        )

    def _tell_control(self, message: object) -> None:
        self._persister.tell(message, urgent=True)

    def _tell_rest(self, lane: Subscription) -> None:
        urgent = lane is self._subscriptions.control
        try:
            lane.pass_on(
                lambda message: self._persister.tell(message, urgent=urgent, timeout_s=LAST_TELL_S)
            )
        except MailboxFull:
            self.log.warning("what was read last stays untold until the next start", lane=lane.lane)
        except BUS_ERRORS as error:
            self.log.warning("the connection broke at the stop", lane=lane.lane, reason=str(error))

    def _tell_monitor(self) -> None:
        if self._monitor is not None:
            subscriptions = self._subscriptions
            self._monitor.send(
                SetBusVisible(subscriptions.heartbeats_visible, subscriptions.canary_lanes)
            )

    def _settled(self, publish: Publish, receivers: int | None) -> None:
        if publish.reply_to is None:
            return
        outbox = self._replies.get(publish.reply_to.name)
        if outbox is None:
            outbox = self._replies[publish.reply_to.name] = Outbox(publish.reply_to)
            self.spawn(outbox.pump, name=f"outbox-{publish.reply_to.name}")
        outbox.send(Published(publish.tag, receivers))
