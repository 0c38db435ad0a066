"""Delivers trips to Redis in a thread of its own: nothing in the guard waits for Redis."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ...protocol.announcement import CHANNEL
from ...protocol.bus_url import BadBusUrl, BusUrl, read_bus_url
from ...protocol.permit import KEY as PERMIT_KEY
from ...protocol.trips import Trip
from ...protocol.ways import Way
from ..intake import Origin
from .connection import Connection, Refused
from .stored_stop import store

RETRY_S: Final = 0.25
"""After a failure."""
PROVE_S: Final = 1.0
"""Keeps the connection proven, so that a stop needs no new one."""


@dataclass(slots=True)
class Delivery:
    """What one trip still needs on Redis."""

    trip: Trip
    payload: bytes
    """The announcement."""
    held: threading.Event
    """Set once the slots hold the trip."""
    due: float
    """Monotonic time at which it goes out even if they do not."""
    stored: bool = False
    """The key has it, and the permit is deleted."""
    published: bool = False

    @property
    def done(self) -> bool:
        """Whether nothing is missing."""
        return self.stored and self.published


class Bus(threading.Thread):  # noqa: TID251 no gevent here
    """Delivers in order, each until it is done.

    Args:
        url: where Redis is.
        on_published: called in this thread with a delivery and the number of receivers.
        on_trouble: called in this thread with the reason why something cannot be delivered, each
            once; empty when all is well again.
    """

    def __init__(
        self,
        url: str,
        on_published: Callable[[Delivery, int], None],
        on_trouble: Callable[[str], None],
    ) -> None:
        super().__init__(name="bus", daemon=True)
        self._url = url
        self._on_published = on_published
        self._on_trouble = on_trouble
        self._trouble = ""
        self._pending: list[Delivery] = []
        self._changed = threading.Condition()

    def send(self, delivery: Delivery) -> None:
        """Take a delivery on."""
        with self._changed:
            self._pending.append(delivery)
            self._changed.notify_all()

    def wait_done(self, limit_s: float) -> bool:
        """Wait until all is delivered; returns whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._pending, limit_s)

    def run(self) -> None:
        """Connect and serve until the process ends."""
        try:
            url = read_bus_url(self._url)
        except BadBusUrl as error:
            self._say(f"the URL is refused: {error}")
            return
        while True:
            try:
                self._serve(url)
            except Exception as error:  # noqa: BLE001 no surprise may end the deliveries
                self._say(str(error) or type(error).__name__)
            time.sleep(RETRY_S)

    def _serve(self, url: BusUrl) -> None:
        redis = Connection(url)
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: bool(self._pending), PROVE_S)
                    pending = tuple(self._pending)
                if pending:
                    self._deliver_all(redis, pending)
                else:
                    redis.prove()
                self._say("")
        finally:
            redis.close()

    def _deliver_all(self, redis: Connection, pending: tuple[Delivery, ...]) -> None:
        """Try each: one that is refused does not keep the others.

        Raises:
            OSError: the connection broke.
            Refused: something is left to be tried again.
        """
        refused: Refused | None = None
        for delivery in pending:
            delivery.held.wait(max(0.0, delivery.due - time.monotonic()))
            try:
                self._deliver(redis, delivery)
            except Refused as error:
                refused = error
        with self._changed:
            self._pending = [delivery for delivery in self._pending if not delivery.done]
            self._changed.notify_all()
        if refused is not None:
            raise refused

    def _deliver(self, redis: Connection, delivery: Delivery) -> None:
        refused: Refused | None = None
        if not delivery.stored:
            try:
                store(redis, delivery.trip, Origin(Way.REDIS, time.time()))
                delivery.stored = True
            except Refused as error:  # scripts may be forbidden where the rest is not
                refused = error
                redis.call("DEL", PERMIT_KEY)
        if not delivery.published:
            receivers = redis.call("PUBLISH", CHANNEL, delivery.payload)
            delivery.published = True
            self._on_published(delivery, receivers)
        if refused is not None:
            raise refused

    def _say(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._on_trouble(trouble)
