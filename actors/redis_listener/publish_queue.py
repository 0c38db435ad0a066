"""Messages to be published, while Redis is away or slow. Pure.

The queue outlives the actor's runs: a stop that could not be published at once is published as soon
as Redis is back, whatever happened to the actor meanwhile.
"""

from collections import deque
from typing import Final

from ..events import KILLSWITCH
from ..messages.redis_listener import Publish

MAX_PENDING: Final = 1_000
"""Ordinary messages kept while Redis is away: what is published in a second at most."""

MAX_PENDING_STOPS: Final = 10_000
"""Stops kept: far more than anyone gives in earnest, yet memory must have a bound."""


class PublishQueue:
    """Stops first, then the others, each in order of arrival.

    The message that is being sent stays until it is settled, so its crash loses nothing.
    """

    def __init__(self, capacity: int = MAX_PENDING, stop_capacity: int = MAX_PENDING_STOPS) -> None:
        self._stops: deque[Publish] = deque()
        self._others: deque[Publish] = deque()
        self._capacity = capacity
        self._stop_capacity = stop_capacity
        self._current: Publish | None = None

    def __len__(self) -> int:
        return len(self._stops) + len(self._others) + (self._current is not None)

    def add(self, publish: Publish) -> Publish | None:
        """Append ``publish``; return the oldest of its kind if that was dropped for it."""
        urgent = publish.channel == KILLSWITCH
        queue = self._stops if urgent else self._others
        dropped = None
        if len(queue) >= (self._stop_capacity if urgent else self._capacity):
            dropped = queue.popleft()
        queue.append(publish)
        return dropped

    def take(self) -> Publish | None:
        """The message to send now, which is then the current one; ``None`` if there is none."""
        if self._current is None:
            if self._stops:
                self._current = self._stops.popleft()
            elif self._others:
                self._current = self._others.popleft()
        return self._current

    def settle(self) -> None:
        """The current message is published, or dropped."""
        self._current = None

    def put_back(self) -> None:
        """The current message was not sent: it becomes the first of its kind again."""
        if (publish := self._current) is not None:
            queue = self._stops if publish.channel == KILLSWITCH else self._others
            queue.appendleft(publish)
            self._current = None

    def interrupted(self) -> Publish | None:
        """Decide on the message that was being sent when the sender died; return it if dropped.

        It is unknown whether Redis got it. A stop is sent again (its trip id makes it the same
        stop); another message is not: on a bus, twice is worse than never.
        """
        publish = self._current
        if publish is None or publish.channel == KILLSWITCH:
            self.put_back()
            return None
        self._current = None
        return publish
