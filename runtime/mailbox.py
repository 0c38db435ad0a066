"""The mailbox: bounded, with two priorities, and owned by an address, not by an actor.

Two lanes, each in order of arrival. The urgent one is read first; what the runtime itself sends
(stop, ping, timers, the end of a linked greenlet) goes there and is never refused. All
methods belong to the loop's thread.
"""

import time
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import gevent
from gevent.hub import Waiter

from ._envelope import Envelope  # pykka's inbox protocol is made of these
from .errors import MailboxClosed, MailboxFull

DEFAULT_CAPACITY = 1000

# gevent's waiter is not subscriptable when it runs.
Writers = deque["Waiter[None]"]


class FullPolicy(StrEnum):
    """What happens to a message for which there is no room."""

    BLOCK = "block"
    """The sender blocks: back-pressure, for mailboxes along the flow."""
    REFUSE = "refuse"
    """The sender gets ``MailboxFull``."""
    DROP_OLDEST = "drop_oldest"
    """The oldest message of that priority is dropped, counted, and passed to ``on_drop``."""


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
        self.owner = "unowned"
        self.capacity = capacity
        self.on_full = on_full
        self.dropped = 0
        """Messages that ``DROP_OLDEST`` gave up."""
        self.closed = False
        """Whether it has no reader any more; blocked senders then get ``MailboxClosed``."""
        self._on_drop = on_drop
        self._urgent: deque[Envelope[Any]] = deque()
        self._normal: deque[Envelope[Any]] = deque()
        self._reader: Waiter[None] | None = None
        # Each lane's own: a writer woken for room in the other lane would lose its wake.
        self._urgent_writers: Writers = deque()
        self._normal_writers: Writers = deque()

    def __len__(self) -> int:
        return len(self._urgent) + len(self._normal)

    @property
    def depth(self) -> int:
        """Pending messages of both priorities."""
        return len(self)

    def empty(self) -> bool:
        """Whether no message is pending (part of pykka's inbox protocol)."""
        return not self._urgent and not self._normal

    def put(
        self, envelope: Envelope[Any], *, urgent: bool = False, timeout_s: float | None = None
    ) -> None:
        """Append ``envelope``; what happens when there is no room is the mailbox's policy.

        Raises:
            MailboxFull: Under ``REFUSE``, or when ``timeout_s`` passed under ``BLOCK``.
            MailboxClosed: It was closed while this waited for room.
        """
        lane = self._urgent if urgent else self._normal
        if len(lane) >= self.capacity:
            self._make_room(lane, timeout_s)
        lane.append(envelope)
        if self._reader is not None:
            self._wake_reader()

    def offer(self, envelope: Envelope[Any], *, urgent: bool = False) -> bool:
        """Append ``envelope`` if that needs no waiting and no refusal; returns whether it did."""
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
        while (envelope := self.poll()) is None:
            self.wait()
        return envelope

    def poll(self) -> Envelope[Any] | None:
        """Take the next envelope if there is one."""
        if self._urgent:
            return self._take(self._urgent, self._urgent_writers)
        if self._normal:
            envelope = self._normal.popleft()
            if self._normal_writers:
                self._wake_writer(self._normal_writers)
            return envelope
        return None

    def wait(self) -> None:
        """Wait until there is something; one reader at a time."""
        if not self.empty():
            return
        waiter: Waiter[None] = Waiter()
        self._reader = waiter
        try:
            waiter.get()
        finally:
            if self._reader is waiter:
                self._reader = None

    def take_matching(self, cls: type, limit: int) -> list[Envelope[Any]]:
        """Take up to ``limit`` messages of ``cls``, not asks, from the head of the normal lane."""
        taken: list[Envelope[Any]] = []
        while self._normal and len(taken) < limit:
            head = self._normal[0]
            if head.reply_to is not None or not isinstance(head.message, cls):
                break
            taken.append(self._take(self._normal, self._normal_writers))
        return taken

    def forget(self, kinds: tuple[type, ...]) -> None:
        """Remove urgent messages of ``kinds``: those to a run that is no more."""
        kept = [one for one in self._urgent if not isinstance(one.message, kinds)]
        self._urgent.clear()
        self._urgent.extend(kept)

    def close(self) -> list[Envelope[Any]]:
        """Close it, waking blocked senders. Returns the pending envelopes."""
        self.closed = True
        return self.take_all()

    def take_all(self) -> list[Envelope[Any]]:
        """Take all envelopes, making room for blocked senders."""
        taken = [*self._urgent, *self._normal]
        self._urgent.clear()
        self._normal.clear()
        for writers in (self._urgent_writers, self._normal_writers):
            while writers:
                self._wake_writer(writers)
        return taken

    def _take(self, lane: deque[Envelope[Any]], writers: Writers) -> Envelope[Any]:
        envelope = lane.popleft()
        if writers:
            self._wake_writer(writers)
        return envelope

    def _make_room(self, lane: deque[Envelope[Any]], timeout_s: float | None) -> None:
        if self.on_full is FullPolicy.REFUSE:
            raise MailboxFull(self.owner, self.capacity)
        if self.on_full is FullPolicy.DROP_OLDEST:
            self._drop(lane.popleft())
            return
        writers = self._urgent_writers if lane is self._urgent else self._normal_writers
        self._wait_for_room(lane, writers, timeout_s)

    def _drop(self, victim: Envelope[Any]) -> None:
        self.dropped += 1
        if victim.reply_to is not None:
            full = MailboxFull(self.owner, self.capacity)
            victim.reply_to.set_exception((MailboxFull, full, None))
        if self._on_drop is not None:
            self._on_drop(victim.message)

    def _wait_for_room(
        self, lane: deque[Envelope[Any]], writers: Writers, timeout_s: float | None
    ) -> None:
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while len(lane) >= self.capacity and not self.closed:
            left_s = None if until is None else until - time.monotonic()
            if left_s is not None and left_s <= 0:
                raise MailboxFull(self.owner, self.capacity)
            self._wait_in(writers, left_s)
        if self.closed:
            raise MailboxClosed(self.owner)

    def _wait_in(self, writers: Writers, limit_s: float | None) -> None:
        """Wait for room; returns when woken, or after ``limit_s``."""
        waiter: Waiter[None] = Waiter()
        writers.append(waiter)
        timer = None
        if limit_s is not None:
            timer = gevent.get_hub().loop.timer(limit_s)
            timer.start(waiter.switch, None, update=True)
        try:
            waiter.get()
        except BaseException:
            # Killed after it was woken and before it ran: the room it was woken for is another's.
            if waiter not in writers and writers:
                self._wake_writer(writers)
            raise
        finally:
            if waiter in writers:
                writers.remove(waiter)
            if timer is not None:
                timer.stop()
                timer.close()

    def _wake_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            gevent.get_hub().loop.run_callback(reader.switch, None)

    @staticmethod
    def _wake_writer(writers: Writers) -> None:
        gevent.get_hub().loop.run_callback(writers.popleft().switch, None)
