"""The Notifier: outside the event path, so that a receiver that hangs delays nothing else.

Pending deliveries are in memory: a restart of the daemon forgets them; the events stay stored.
"""

import random
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

import gevent
from gevent.event import Event as Signal

from ...protocol.timestamps import utc_now
from ...runtime import Actor
from ..events import KILLSWITCH, Event
from ..messages.events import EventReplaced, EventsJournalled
from .delivery import NotDelivered, deliver
from .notifications import Condition, Notification, Throttle, of_event
from .settings import NotifySettings

MAX_WAITING: Final = 200
"""Undelivered notifications; beyond it the oldest goes that is not the stop's."""

CHECK_S: Final = 5.0
"""How often lag and disk are looked at."""

FIRST_DELAY_S: Final = 1.0
LONGEST_DELAY_S: Final = 300.0

Reading = Callable[[], float]


class Outbound:
    """Pending deliveries, and counts of the others; outlives the actor."""

    def __init__(self) -> None:
        self.waiting: deque[Notification] = deque()
        self.results: Counter[str] = Counter()
        """By ``delivered``, ``failed`` (an attempt), ``given_up``."""
        self.pending = Signal()

    def add(self, notification: Notification) -> None:
        """Queue it; gives up the oldest that can be spared where there is no room."""
        self.waiting.append(notification)
        if len(self.waiting) > MAX_WAITING:
            spared = next((one for one in self.waiting if one.type != KILLSWITCH), self.waiting[0])
            self.waiting.remove(spared)
            self.results["given_up"] += 1
        self.pending.set()


class Notifier(Actor):
    """Notifies of events and of conditions.

    Args:
        settings: To whom, and of what.
        outbound: Outlives it.
        about: The instance's name and environment.
        lag_s: How far PostgreSQL is behind.
        disk_free: Bytes that the data directory's disk has free.
    """

    def __init__(
        self,
        *,
        settings: NotifySettings,
        outbound: Outbound,
        about: dict[str, str],
        lag_s: Reading,
        disk_free: Reading,
    ) -> None:
        super().__init__()
        self._settings = settings
        self._outbound = outbound
        self._about = about
        self._lag_s = lag_s
        self._disk_free = disk_free
        self._throttle = Throttle(settings.interval_s)
        self._late, self._full = Condition(), Condition()
        self._random = random.Random()  # noqa: S311 spreads retries, keeps no secret

    def on_start(self) -> None:
        """Begin to deliver, and to look at lag and disk."""
        self.spawn(self._deliver_all, name="deliver")
        self.every(CHECK_S, self._check)

    def on_receive(self, message: EventsJournalled | EventReplaced) -> None:
        """Queue a notification for each event; what replaced one was notified already."""
        if isinstance(message, EventsJournalled):
            for event in message.events:
                self._handle_event(event)

    def _handle_event(self, event: Event) -> None:
        self._notify(of_event(event))

    def _notify(self, notification: Notification) -> None:
        admitted = self._throttle.admit(notification, now=time.monotonic())
        if admitted is not None:
            self._outbound.add(admitted)

    def _check(self) -> None:
        lag_s, free = self._lag_s(), self._disk_free()
        if self._late.begins(holds=lag_s > self._settings.store_lag_s):
            self._notify(_condition("store.lag", f"PostgreSQL is {lag_s:.0f} s behind"))
        if self._full.begins(holds=free < self._settings.disk_free_bytes):
            text = f"{free / 1024**2:.0f} MiB are free for the data directory"
            self._notify(_condition("disk.low", text))

    def _deliver_all(self) -> None:
        outbound = self._outbound
        while True:
            outbound.pending.wait()
            while outbound.waiting:
                notification = outbound.waiting[0]
                self._deliver(notification)
                if outbound.waiting and outbound.waiting[0] is notification:
                    outbound.waiting.popleft()
            outbound.pending.clear()

    def _deliver(self, notification: Notification) -> None:
        """Try until it is delivered, or hopeless."""
        results = self._outbound.results
        for attempt in range(self._settings.attempts):
            try:
                deliver(notification, self._settings, self._about)
            except NotDelivered as error:
                results["failed"] += 1
                self.log.warning(
                    "notification not delivered",
                    type=notification.type,
                    attempt=attempt + 1,
                    reason=str(error),
                )
                if error.lasting:
                    break
                if attempt + 1 < self._settings.attempts:
                    gevent.sleep(delay_s(attempt, self._random.random()))
            else:
                results["delivered"] += 1
                return
        results["given_up"] += 1


def delay_s(attempt: int, chance: float) -> float:
    """After the attempt of that number: doubling, at least half of it, the rest by ``chance``."""
    longest = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0**attempt)
    return longest * (0.5 + chance / 2)


def _condition(kind: str, text: str) -> Notification:
    now = utc_now()
    return Notification(id=f"{kind}-{now}", type=kind, text=text, ts=now)
