"""Where an agent runs: its clock and its way to the bus. In tests both are others (`testing`)."""

import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple, Protocol

import redis

from ..protocol.permit import KEY
from .event_loop import Loop, ThreadLoop
from .publisher import STREAM, connect
from .state import FileStore, Store, state_file

POLL_S = 0.25
"""How soon one who waits for an answer sees that the agent shall end."""
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Clock(Protocol):
    """The times that the kit goes by."""

    def monotonic_s(self) -> float:
        """Seconds that never jump, for intervals."""

    def steady_s(self) -> float:
        """The same, the time that the machine slept included where the system has such a clock."""

    def unix_s(self) -> float:
        """The time of day."""


class Question(NamedTuple):
    """One question to the subscribers of a channel."""

    reply_to: str
    """The channel of the answer, used once."""
    send: Callable[[], int]
    """Publishes it; returns how many subscribers got it."""
    timeout_s: float
    """How long an answer may take."""
    stopping: threading.Event
    """Set when the agent shall end: waiting ends too."""


class Bus(Protocol):
    """One connection of an agent's for all that it sends and asks; may be shared by threads."""

    def send(self, channel: str, body: bytes, *, durable: bool) -> int:
        """Publish; returns how many subscribers got it. Raises as redis-py does."""

    def read_permit(self) -> tuple[bytes | None, int]:
        """The permit's key: its value and its PTTL in milliseconds. Raises as redis-py does."""

    def ask(self, question: Question) -> bytes | None:
        """Send a question and wait for its answer; ``None`` if there is none in time.

        Raises as redis-py does.
        """

    def close(self) -> None:
        """Close the connection."""


class MachineClock:
    """The machine's own."""

    def monotonic_s(self) -> float:
        """See `Clock`."""
        return time.monotonic()

    def steady_s(self) -> float:
        """See `Clock`."""
        return time.clock_gettime(_STEADY)

    def unix_s(self) -> float:
        """See `Clock`."""
        return time.time()


class RedisBus:
    """A Redis server. Opens nothing before it is used.

    Args:
        redis_url: where.
        timeout_s: how long it may take to answer.
        agent_id: whose connection it is, for ``CLIENT LIST``.

    Raises:
        BadOptions: the URL is refused.
    """

    def __init__(self, redis_url: str, timeout_s: float, agent_id: str = "unknown") -> None:
        self._client = connect(redis_url, timeout_s=timeout_s, name=f"agent:{agent_id}")
        self._timeout_s = timeout_s

    def send(self, channel: str, body: bytes, *, durable: bool) -> int:
        """See `Bus`. A durable message goes to stream and channel, both or neither."""
        if not durable:
            return int(self._client.publish(channel, body))
        with self._client.pipeline(transaction=True) as both:
            both.xadd(STREAM, {"channel": channel, "payload": body})
            both.publish(channel, body)
            _entry_id, receivers = both.execute()
        return int(receivers)

    def read_permit(self) -> tuple[bytes | None, int]:
        """See `Bus`. One round trip."""
        with self._client.pipeline(transaction=False) as both:
            both.get(KEY)
            both.pttl(KEY)
            value, pttl_ms = both.execute()
        return value, pttl_ms

    def ask(self, question: Question) -> bytes | None:
        """See `Bus`. On a connection of its own, subscribed before the question goes out."""
        with self._client.pubsub() as replies:  # type: ignore[no-untyped-call]
            replies.subscribe(question.reply_to)
            confirmed = replies.get_message(timeout=self._timeout_s)
            if confirmed is None:
                raise redis.TimeoutError("the subscription to the answer is not confirmed")
            if not question.send():
                return None
            deadline = time.monotonic() + question.timeout_s
            while not question.stopping.is_set():
                left_s = deadline - time.monotonic()
                message = replies.get_message(timeout=max(0.0, min(POLL_S, left_s)))
                if message is not None and message["type"] == "message":
                    return bytes(message["data"])
                if left_s <= 0:
                    return None
        return None

    def close(self) -> None:
        """See `Bus`."""
        self._client.close()


class Surroundings(NamedTuple):
    """What a new agent finds."""

    clock: Clock
    """For everything it times."""
    connect: Callable[[str, float, str], Bus]
    """From the URL, the limit for an answer in seconds, and the agent's id."""
    new_boot: Callable[[], str]
    """Tells one run of an agent from another."""
    on_failure: Callable[[Exception], object] = lambda _error: None
    """Called with what a handler raised, once it is counted and logged."""
    open_store: Callable[[str, str | Path | None], Store] = lambda agent_id, folder: FileStore(
        state_file(agent_id, folder, os.environ)
    )
    """Where an agent's state is: from its id and its ``state_dir``. Opens nothing yet."""
    new_loop: Callable[[], Loop] = ThreadLoop
    """For an `AsyncAgent`."""


REAL = Surroundings(MachineClock(), RedisBus, lambda: uuid.uuid4().hex)
_current: ContextVar[Surroundings] = ContextVar("surroundings", default=REAL)


def current() -> Surroundings:
    """Those in which an agent that is made now will run."""
    return _current.get()


@contextmanager
def within(surroundings: Surroundings) -> Iterator[None]:
    """Agents that are made in the block run in these."""
    token = _current.set(surroundings)
    try:
        yield
    finally:
        _current.reset(token)
