"""Reads an agent's subscription until it stops, however often Redis goes away."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import redis
from redis.client import PubSub

from .pace import Backoff, Breath
from .publisher import connect
from .routing import redis_glob

POLL_S = 0.25
"""How soon the reader sees that it shall stop."""
PING_AFTER_S = 5.0
"""A line that has been silent for so long is asked whether it lives …"""
DEAD_AFTER_S = 10.0
"""… and given up when it has not answered by then (a broken network says nothing)."""


class Received(msgspec.Struct, frozen=True):
    """One message off the socket."""

    pattern: str | None
    """The pattern it came for; ``None`` for a channel subscribed to by name."""
    channel: str
    """Where it was published."""
    data: bytes
    """As published."""
    received_s: float = 0.0
    """When it was read, in Unix seconds."""


class Subscriber:
    """The subscription of one agent.

    Args:
        redis_url: where.
        channels: subscribed to by name.
        patterns: subscribed to by pattern (the contract's, not Redis').
        on_message: called with each message, in order. Must not block.
        on_connected: called when all is subscribed, with the seconds that it was not
            (0 for the first time).
        log: the agent's.
        name: what its connection is called in ``CLIENT LIST``.
    """

    def __init__(  # noqa: PLR0913 - wiring
        self,
        redis_url: str,
        *,
        channels: Sequence[str],
        patterns: Sequence[str],
        on_message: Callable[[Received], object],
        on_connected: Callable[[float], object],
        log: logging.Logger,
        name: str = "orchestrator-agent",
    ) -> None:
        self._client = connect(redis_url, name=name)
        self._channels = channels
        self._patterns = {redis_glob(pattern).encode(): pattern for pattern in patterns}
        self._on_message = on_message
        self._on_connected = on_connected
        self._log = log
        self._stopping = threading.Event()
        self._backoff = Backoff()
        self._lost_at: float | None = None
        self.connected = threading.Event()
        """Set while the subscription stands."""

    def run(self) -> None:
        """Read until `stop`. Blocks; reconnects with backoff and jitter."""
        while not self._stopping.is_set():
            try:
                self._read()
            except (redis.RedisError, OSError) as error:
                self._lost(error)
                self._stopping.wait(self._backoff.next_s())
            finally:
                self.connected.clear()

    def stop(self) -> None:
        """End `run` within `POLL_S`, or within a connection attempt's limit."""
        self._stopping.set()

    def close(self) -> None:
        """Close the connection, once `run` has ended."""
        self._client.close()

    def _lost(self, error: BaseException) -> None:
        if self._lost_at is None or self.connected.is_set():
            self._lost_at = self._lost_at or time.monotonic()
            self._log.warning("the bus is away, trying to reconnect: %s", error)

    def _read(self) -> None:
        with self._client.pubsub() as pubsub:  # type: ignore[no-untyped-call]
            line = _Line(pubsub)
            line.subscribe(self._channels, list(self._patterns))
            missing = len(self._channels) + len(self._patterns)
            while not self._stopping.is_set():
                message = line.next()
                if message is None:
                    continue
                if message["type"] in ("message", "pmessage"):
                    self._pass_on(message)
                elif message["type"] in ("subscribe", "psubscribe"):
                    missing -= 1
                    if missing == 0:
                        self._is_up()

    def _pass_on(self, message: dict[str, Any]) -> None:
        glob = message["pattern"]
        channel = message["channel"].decode(errors="replace")
        pattern = None if glob is None else self._patterns[glob]
        self._on_message(Received(pattern, channel, message["data"], time.time()))

    def _is_up(self) -> None:
        away_s = 0.0 if self._lost_at is None else time.monotonic() - self._lost_at
        if self._lost_at is not None:
            self._log.warning("the bus is back after %.1f s", away_s)
        self._lost_at = None
        self._backoff.reset()
        self.connected.set()
        self._on_connected(away_s)


class _Line:
    """One connection, watched for signs of life."""

    def __init__(self, pubsub: PubSub) -> None:
        self._pubsub = pubsub
        self._heard = time.monotonic()
        self._pinged = False
        self._breath = Breath()

    def subscribe(self, channels: Sequence[str], globs: Sequence[bytes]) -> None:
        if channels:
            self._pubsub.subscribe(*channels)
        if globs:
            self._pubsub.psubscribe(*globs)

    def next(self) -> dict[str, Any] | None:
        """The next message; ``None`` after `POLL_S` of silence."""
        message: dict[str, Any] | None = self._pubsub.get_message(timeout=POLL_S)
        if message is None:
            self._check()
        else:
            self._heard, self._pinged = time.monotonic(), False
            self._breath.take()
        return message

    def _check(self) -> None:
        self._breath.rested()
        silent_s = time.monotonic() - self._heard
        if silent_s > DEAD_AFTER_S:
            raise redis.ConnectionError(f"no sign of life for {silent_s:.0f} s")
        if silent_s > PING_AFTER_S and not self._pinged:
            self._pubsub.ping()
            self._pinged = True
