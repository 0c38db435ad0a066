"""Connecting to Redis: one attempt at a time, and never two failed ones within a second."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import gevent
import redis
from gevent.lock import BoundedSemaphore
from redis.backoff import NoBackoff
from redis.retry import Retry

from ...protocol.bus_url import read_bus_url

MIN_INTERVAL_S: Final = 1.0
"""Between an attempt that failed and the next one."""

OWN_INTERVAL_S: Final = 0.8
"""Between two attempts of one connection: a second cut in a row is still reported, as each is,
within a second."""

MAX_INTERVAL_S: Final = 4.0
"""A server that returns is found within 5 s, the attempt itself included."""


class AttemptSchedule:
    """How long to wait before the next attempt; shared by all connections. Pure.

    They lead to one server: when one cannot reach it, the others cannot either, and when one can,
    the others need not wait.
    """

    def __init__(self, jitter: Callable[[], float] = random.random) -> None:
        self._jitter = jitter
        self._failures = 0
        self._not_before = 0.0
        self._last: dict[str, float] = {}

    def wait_s(self, name: str, now: float) -> float:
        """Seconds that the connection ``name`` still has to wait at ``now`` (monotonic seconds)."""
        own = self._last.get(name, now - OWN_INTERVAL_S) + OWN_INTERVAL_S
        return max(0.0, self._not_before - now, own - now)

    def attempt(self, name: str, now: float) -> None:
        """``name`` connects at ``now``."""
        self._last[name] = now

    def succeeded(self) -> None:
        """The server answers: no connection has to wait."""
        self._failures = 0
        self._not_before = 0.0

    def failed(self, now: float) -> None:
        """It does not; jitter keeps many daemons from returning in step."""
        self._failures += 1
        longest = min(MAX_INTERVAL_S, MIN_INTERVAL_S + self._failures)
        self._not_before = now + MIN_INTERVAL_S + self._jitter() * (longest - MIN_INTERVAL_S)


UNLIMITED: Final = 2**31
"""A pool counts what it has ever made, also what is long closed: 100 attempts by default, and
reconnecting would stop for good after them."""


CLIENT_NAME: Final = "orchestrator-daemon"
"""What the daemon's connections are called."""


def connection_pool(url: str, timeout_s: float) -> redis.ConnectionPool:
    """Make connections to ``url``, with ``timeout_s`` for each step of connecting.

    Raises:
        BadBusUrl: The URL is refused; the text repeats no secret.
    """
    client = redis.Redis(
        **read_bus_url(url).client_options(),
        protocol=2,  # in version 3 messages would come as pushes, which nothing here needs
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        socket_keepalive=True,
        max_connections=UNLIMITED,
    )
    return client.connection_pool


class Dialer:
    """Connects, one connection at a time, when the schedule allows it.

    Args:
        pool: Makes the connections.
        schedule: When they may be tried.
    """

    def __init__(self, pool: redis.ConnectionPool, schedule: AttemptSchedule | None = None) -> None:
        self._pool = pool
        self._schedule = schedule or AttemptSchedule()
        self._lock = BoundedSemaphore(1)
        self.attempts = 0
        """Attempts of all connections together."""

    @contextmanager
    def connect(self, name: str) -> Iterator[Any]:
        """Wait until ``name`` may connect, and yield a connection of redis-py, logged in.

        An exception that leaves the block is a failed attempt, and closes the connection.
        """
        with self._lock:
            while (wait_s := self._schedule.wait_s(name, time.monotonic())) > 0:
                gevent.sleep(wait_s)
            self.attempts += 1
            self._schedule.attempt(name, time.monotonic())
            connection: Any = self._pool.make_connection()
            try:
                dial(connection)
                yield connection
            except BaseException as error:
                if isinstance(error, Exception):
                    self._schedule.failed(time.monotonic())
                connection.disconnect()
                raise
            self._schedule.succeeded()


def dial(connection: Any) -> None:
    """Connect redis-py's ``connection``, log-in included; within its own limits.

    A kill of the caller would leave redis-py's half-open socket to the garbage collector: so the
    attempt runs in a greenlet of its own, ends by itself, and is closed then.
    """
    attempt = gevent.spawn(_attempt, connection)
    try:
        error = attempt.get()
    except BaseException:
        attempt.rawlink(lambda _attempt: connection.disconnect())
        raise
    if error is not None:
        raise error


def _name(connection: Any) -> None:
    """Tell whose it is, for ``CLIENT LIST``; an account that may not is served all the same."""
    with suppress(redis.ResponseError):
        connection.send_command("CLIENT", "SETNAME", CLIENT_NAME, check_health=False)
        connection.read_response()


def _attempt(connection: Any) -> Exception | None:
    try:
        connection.connect()
        if connection.client_name is None:  # else the URL said one
            _name(connection)
    except Exception as error:  # noqa: BLE001 raised in the caller instead
        return error
    return None
