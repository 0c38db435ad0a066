"""The mailbox: bounded, with an urgent lane, and owned by an address, not by an actor.

Two lanes, each in order of arrival. The urgent one is read first; what the runtime itself sends
(stop, ping, timers, the end of a linked greenlet) goes there and is never refused. All
methods belong to the loop's thread.
"""

from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import gevent
from gevent.hub import Waiter
from pykka._envelope import Envelope  # pykka's inbox protocol is made of these

from .errors import MailboxFull

DEFAULT_CAPACITY = 1000


class FullPolicy(StrEnum):
    """What happens to a message for which there is no room."""

    BLOCK = "block"
    """The sender waits: back-pressure, for mailboxes along the flow."""
    REFUSE = "refuse"
    """The sender gets ``MailboxFull``."""
    DROP_OLDEST = "drop_oldest"
    """The oldest message of the lane goes, is counted, and ``on_drop`` is told."""


class Mailbox:
    """A bounded queue of envelopes with two lanes.

    Args:
        capacity: Messages that each lane holds.
        on_full: What happens to one more.
        on_drop: Called with each message that ``DROP_OLDEST`` gave up.
    """

    def __init__(
        self,
        capacity: int = DEFAULT_CAPACITY,
        on_full: FullPolicy = FullPolicy.BLOCK,
        on_drop: Callable[[object], None] | None = None,
    ) -> None:
        self.owner = "nobody"
        self.capacity = capacity
        self.on_full = on_full
        self.dropped = 0
        self._on_drop = on_drop
        self._urgent: deque[Envelope[Any]] = deque()
        self._normal: deque[Envelope[Any]] = deque()
        self._reader: Waiter[None] | None = None
        self._writers: deque[Waiter[None]] = deque()

    def __len__(self) -> int:
        return len(self._urgent) + len(self._normal)

    @property
    def depth(self) -> int:
        """Messages that wait in both lanes."""
        return len(self)

    def empty(self) -> bool:
        """Whether nothing waits (part of pykka's inbox protocol)."""
        return not self._urgent and not self._normal

    def put(
        self, envelope: Envelope[Any], *, urgent: bool = False, timeout_s: float | None = None
    ) -> None:
        """Append ``envelope``; what happens when there is no room is the mailbox's policy.

        Raises:
            MailboxFull: Under ``REFUSE``, or when ``timeout_s`` passed under ``BLOCK``.
        """
        lane = self._urgent if urgent else self._normal
        if len(lane) >= self.capacity:
            self._make_room(lane, timeout_s)
        lane.append(envelope)
        if self._reader is not None:
            self._wake_reader()

    def offer(self, envelope: Envelope[Any], *, urgent: bool = False) -> bool:
        """Append ``envelope`` if that needs no waiting and no refusal; say whether it did."""
        lane = self._urgent if urgent else self._normal
        if len(lane) >= self.capacity and self.on_full is not FullPolicy.DROP_OLDEST:
            return False
        self.put(envelope, urgent=urgent)
        return True

    def put_system(self, envelope: Envelope[Any]) -> None:
        """Append a message of the runtime's own to the urgent lane, whatever the bound.

        There is at most one ping, one stop and one tick per timer, so these stay few.
        """
        self._urgent.append(envelope)
        if self._reader is not None:
            self._wake_reader()

    def get(self) -> Envelope[Any]:
        """Take the next envelope, waiting until there is one; one reader at a time."""
        while True:
            if self._urgent:
                return self._take(self._urgent)
            if self._normal:
                return self._take(self._normal)
            self._wait_for_message()

    def take_matching(self, cls: type, limit: int) -> list[Envelope[Any]]:
        """Take up to ``limit`` told messages of ``cls`` from the head of the normal lane."""
        taken: list[Envelope[Any]] = []
        while self._normal and len(taken) < limit:
            head = self._normal[0]
            if head.reply_to is not None or not isinstance(head.message, cls):
                break
            taken.append(self._take(self._normal))
        return taken

    def take_all(self) -> list[Envelope[Any]]:
        """Empty both lanes, for the dead letters of an address that is closed."""
        taken = [*self._urgent, *self._normal]
        self._urgent.clear()
        self._normal.clear()
        while self._writers:
            self._wake_writer()
        return taken

    def _take(self, lane: deque[Envelope[Any]]) -> Envelope[Any]:
        envelope = lane.popleft()
        if self._writers:
            self._wake_writer()
        return envelope

    def _make_room(self, lane: deque[Envelope[Any]], timeout_s: float | None) -> None:
        if self.on_full is FullPolicy.REFUSE:
            raise MailboxFull(self.owner, self.capacity)
        if self.on_full is FullPolicy.DROP_OLDEST:
            victim = lane.popleft()
            self.dropped += 1
            if self._on_drop is not None:
                self._on_drop(victim.message)
            return
        self._wait_for_room(lane, timeout_s)

    def _wait_for_room(self, lane: deque[Envelope[Any]], timeout_s: float | None) -> None:
        expired = False
        timer = None
        waiter: Waiter[None]

        def expire() -> None:
            nonlocal expired
            expired = True
            waiter.switch(None)

        try:
            while len(lane) >= self.capacity:
                if expired:
                    raise MailboxFull(self.owner, self.capacity)
                waiter = Waiter()
                self._writers.append(waiter)
                if timeout_s is not None and timer is None:
                    timer = gevent.get_hub().loop.timer(timeout_s)
                    timer.start(expire)
                try:
                    waiter.get()
                finally:
                    if waiter in self._writers:
                        self._writers.remove(waiter)
        finally:
            if timer is not None:
                timer.stop()
                timer.close()

    def _wait_for_message(self) -> None:
        waiter: Waiter[None] = Waiter()
        self._reader = waiter
        try:
            waiter.get()
        finally:
            if self._reader is waiter:
                self._reader = None

    def _wake_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            gevent.get_hub().loop.run_callback(reader.switch, None)

    def _wake_writer(self) -> None:
        gevent.get_hub().loop.run_callback(self._writers.popleft().switch, None)
