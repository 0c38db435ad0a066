"""Rate limits over a moving window, by a monotonic clock.

By the wall clock, setting it back an hour would lock all callers out for an hour (which is what the
library ``limits`` does; ADR 0007).
"""

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

import msgspec

from .errors import Headers, TooManyRequests
from .settings import HttpSettings

MAX_KEYS: Final = 50_000
"""A caller with more addresses is not stopped by counting them; it must not cost memory."""


class Standing(msgspec.Struct, frozen=True):
    """The state of one key after a call."""

    allowed: bool
    """False if it was one too many; it is not counted then."""
    remaining: int
    """Calls left."""
    reset_s: int
    """Seconds (rounded up, at least 1) until the oldest call leaves the window."""


class MovingWindow:
    """Counts calls by key (an address). Pure: takes ``now``.

    Args:
        amount: Calls within any window.
        window_s: Its length.
        max_keys: Above it the least recent callers are forgotten.
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


class RateLimit:
    """Limits the calls of each client address.

    Args:
        settings: Section ``[http]``.
        clock: Monotonic seconds.
    """

    def __init__(self, settings: HttpSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._window = MovingWindow(settings.rate_limit_max, settings.rate_limit_window_ms / 1_000)
        self._clock = clock

    def hit(self, address: str) -> Headers:
        """Count a call of ``address``; returns the ``RateLimit-…`` headers.

        Raises:
            TooManyRequests: It was one too many.
        """
        window = self._window
        standing = window.hit(address, now=self._clock())
        headers = (
            ("RateLimit-Limit", str(window.amount)),
            ("RateLimit-Remaining", str(standing.remaining)),
            ("RateLimit-Reset", str(standing.reset_s)),
        )
        if not standing.allowed:
            raise TooManyRequests(
                f"Wait {standing.reset_s} s; {window.amount} calls are allowed in "
                f"{window.window_s:g} s. The WebSocket needs no polling.",
                headers=(*headers, ("Retry-After", str(standing.reset_s))),
            )
        return headers
