"""OTP's rules as pure functions: who is restarted, who with it, and when a supervisor is done.

The words are Erlang/OTP's (``supervisor``'s flags and child specifications), unchanged.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import assert_never


class Restart(StrEnum):
    """Which ends of a child are followed by a restart."""

    PERMANENT = "permanent"
    """Every end."""
    TRANSIENT = "transient"
    """Failures only."""
    TEMPORARY = "temporary"
    """None."""


class Strategy(StrEnum):
    """Who is restarted with a failed child."""

    ONE_FOR_ONE = "one_for_one"
    """No other child."""
    ONE_FOR_ALL = "one_for_all"
    """All its siblings."""
    REST_FOR_ONE = "rest_for_one"
    """Those started after it."""


class Shutdown(StrEnum):
    """How a child is stopped, if not within a number of seconds."""

    BRUTAL_KILL = "brutal_kill"
    """It is killed at once."""
    INFINITY = "infinity"
    """No limit: for supervisors, whose children have limits."""


class AutoShutdown(StrEnum):
    """When a supervisor ends because ``significant`` children have ended by themselves."""

    NEVER = "never"
    """Never; no child may be significant."""
    ANY_SIGNIFICANT = "any_significant"
    """When the first of them has."""
    ALL_SIGNIFICANT = "all_significant"
    """When the last of them has."""


def is_restarted(restart: Restart, *, failed: bool) -> bool:
    """Whether a child that ended by itself is started again."""
    match restart:
        case Restart.PERMANENT:
            return True
        case Restart.TRANSIENT:
            return failed
        case Restart.TEMPORARY:
            return False
        case _:
            assert_never(restart)


def group(strategy: Strategy, count: int, failed: int) -> range:
    """The places of the children that are stopped and started when the one at ``failed`` fails."""
    match strategy:
        case Strategy.ONE_FOR_ONE:
            return range(failed, failed + 1)
        case Strategy.ONE_FOR_ALL:
            return range(count)
        case Strategy.REST_FOR_ONE:
            return range(failed, count)
        case _:
            assert_never(strategy)


def shuts_down(auto: AutoShutdown, others_alive: Iterable[bool]) -> bool:
    """Whether a supervisor ends after a significant child has ended and is not restarted.

    Args:
        auto: The supervisor's flag.
        others_alive: For each other significant child whether it lives or will again.
    """
    match auto:
        case AutoShutdown.NEVER:
            return False
        case AutoShutdown.ANY_SIGNIFICANT:
            return True
        case AutoShutdown.ALL_SIGNIFICANT:
            return not any(others_alive)
        case _:
            assert_never(auto)


# Restarts within one second count as simultaneous; each that is already there adds up to 10 ms.
JITTER_WINDOW_S = 1.0
JITTER_STEP_S = 0.01


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
    """A child that ran this long starts counting from zero."""
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


class FailureStreak:
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


class Jitter:
    """Spreads immediate restarts that come together, so that many children do not go in step.

    The first goes at once; the n-th within a second goes at random within n times 10 ms.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._times: deque[float] = deque()

    def delay(self, now: float) -> float:
        """The delay of an immediate restart at ``now`` (monotonic seconds)."""
        while self._times and self._times[0] <= now - JITTER_WINDOW_S:
            self._times.popleft()
        there = len(self._times)
        self._times.append(now)
        return self._random.uniform(0.0, there * JITTER_STEP_S) if there else 0.0
