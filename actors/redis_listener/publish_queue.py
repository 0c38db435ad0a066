"""What is to be published on the bus: the messages, and the queue in which it waits for Redis.

Pure. The queue outlives the listener's incarnations, so that a stop which could not be published
at once is published as soon as Redis is back, whatever happened to the actor meanwhile.
"""

from collections import deque
from typing import Final

from ..events import KILLSWITCH
from ..messages.redis_listener import Publish

MAX_WAITING: Final = 1_000
"""Ordinary messages kept while Redis is away: a second's worth of what it is asked for."""

MAX_STOPS_WAITING: Final = 10_000
"""Stops kept: nobody gives so many in earnest, yet memory must have a bound."""


class PublishQueue:
    """First the stops, then the others, each in order of arrival.

    The head stays until it is settled, so that a failure of whoever sends it loses nothing.
    """

    def __init__(self, capacity: int = MAX_WAITING, stop_capacity: int = MAX_STOPS_WAITING) -> None:
        self._stops: deque[Publish] = deque()
        self._others: deque[Publish] = deque()
        self._capacity = capacity
        self._stop_capacity = stop_capacity
        self._in_hand: Publish | None = None
        self.dropped = 0
        """Messages given up for want of room."""

    def __len__(self) -> int:
        return len(self._stops) + len(self._others) + (self._in_hand is not None)

    def add(self, publish: Publish) -> Publish | None:
        """Append ``publish``; return the oldest of its kind if that had to make room."""
        urgent = publish.channel == KILLSWITCH
        lane = self._stops if urgent else self._others
        victim = None
        if len(lane) >= (self._stop_capacity if urgent else self._capacity):
            victim = lane.popleft()
            self.dropped += 1
        lane.append(publish)
        return victim

    def take(self) -> Publish | None:
        """The message to send next, which then counts as in hand; ``None`` if there is none."""
        if self._in_hand is None:
            if self._stops:
                self._in_hand = self._stops.popleft()
            elif self._others:
                self._in_hand = self._others.popleft()
        return self._in_hand

    def settle(self) -> None:
        """The message in hand is done with."""
        self._in_hand = None

    def put_back(self) -> None:
        """The message in hand was not sent: it is the first of its kind again."""
        if (publish := self._in_hand) is not None:
            lane = self._stops if publish.channel == KILLSWITCH else self._others
            lane.appendleft(publish)
            self._in_hand = None

    def interrupted(self) -> Publish | None:
        """Settle the fate of what a killed sender left in hand; return it if it is given up.

        Nobody knows whether it was sent. A stop is sent again (its trip id makes it the same
        stop); another message is not: on a bus, twice is worse than once too few.
        """
        publish = self._in_hand
        if publish is None or publish.channel == KILLSWITCH:
            self.put_back()
            return None
        self._in_hand = None
        return publish
