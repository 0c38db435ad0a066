"""How fast the kit's loops run: waits between attempts, and room for others."""

import random
import time
from collections.abc import Callable

FIRST_WAIT_S = 0.1
"""A server that only restarts is back after some tenths of a second."""
LONGEST_WAIT_S = 5.0
"""A heartbeat: an agent should be back within one."""
SLICE_S = 0.002
"""How long a loop may run without yielding (measured: 2 ms are not noticed)."""
PAUSE_S = 0.0001
"""Not 0: gevent looks at timers and sockets only after 50 greenlets that yielded by a sleep of 0
had their turn, so that two busy loops kept everybody else waiting for 100 ms (measured)."""


class Backoff:
    """Waits that double, each cut to a random half of itself or more.

    Pure: the jitter's source can be given. The wait is drawn between half and
    the whole of the step, so that many agents do not come back at one moment.
    """

    def __init__(
        self,
        first_s: float = FIRST_WAIT_S,
        longest_s: float = LONGEST_WAIT_S,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._jitter = jitter
        self._step_s = first_s

    def next_s(self) -> float:
        """Seconds to wait before the next attempt."""
        step_s, self._step_s = self._step_s, min(self._step_s * 2, self._longest_s)
        return step_s * (1 + self._jitter()) / 2

    def reset(self) -> None:
        """Start over: the last attempt succeeded."""
        self._step_s = self._first_s


class Breath:
    """Lets other threads or greenlets run when a loop has been busy for 2 ms.

    Under gevent a loop over messages that are there already never yields by itself.
    """

    def __init__(self) -> None:
        self._since = time.monotonic()

    def take(self) -> None:
        """Yield if the slice is used up."""
        if time.monotonic() - self._since >= SLICE_S:
            time.sleep(PAUSE_S)
            self.rested()

    def rested(self) -> None:
        """Note that the loop has just waited: a new slice begins."""
        self._since = time.monotonic()


class Throttle:
    """Holds back log lines that say the same again. Pure: the caller brings the clock.

    Keys are handlers and reasons, which an agent has few of.
    """

    def __init__(self, period_s: float = 10.0) -> None:
        self._period_s = period_s
        self._last: dict[str, float] = {}
        self._held: dict[str, int] = {}

    def admit(self, key: str, now: float) -> int | None:
        """``None``: hold it back. Otherwise how many were held back since the last."""
        if now - self._last.get(key, -self._period_s) < self._period_s:
            self._held[key] = self._held.get(key, 0) + 1
            return None
        self._last[key] = now
        return self._held.pop(key, 0)
