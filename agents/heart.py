"""The heartbeat of an agent: by itself, whatever the handlers do."""

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from .errors import BusUnavailable
from .health import Health
from .pace import Backoff
from .publisher import Publisher

LEAST_GAP_S = 1.0
"""Beats out of turn come no closer than this."""


class Heart:
    """Beats every ``interval_s`` until stopped, then once more.

    Args:
        publisher: of its own, so that a slow publish of a handler's delays no beat.
        channel: ``heartbeat.<agent_id>``.
        interval_s: from beat to beat.
        health: what to say.
        about: called for each beat; the fields that name and describe the agent, which win over
            the health's.
        log: the agent's.
        now: seconds that never jump.
    """

    def __init__(  # noqa: PLR0913 - wiring
        self,
        publisher: Publisher,
        *,
        channel: str,
        interval_s: float,
        health: Health,
        about: Callable[[], dict[str, Any]],
        log: logging.Logger,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now = now
        self._publisher = publisher
        self._channel = channel
        self._interval_s = interval_s
        self._health = health
        self._about = about
        self._log = log
        self._backoff = Backoff()
        self._away = False
        self._wake = threading.Event()
        self._stopping = threading.Event()

    def run(self) -> None:
        """Beat until `stop`. Blocks; goes on trying while Redis is away."""
        while not self._stopping.is_set():
            wait_s = self._interval_s if self.beat() else self._retry_s()
            self._stopping.wait(min(LEAST_GAP_S, wait_s))
            self._wake.wait(max(0.0, wait_s - LEAST_GAP_S))
            self._wake.clear()

    def hurry(self) -> None:
        """Beat as soon as may be: there is news."""
        self._wake.set()

    def take_hurry(self) -> bool:
        """Whether `hurry` was called since the last time, for a host that has no `run`."""
        hurried = self._wake.is_set()
        self._wake.clear()
        return hurried

    def stop(self) -> None:
        """End `run` at once."""
        self._stopping.set()
        self._wake.set()

    def close(self) -> None:
        """Close the connection."""
        self._publisher.close()

    def beat(self, status: str | None = None) -> bool:
        """Publish one heartbeat; ``status`` instead of what the health says.

        Returns:
            Whether Redis took it.
        """
        fields, number = self._health.beat(self._now())
        beat = {**fields, **self._about(), "interval_s": self._interval_s, "pid": os.getpid()}
        beat |= {} if status is None else {"status": status}
        try:
            self._publisher.publish(self._channel, beat)
        except BusUnavailable as error:
            self._lost(error)
            return False
        self._health.reported(number)
        self._backoff.reset()
        self._away = False
        return True

    def _retry_s(self) -> float:
        return min(self._interval_s, self._backoff.next_s())

    def _lost(self, error: BusUnavailable) -> None:
        if not self._away:
            self._away = True
            self._log.warning("no heartbeat: %s", error)
