"""Greenlets and timers of one run, and the log for uncaught errors of greenlets.

gevent's hub prints a traceback to stderr for each greenlet that fails, past every log, and ends
the program for a ``SystemExit`` in any of them. A linked greenlet's failure is its actor's, which
reports it; all others are logged once :func:`log_hub_errors` has been called.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import gevent
import structlog
from gevent import Greenlet

from .errors import LeakedBaseException, LinkedGreenletFailed, OrchestratorError
from .mailbox import Mailbox
from .timer import Timer


class LinkedGreenlet(Greenlet):  # type: ignore[misc] # gevent is untyped here
    """Runs ``function``; what it raises is an ``Exception``, whatever it was."""

    def __init__(self, function: Callable[..., object], *args: Any) -> None:
        super().__init__(_contained, function, args)
        self.reported_by_actor = True
        """Whether its actor reports its failure."""

    @property
    def failure(self) -> OrchestratorError | Exception | None:
        """Why it failed; being killed from outside is a failure too."""
        if isinstance(self.value, gevent.GreenletExit):
            return LinkedGreenletFailed(self.name, "it was killed from outside")
        error: Exception | None = self.exception
        return error


def _contained(function: Callable[..., object], args: tuple[Any, ...]) -> object:
    try:
        return function(*args)
    except (Exception, gevent.GreenletExit):
        raise
    except BaseException as error:
        # A SystemExit would end the daemon, and a Timeout is not seen as a failure by all.
        raise LeakedBaseException(error) from error


def log_hub_errors() -> None:
    """Have this thread's hub log what it would print to stderr."""
    gevent.get_hub().print_exception = _log_error


def _log_error(
    context: object,
    kind: type[BaseException],
    error: BaseException | None,
    traceback: TracebackType | None,
) -> None:
    """Hub.print_exception's signature; runs in the hub, must not block and must not raise."""
    if isinstance(context, LinkedGreenlet) and context.reported_by_actor:
        return
    name = getattr(context, "name", None) or repr(context)
    structlog.get_logger(actor="hub").error(
        "greenlet failed", greenlet=name, exc_info=(kind, error, traceback)
    )


# Killing a linked greenlet waits this long for its ``finally`` blocks, then abandons it.
LINKED_KILL_S = 2.0


class RunResources:
    """The linked greenlets and timers of one run; ends them with it.

    Args:
        on_failure: Called for each linked greenlet that fails. Runs in the hub; must not block.
    """

    def __init__(self, on_failure: Callable[[LinkedGreenlet, Exception], None]) -> None:
        self._on_failure = on_failure
        self.linked: set[LinkedGreenlet] = set()
        self._timers: set[Timer] = set()
        self._ended = False

    def spawn(
        self, name: str, function: Callable[..., object], args: tuple[Any, ...]
    ) -> LinkedGreenlet:
        """Start a linked greenlet."""
        greenlet = LinkedGreenlet(function, *args)
        greenlet.name = name
        self.linked.add(greenlet)
        greenlet.link(self._linked_ended)
        greenlet.start()
        return greenlet

    def add_timer(
        self, mailbox: Mailbox, seconds: float, function: Callable[[], object], *, repeat: bool
    ) -> Timer:
        """Start a timer; after the run's end it is cancelled at once."""
        self._timers = {timer for timer in self._timers if not timer.cancelled}
        timer = Timer(mailbox, seconds, function, repeat=repeat)
        if self._ended:
            timer.cancel()
        self._timers.add(timer)
        return timer

    def end_timers(self) -> None:
        """Cancel all timers."""
        self._ended = True
        for timer in self._timers:
            timer.cancel()

    def kill_linked(self, *, block: bool = True) -> list[str]:
        """Kill the linked greenlets. Returns the names of those that did not end within 2 s."""
        linked = [greenlet for greenlet in self.linked if not greenlet.dead]
        gevent.killall(linked, block=False)
        if not block:
            return []
        gevent.joinall(linked, timeout=LINKED_KILL_S)  # killall's own limit raises a Timeout
        return [greenlet.name for greenlet in linked if not greenlet.dead]

    def _linked_ended(self, greenlet: LinkedGreenlet) -> None:
        self.linked.discard(greenlet)
        failure = greenlet.failure
        if failure is not None:
            self._on_failure(greenlet, failure)


@contextmanager
def running(name: str, function: Callable[..., object], *args: Any) -> Iterator[None]:
    """Run ``function`` in a greenlet of that name for the duration of the block."""
    greenlet = Greenlet(function, *args)
    greenlet.name = name
    greenlet.start()
    try:
        yield
    finally:
        greenlet.kill(timeout=LINKED_KILL_S)
