"""What the daemon does on signals; each handler runs in a greenlet of its own.

==================  ======================================================================
SIGTERM, SIGINT     drain and stop; a second one forces the shutdown
SIGHUP              reload the settings
SIGUSR1             the emergency stop, and nothing else; the guard sees it at the same time
SIGUSR2             the stacks of all greenlets into the log
==================  ======================================================================
"""

import gc
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Final

import gevent
import structlog
from gevent.event import Event
from greenlet import greenlet as Greenlet  # noqa: N812 a class

STACK_FRAMES: Final = 20
"""The innermost show what it waits for."""


@dataclass
class Signals:
    """Requests received by signal."""

    stop: Event = field(default_factory=Event)
    """SIGTERM or SIGINT has come."""
    force: Event = field(default_factory=Event)
    """It has come a second time."""

    def ask_to_stop(self) -> None:
        """What SIGTERM and SIGINT do."""
        (self.force if self.stop.is_set() else self.stop).set()


@contextmanager
def stop_signals() -> Iterator[Signals]:
    """SIGTERM and SIGINT, from as early as possible to the very end."""
    signals = Signals()
    watchers = [
        gevent.signal_handler(number, signals.ask_to_stop)
        for number in (signal.SIGINT, signal.SIGTERM)
    ]
    try:
        yield signals
    finally:
        for watcher in watchers:
            watcher.cancel()


@contextmanager
def running_signals(*, reload: Callable[[], None], emergency: Callable[[], None]) -> Iterator[None]:
    """The others, as long as a daemon runs.

    Args:
        reload: on SIGHUP.
        emergency: on SIGUSR1; must not wait.
    """
    watchers = [
        # Spawned: what a signal's own greenlet raises would end the main one.
        gevent.signal_handler(signal.SIGHUP, gevent.spawn, reload),
        gevent.signal_handler(signal.SIGUSR2, gevent.spawn, log_stacks),
    ]
    hub = gevent.get_hub()

    def on_emergency(_number: int, _frame: FrameType | None) -> None:
        hub.loop.run_callback_threadsafe(gevent.spawn, emergency)

    # Python's own handler, not the loop's: only that writes to the guard's pipe in C.
    former = signal.signal(signal.SIGUSR1, on_emergency)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, former)
        for watcher in watchers:
            watcher.cancel()


def log_stacks() -> None:
    """Log where every greenlet is, a line each; the loop stands still meanwhile, some 50 ms."""
    log = structlog.get_logger(actor="signals")
    # Not gevent's own report: that looks at every object's ``__class__``, and proxies (bottle's)
    # raise at that.
    found = [one for one in gc.get_objects() if issubclass(type(one), Greenlet)]
    alive = [one for one in found if not one.dead and one.gr_frame is not None]
    for one in alive:
        frames = traceback.extract_stack(one.gr_frame, limit=STACK_FRAMES)
        name = getattr(one, "name", None) or type(one).__name__
        stack = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        log.warning("stack", greenlet=name, stack=stack)
    log.warning("stacks of all greenlets", pid=os.getpid(), greenlets=len(alive))
