"""When Redis may be dialled again: one attempt at a time, and never two a second in vain."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import gevent
from gevent.lock import BoundedSemaphore

MIN_INTERVAL_S: Final = 1.0
"""Between an attempt that failed and the next one."""

OWN_INTERVAL_S: Final = 0.8
"""Between two attempts of one connection: a cut right behind its first is still said, as each is,
within a second."""

MAX_INTERVAL_S: Final = 4.0
"""A server that returns is found within 5 s, the attempt itself included."""


class Pace:
    """How long to wait before the next attempt; all connections share it. Pure.

    They lead to one server: when one cannot reach it, another one's try is no news, and when
    one can, the others need not wait.
    """

    def __init__(self, jitter: Callable[[], float] = random.random) -> None:
        self._jitter = jitter
        self._failures = 0
        self._not_before = 0.0
        self._last: dict[str, float] = {}

    def wait_s(self, who: str, now: float) -> float:
        """Seconds that ``who`` still has to wait at ``now`` (monotonic seconds)."""
        own = self._last.get(who, now - OWN_INTERVAL_S) + OWN_INTERVAL_S
        return max(0.0, self._not_before - now, own - now)

    def attempt(self, who: str, now: float) -> None:
        """``who`` dials at ``now``."""
        self._last[who] = now

    def succeeded(self) -> None:
        """The server is there."""
        self._failures = 0
        self._not_before = 0.0

    def failed(self, now: float) -> None:
        """It was not; the waits are spread so that many daemons do not return in step."""
        self._failures += 1
        longest = min(MAX_INTERVAL_S, MIN_INTERVAL_S + self._failures)
        self._not_before = now + MIN_INTERVAL_S + self._jitter() * (longest - MIN_INTERVAL_S)


class Dialer:
    """Makes attempts wait for their turn and their time."""

    def __init__(self, pace: Pace | None = None) -> None:
        self._pace = pace or Pace()
        self._line = BoundedSemaphore(1)
        self.attempts = 0
        """Attempts of all connections together."""

    @contextmanager
    def turn(self, who: str) -> Iterator[None]:
        """Wait for the turn of ``who``; an exception that leaves the block is a failed attempt."""
        with self._line:
            while (wait_s := self._pace.wait_s(who, time.monotonic())) > 0:
                gevent.sleep(wait_s)
            self.attempts += 1
            self._pace.attempt(who, time.monotonic())
            try:
                yield
            except Exception:
                self._pace.failed(time.monotonic())
                raise
            self._pace.succeeded()


def dial(connection: Any) -> None:
    """Connect redis-py's ``connection``, log-in included; within its own limits.

    A kill of the caller would leave redis-py's half-open socket to the garbage collector: so
    the attempt has a greenlet of its own, which ends by itself, and then it is closed.
    """
    attempt = gevent.spawn(_attempt, connection)
    try:
        error = attempt.get()
    except BaseException:
        attempt.rawlink(lambda _attempt: connection.disconnect())
        raise
    if error is not None:
        raise error


def _attempt(connection: Any) -> Exception | None:
    try:
        connection.connect()
    except Exception as error:  # noqa: BLE001 raised in the caller instead
        return error
    return None
