"""The handlers' job: one thread in which all methods of the author's run, one after the other."""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from .attempts import Attempts, name_of
from .errors import BusUnavailable, Halted
from .health import Health
from .pace import Backoff, Breath
from .schedule import Schedule
from .work_queue import WorkQueue

WAIT_S = 0.25
"""How often a job that waits for something else looks whether it shall stop."""
LONGEST_WAIT_S = 60.0
"""How long the job sleeps when there is nothing to do."""


class Handlers:
    """Runs an agent's ``on_start``, then its handlers and timers, at last its ``on_stop``.

    Args:
        queue: what is to be done.
        schedule: the timers.
        attempts: runs each method.
        health: receives a start that failed; the rest ``attempts`` tells it.
        stopping: set when the agent shall end.
        log: the agent's.
        now: seconds that never jump.
    """

    def __init__(  # noqa: PLR0913 - wiring
        self,
        *,
        queue: WorkQueue,
        schedule: Schedule,
        attempts: Attempts,
        health: Health,
        stopping: threading.Event,
        log: logging.Logger,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now = now
        self._queue = queue
        self._schedule = schedule
        self._attempts = attempts
        self._health = health
        self._stopping = stopping
        self._log = log
        self.start_failed = False
        """Whether ``on_start`` has raised."""
        self.ended = threading.Event()
        """Set once no method runs any more."""

    def run(
        self,
        ready: Sequence[threading.Event],
        *,
        on_start: Callable[[], object],
        on_stop: Callable[[], object],
        on_failed: Callable[[], object],
    ) -> None:
        """Blocks until the agent shall end.

        Args:
            ready: ``on_start`` is called when all of these are set.
            on_start: called again while it raises `BusUnavailable` or `Halted`.
            on_stop: called at the end, if the agent has started.
            on_failed: called before what else ``on_start`` raised goes on.
        """
        try:
            if self._bring_up(ready, on_start, on_failed):
                self._loop()
                self._attempts.run("on_stop", on_stop)
        finally:
            self.ended.set()

    def _bring_up(
        self,
        ready: Sequence[threading.Event],
        on_start: Callable[[], object],
        on_failed: Callable[[], object],
    ) -> bool:
        backoff = Backoff()
        while not self._stopping.is_set():
            if not all(event.wait(WAIT_S) for event in ready):
                continue
            if self.start(on_start, on_failed):
                return True
            self._stopping.wait(backoff.next_s())
        return False

    def start(self, on_start: Callable[[], object], on_failed: Callable[[], object]) -> bool:
        """Try ``on_start`` once; returns whether the agent has started.

        Raises:
            Exception: what it raised, unless it is to be tried again.
        """
        try:
            on_start()
        except (BusUnavailable, Halted) as error:
            self._log.warning("on_start is tried again: %s", error)
            return False
        except Exception as error:
            self.start_failed = True
            self._health.fail("on_start", error, self._now())
            on_failed()
            raise
        return True

    def turn(self, longest_wait_s: float) -> bool:
        """Run what is next, then the timers that are due; returns whether anything was next."""
        self._schedule.set_up(self._now())
        work = self._queue.get(self._schedule.wait_s(self._now(), longest_wait_s))
        if work is not None:
            work.run()
        for timer in self._schedule.take_due(self._now()):
            if not self._stopping.is_set():
                self._attempts.run(name_of(timer.function), timer.function)
        return work is not None

    def _loop(self) -> None:
        breath = Breath()
        while not self._stopping.is_set():
            self.turn(LONGEST_WAIT_S)
            breath.take()
