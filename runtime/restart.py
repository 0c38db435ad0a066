"""When a failed child is started again, and when its supervisor gives up: pure decisions.

Erlang/OTP's rule (``supervisor:add_restart``): more than ``intensity`` restarts within ``period_s``
and the supervisor fails. Beyond OTP: restarts back off, and ``intensity`` also counts a child's
consecutive failures without a healthy spell, so that slow starters cannot outrun the window.
"""

from collections import deque
from dataclasses import dataclass
from random import Random

from .policy import Restart, Strategy

__all__ = ["Backoff", "Crowd", "Restart", "RestartLimits", "RestartWindow", "Strategy"]

# Restarts within one second are a crowd; each that is already there adds up to 10 ms.
CROWD_S = 1.0
CROWD_SPREAD_S = 0.01


@dataclass(frozen=True, slots=True)
class RestartLimits:
    """How often and how fast children are restarted."""

    intensity: int = 10
    """Restarts within ``period_s``, and consecutive failures of one child, that are accepted."""
    period_s: float = 60.0
    """The window of ``intensity``."""
    backoff_initial_s: float = 0.1
    """The delay of the second restart in a row; the first is immediate."""
    backoff_max_s: float = 30.0
    """Where the doubling ends."""
    healthy_s: float = 60.0
    """A child that ran this long starts counting from nought."""
    jitter: float = 0.2
    """Each delay varies by this share, so that many children do not restart in step."""


class RestartWindow:
    """The restarts of the last ``period_s``."""

    def __init__(self, limits: RestartLimits) -> None:
        self._limits = limits
        self._times: deque[float] = deque()

    def add(self, now: float) -> bool:
        """Count a restart at ``now`` (monotonic seconds); say whether it is still accepted."""
        self._times.append(now)
        while self._times[0] < now - self._limits.period_s:
            self._times.popleft()
        return len(self._times) <= self._limits.intensity


class Backoff:
    """The consecutive failures of one child, and the delay that follows from them."""

    def __init__(self, limits: RestartLimits, random: Random) -> None:
        self._limits = limits
        self._random = random
        self.failures = 0
        """Consecutive failures without a healthy spell."""

    def fail(self, ran_s: float) -> float:
        """Note a failure after ``ran_s`` seconds; return the delay before the restart."""
        if ran_s >= self._limits.healthy_s:
            self.failures = 0
        self.failures += 1
        if self.failures == 1:
            return 0.0
        delay = self._limits.backoff_initial_s * 2.0 ** min(self.failures - 2, 60)
        spread = 1.0 + self._limits.jitter * self._random.uniform(-1.0, 1.0)
        return min(delay, self._limits.backoff_max_s) * spread

    @property
    def exhausted(self) -> bool:
        """Whether the child failed more often in a row than ``intensity``."""
        return self.failures > self._limits.intensity


class Crowd:
    """Spreads immediate restarts that come together, so that many children do not go in step.

    The first goes at once; the n-th within a second goes at random within n times 10 ms.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._times: deque[float] = deque()

    def delay(self, now: float) -> float:
        """The delay of an immediate restart at ``now`` (monotonic seconds)."""
        while self._times and self._times[0] <= now - CROWD_S:
            self._times.popleft()
        there = len(self._times)
        self._times.append(now)
        return self._random.uniform(0.0, there * CROWD_SPREAD_S) if there else 0.0
