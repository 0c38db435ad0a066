"""Between the subscription's reader and the handlers: a bounded queue.

When it is full the oldest market data goes first (the next price makes up for
it), then the oldest of anything else; each is counted, and the heartbeat says how
many. Urgent work (the killswitch) overtakes all and is bounded apart.
"""

import threading
import time
from collections import deque
from collections.abc import Callable

import msgspec

MARKET_DATA = "data.market."
"""Channels below this may lose their oldest messages."""
URGENT_CAPACITY = 1000
"""Stops are rare; a flood of them loses the oldest, which the newest supersede."""


class Work(msgspec.Struct, frozen=True):
    """One thing to do in the handlers' thread."""

    channel: str
    """Where it came from; empty for what the kit itself has to say."""
    run: Callable[[], object]
    """Does it."""


class WorkQueue:
    """Many may put, one takes. Putting never waits.

    Order: foremost, urgent, otherwise as put.

    Args:
        capacity: of the normal lane, in messages.
        on_drop: called with the work dropped, in the putter's thread.
    """

    def __init__(self, capacity: int, on_drop: Callable[[Work], object]) -> None:
        self._capacity = capacity
        self._on_drop = on_drop
        self._foremost: deque[Work] = deque()
        self._urgent: deque[Work] = deque()
        self._market: deque[tuple[int, Work]] = deque()
        self._other: deque[tuple[int, Work]] = deque()
        self._serial = 0
        self._closed = False
        self._changed = threading.Condition()
        self.dropped = 0
        """Messages lost here since the start."""

    def __len__(self) -> int:
        """How many wait."""
        return len(self._foremost) + len(self._urgent) + len(self._market) + len(self._other)

    def put(self, work: Work) -> None:
        """Add at the end; drop the oldest if there is no room."""
        lane = self._market if work.channel.startswith(MARKET_DATA) else self._other
        with self._changed:
            full = len(self._market) + len(self._other) >= self._capacity
            lost = (self._market or self._other).popleft()[1] if full else None
            self._serial += 1
            lane.append((self._serial, work))
            self._changed.notify()
        self._count(lost)

    def put_urgent(self, work: Work) -> None:
        """Add in front of everything that is not urgent."""
        with self._changed:
            lost = self._urgent.popleft() if len(self._urgent) >= URGENT_CAPACITY else None
            self._urgent.append(work)
            self._changed.notify()
        self._count(lost)

    def put_foremost(self, work: Work) -> None:
        """Add in front of all but its own kind; never dropped, so for what comes seldom."""
        with self._changed:
            self._foremost.append(work)
            self._changed.notify()

    def get(self, timeout_s: float) -> Work | None:
        """The next work; ``None`` after ``timeout_s``, or at once when closed."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not len(self) and not self._closed:
                left_s = deadline - time.monotonic()
                if left_s <= 0 or not self._changed.wait(left_s):
                    break
            return None if self._closed else self._take()

    def close(self) -> None:
        """Give nothing out any more; waiting callers return."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _take(self) -> Work | None:
        for first in (self._foremost, self._urgent):
            if first:
                return first.popleft()
        lanes = [lane for lane in (self._market, self._other) if lane]
        return min(lanes, key=lambda lane: lane[0][0]).popleft()[1] if lanes else None

    def _count(self, lost: Work | None) -> None:
        if lost is not None:
            self.dropped += 1
            self._on_drop(lost)
