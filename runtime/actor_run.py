"""One run of an actor: start, kill, abandon, end.

Whatever is raised, wherever, ends the run in this one way: ``BaseException`` too, for which
pykka's own loop would stop every actor of the process.
"""

import time
from abc import ABC
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import gevent
import pykka
import structlog
from gevent import Greenlet

from ._envelope import Envelope
from ._future import DeferredReply, ExcInfo, GreenletFuture
from .address import Address
from .errors import (
    ActorFailed,
    LeakedBaseException,
    OrchestratorError,
    StartFailed,
    reason_of,
)
from .linked import LINKED_KILL_S, LinkedGreenlet, RunResources
from .mailbox import Mailbox
from .messages import LinkedEnded, Ping, Stop, Tick

# How long a failed start may clean up before it is abandoned.
CLEANUP_S = 10.0

# Messages meant for one run only.
_TO_ONE_RUN = (Stop, LinkedEnded, Tick)


class Killed(gevent.GreenletExit):  # type: ignore[misc] # gevent is untyped here
    """Carries the reason of a kill past ``except Exception``."""

    def __init__(self, reason: OrchestratorError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class ExitKind(StrEnum):
    """How a run ended."""

    NORMAL = "normal"
    """It was stopped, or stopped itself."""
    FAILURE = "failure"
    """It raised, leaked, or was killed."""


class ActorRun(pykka.Actor, ABC):
    """The supervisor's side of an actor; :class:`~.actor.Actor` is the base of actors."""

    def __init__(self) -> None:
        super().__init__()
        self.address = Address(type(self).__name__, self._inbox())
        self.exit_kind: ExitKind | None = None
        self.exit_error: BaseException | None = None
        self.log: Any = structlog.get_logger(actor=self.address.name)
        self._greenlet: Greenlet | None = None
        self._resources = RunResources(self._linked_failed)
        self._pending_replies: set[DeferredReply] = set()
        self._current: list[Envelope[Any]] = []
        self._stopping = False
        self._killed_for: OrchestratorError | None = None
        self._on_exit: Callable[[Any], None] | None = None
        self.ending_since: float | None = None
        """Monotonic seconds at which its end began; cleanup lasts until ``join`` returns."""
        self.abandoned = False
        """Whether it was abandoned while its greenlet still ran."""

    # -- pykka's extension points ------------------------------------------------------------

    @staticmethod
    def _create_actor_inbox() -> Mailbox:
        return Mailbox()

    @staticmethod
    def _create_future() -> GreenletFuture:
        return GreenletFuture()

    def _start_actor_loop(self) -> None:
        self._greenlet = Greenlet(self._actor_loop)
        self._greenlet.name = self.address.name
        self._greenlet.start()

    def _inbox(self) -> Mailbox:
        inbox = self.actor_inbox
        assert isinstance(inbox, Mailbox)  # noqa: S101 made by _create_actor_inbox
        return inbox

    # -- what the supervisor does ------------------------------------------------------------

    def start_at(self, address: Address, on_exit: "Callable[[Any], None] | None" = None) -> None:
        """Start this run behind ``address``; ``on_exit`` runs after all cleanup.

        ``on_exit`` is called once, must not block, and is called however the greenlet ends:
        also a kill before it ran at all, and :meth:`abandon`.
        """
        self.address = address
        self.actor_inbox = address.mailbox
        self.actor_ref.actor_inbox = address.mailbox
        self.log = structlog.get_logger(actor=address.name)
        self._on_exit = on_exit
        address.mailbox.forget(_TO_ONE_RUN)
        pykka.ActorRegistry.register(self.actor_ref)
        self._start_actor_loop()
        assert self._greenlet is not None  # noqa: S101 set by the line above
        self._greenlet.link(self._greenlet_ended)

    def _greenlet_ended(self, _greenlet: Greenlet) -> None:
        pykka.ActorRegistry.unregister(self.actor_ref)
        if self.exit_kind is None:
            self.exit_kind = ExitKind.FAILURE
            self.exit_error = ActorFailed(self.address.name, "killed before it ran")
            self._answer_pending()
        self._tell_exit()

    def _tell_exit(self) -> None:
        on_exit, self._on_exit = self._on_exit, None
        if on_exit is not None:
            on_exit(self)

    @property
    def ended(self) -> bool:
        """Whether this run's life is over (its cleanup may still go on: see join)."""
        return self.exit_kind is not None

    @property
    def linked(self) -> set[LinkedGreenlet]:
        """Its running linked greenlets."""
        return self._resources.linked

    @property
    def gone(self) -> bool:
        """Whether it no longer runs, or has been abandoned."""
        return self.abandoned or self._greenlet is None or bool(self._greenlet.dead)

    def kill(self, reason: OrchestratorError) -> None:
        """End the greenlet now, wherever it waits, as failed for ``reason``; does not block.

        If its code swallows that, it reads no further message; see :meth:`abandon`.
        """
        if self._killed_for is None:
            self._killed_for = reason
        self._stopping = True
        if self._greenlet is not None:
            self._greenlet.kill(Killed(reason), block=False)

    def abandon(self, reason: OrchestratorError) -> None:
        """Abandon a run that does not end: it counts as ended, its exit is reported.

        Its greenlet may run on, but never again reads the mailbox, answers, or fires a timer:
        all that is its successor's.
        """
        if self.gone:
            return
        self.abandoned = True
        self.log.error("abandoned while still running", reason=str(reason))
        self.kill(reason)
        self._leave_world()
        self._record_failure(reason)
        self._bury_current()
        self._answer_pending()
        self._resources.kill_linked(block=False)
        former, self.address = (
            self.address,
            Address(self.address.name, Mailbox(1), self.address.dead_letters),
        )
        self.address.close()
        self.address.handling = former.handling
        self._tell_exit()

    def wait_ready(self, timeout_s: float) -> None:
        """Wait until this run has answered a ping, which it does after ``on_start``.

        Raises:
            StartFailed: It ended, or did not answer within ``timeout_s`` (and is killed).
        """
        future = GreenletFuture()
        reply = DeferredReply(future, self._pending_replies)
        self.address.mailbox.put_system(Envelope(Ping(), future))
        try:
            future.get(timeout=timeout_s)
        except pykka.Timeout:
            self._end_start(StartFailed(self.address.name, f"not ready after {timeout_s:g} s"))
        except ActorFailed as error:
            if not self.join(CLEANUP_S):
                self._end_start(error)
        finally:
            self._pending_replies.discard(reply)
        if self.ended:
            reason = reason_of(self.exit_error) if self.exit_error else "it ended"
            raise StartFailed(self.address.name, reason) from self.exit_error

    def _end_start(self, reason: OrchestratorError) -> None:
        self.kill(reason)
        if not self.join(LINKED_KILL_S):
            self.abandon(reason)

    def join(self, timeout_s: float | None) -> bool:
        """Wait until the run has ended, cleanup included; returns whether it did.

        ``None`` waits without a limit: for a supervisor, whose children have limits.
        """
        if self._greenlet is None or self.abandoned:
            return True
        self._greenlet.join(timeout_s)
        return bool(self._greenlet.dead)

    # -- the end -----------------------------------------------------------------------------

    def _leave_world(self) -> None:
        self.ending_since = self.ending_since or time.monotonic()
        self.actor_stopped.set()
        pykka.ActorRegistry.unregister(self.actor_ref)
        self._resources.end_timers()

    def _finish(self, failure: BaseException | None) -> None:
        if self.abandoned:  # whatever its hooks would close is its successor's by now
            return
        self._leave_world()
        if failure is None:
            self.on_stop()
            self.exit_kind = ExitKind.NORMAL
            return
        self._record_failure(failure)
        self._bury_current()
        error = self.exit_error
        if error is not None:
            self.on_failure(type(error), error, error.__traceback__)

    def _record_failure(self, error: BaseException) -> None:
        if isinstance(error, Killed):
            error = error.reason
        elif not isinstance(error, Exception):
            leak = LeakedBaseException(error)
            leak.__cause__ = error
            error = leak
        self.exit_kind = ExitKind.FAILURE
        if self.exit_error is None:
            self.exit_error = error

    def _bury_current(self) -> None:
        reason = reason_of(self.exit_error) if self.exit_error else "unknown"
        for envelope in self._current:
            self.address.dead_letters.add(self.address.name, envelope.message, reason)
            if envelope.reply_to is not None:
                envelope.reply_to.set_exception(self._failed(reason))
        self._current.clear()

    def _failed(self, reason: str) -> ExcInfo:
        error = ActorFailed(self.address.name, reason)
        return type(error), error, None

    def _release_everything(self) -> None:
        self._answer_pending()
        left = self._resources.kill_linked()
        if left:
            self.log.error("linked greenlets did not end", greenlets=left)

    def _answer_pending(self) -> None:
        reason = reason_of(self.exit_error) if self.exit_error else "it stopped"
        for reply in list(self._pending_replies):
            reply.set_exception(ActorFailed(self.address.name, reason))

    def _linked_failed(self, greenlet: LinkedGreenlet, error: Exception) -> None:
        if not self.actor_stopped.is_set():
            self.address.mailbox.put_system(Envelope(LinkedEnded(greenlet.name, error)))
        elif greenlet.exception is not None:
            self.log.warning(
                "linked greenlet failed while its actor was ending",
                greenlet=greenlet.name,
                exc_info=error,
            )
