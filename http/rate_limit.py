"""So many calls of each in any span of time. Pure: told ``now``, by a clock that never jumps.

By the wall clock a clock that is set back an hour would shut everybody out for an hour (which is
what the library ``limits`` does; ADR 0007).
"""

import math
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Final

MAX_KEYS: Final = 50_000
"""Who has more addresses than that is not held up by counting them; it must not cost memory."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How somebody stands after a call."""

    allowed: bool
    """False if it was one too many; it is not counted then."""
    remaining: int
    """Calls that are left at this moment."""
    reset_s: int
    """Seconds (rounded up, at least 1) until the oldest call counts no more."""


class MovingWindow:
    """Counts calls by key (an address).

    Args:
        amount: Calls within any window.
        window_s: Its length.
        max_keys: Above it whoever has not called for longest is forgotten.
    """

    def __init__(self, amount: int, window_s: float, *, max_keys: int = MAX_KEYS) -> None:
        self.amount = amount
        self.window_s = window_s
        self._max_keys = max_keys
        self._calls: OrderedDict[str, deque[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._calls)

    def hit(self, key: str, *, now: float) -> Standing:
        """Count a call at ``now`` (monotonic seconds), if there is one left."""
        self._forget(now)
        calls = self._calls.setdefault(key, deque())
        while calls and now - calls[0] >= self.window_s:
            calls.popleft()
        allowed = len(calls) < self.amount
        if allowed:
            calls.append(now)
            self._calls.move_to_end(key)
        reset_s = max(1, math.ceil(calls[0] + self.window_s - now))
        return Standing(allowed, self.amount - len(calls), reset_s)

    def _forget(self, now: float) -> None:
        """Those whose last counted call is out of the window; they stand in order of it."""
        while self._calls:
            key, calls = next(iter(self._calls.items()))
            is_over = now - calls[-1] >= self.window_s
            if not is_over and len(self._calls) <= self._max_keys:
                return
            del self._calls[key]
