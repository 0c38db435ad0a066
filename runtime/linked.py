"""Greenlets linked to an actor, and where what no greenlet catches is told: in the log.

gevent's hub prints a traceback to stderr for each greenlet that fails, past every log, and ends
the program for a ``SystemExit`` in any of them. A linked greenlet's failure is its actor's, which
tells it; all others go to the log once :func:`log_hub_errors` has been called.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Any

import gevent
import structlog
from gevent import Greenlet

from .errors import LeakedBaseException, LinkedGreenletFailed, OrchestratorError


class Linked(Greenlet):  # type: ignore[misc] # gevent is untyped here
    """Runs ``function``; what it raises is an ``Exception``, whatever it was."""

    def __init__(self, function: Callable[..., object], *args: Any) -> None:
        super().__init__(_contained, function, args)
        self.told_by_actor = True
        """Whether somebody else tells its failure."""

    @property
    def failure(self) -> OrchestratorError | Exception | None:
        """Why it failed; being killed by a stranger is a failure too."""
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
    """Have the hub of this thread log what it would print to stderr."""
    gevent.get_hub().print_exception = _log_error


def _log_error(
    context: object,
    kind: type[BaseException],
    error: BaseException | None,
    traceback: TracebackType | None,
) -> None:
    """Hub.print_exception's signature; runs in the hub, must not wait and must not raise."""
    if isinstance(context, Linked) and context.told_by_actor:
        return
    name = getattr(context, "name", None) or repr(context)
    structlog.get_logger(actor="hub").error(
        "greenlet failed", greenlet=name, exc_info=(kind, error, traceback)
    )
