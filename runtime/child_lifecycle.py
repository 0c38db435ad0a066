"""Starts and stops children; decides nothing.

What blocks here runs in a job of the supervisor (a linked greenlet), or in the supervisor's own
greenlet while it starts and stops.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any

import gevent

from ._envelope import Envelope
from ._future import GreenletFuture
from .actor import Actor, ExitKind
from .child import Child, ChildState
from .commands import ChildReady
from .errors import ActorFailed, StartFailed, reason_of
from .messages import Ping, Stop
from .policy import Shutdown

# A killed greenlet ends at its next switch; it only takes longer if it swallows the kill.
KILL_JOIN_S = 2.0

# Even when all time is used up, a child may run its on_stop if that waits for nothing.
LEAST_STOP_S = 0.05


class ChildLifecycle:
    """Starts and stops children for one supervisor.

    Args:
        post: Sends a message to the supervisor itself.
        on_end: Called with each run that has ended; runs in the hub.
        report: Called with child, context and reason.
        log: The supervisor's.
    """

    def __init__(
        self,
        post: Callable[[object], None],
        on_end: Callable[[Actor], None],
        report: Callable[[Child, str, str], None],
        log: Any,
    ) -> None:
        self._post = post
        self._child_ended = on_end
        self._report = report
        self.log = log
        self.supervisor = ""
        """Its name, known once it starts."""
        self.stop_by: float | None = None
        """Monotonic seconds; set when all children together have a limit to be gone."""

    # -- starting ----------------------------------------------------------------------------

    def launch(self, child: Child) -> Actor:
        """Start a run; a message reports that it is ready, or ended."""
        child.state = ChildState.STARTING
        child.ready_at = None
        child.waited = child.kills = 0
        try:
            actor = child.spec.factory()
        except Exception as error:  # noqa: BLE001 a constructor that raises is a failed start
            actor = _FailedStart(error)
        child.actor = actor
        actor.start_at(child.spec.address, self._child_ended)
        self.ping(child, actor)
        return actor

    def ping(self, child: Child, actor: Actor) -> None:
        """Ping the run; the answer is a ``ChildReady``."""
        child.pinged = True
        reply = _PingReply(self._post, child, actor)
        child.spec.address.mailbox.put_system(Envelope(Ping(), reply))

    def note_ready(self, child: Child) -> None:
        """Note a ping's answer; the first one means that it runs."""
        child.pinged = False
        child.waited = 0
        if child.state is not ChildState.STARTING:
            return
        child.state = ChildState.RUNNING
        child.ready_at = time.monotonic()
        self.log.info("child started", child=child.name, restarts=child.restarts)
        if child.restarts:
            self._report(child, "child_restarted", child.last_error or "asked for")

    def start_and_wait(self, child: Child) -> None:
        """Start ``child`` and wait until it is ready.

        Raises:
            StartFailed: It ended, or took longer than its limit.
        """
        actor = self.launch(child)
        try:
            actor.wait_ready(child.spec.start_timeout_s)
        except StartFailed:
            self.note_end(child, "start_error")
            child.state = ChildState.STOPPED
            raise
        self.note_ready(child)

    def start_in_order(self, children: Iterable[Child]) -> Child | None:
        """Start ``children``; returns the one that failed, after which none was started."""
        for child in children:
            try:
                self.start_and_wait(child)
            except StartFailed:
                child.state = ChildState.BACKOFF
                return child
        return None

    def note_end(self, child: Child, context: str) -> None:
        """Log and report that a run has ended by itself."""
        error = child.actor.exit_error if child.actor is not None else None
        reason = reason_of(error) if error is not None else "it ended by itself"
        child.last_error = reason
        child.pinged = False
        self.log.error(
            "child ended",
            supervisor=self.supervisor,
            context=context,
            reason=reason,
            child=child.name,
            exc_info=error,
        )
        self._report(child, context, reason)

    # -- stopping ----------------------------------------------------------------------------

    def stop_all(self, children: Iterable[Child]) -> None:
        """Stop ``children`` in this order."""
        for child in children:
            self.stop(child)

    def stop_within(
        self, limit_s: float | None, children: Iterable[Child], *, together: bool
    ) -> None:
        """Stop ``children`` in this order, or all at once, in ``limit_s`` if that is given."""
        if limit_s is not None:
            self.stop_by = time.monotonic() + limit_s
        if together:
            self._stop_together(children)
        else:
            self.stop_all(children)

    def _stop_together(self, children: Iterable[Child]) -> None:
        stops = []
        for child in children:
            stop = gevent.Greenlet(self.stop, child)
            stop.name = f"{self.supervisor}-stop-{child.name}"
            stop.start()
            stops.append(stop)
        try:
            gevent.joinall(stops, raise_error=True)
        finally:
            gevent.killall(stops, block=False)  # the supervisor itself was killed meanwhile

    def stop(self, child: Child) -> None:
        """Stop ``child`` within its limit, else kill it; afterwards it does not run."""
        if child.restart_timer is not None:
            child.restart_timer.cancel()
        actor, child.managed = child.actor, True
        child.pinged = False
        if actor is None or actor.gone:
            child.state = ChildState.STOPPED
            return
        child.state = ChildState.STOPPING
        if child.spec.shutdown_s is Shutdown.BRUTAL_KILL:
            self._kill(child, actor, "killed, as its child spec says")
        else:
            limit_s = self._limit_s(child.spec.shutdown_s)
            child.spec.address.mailbox.put_system(Envelope(Stop()))
            if not actor.join(limit_s):
                self._kill(child, actor, f"did not stop within {limit_s or 0:g} s")
        self._note_stopped(child, actor)

    def _limit_s(self, shutdown_s: float | Shutdown) -> float | None:
        own = None if isinstance(shutdown_s, Shutdown) else shutdown_s
        if self.stop_by is None:
            return own
        # Each may take half of what is left, so that later ones get some time too.
        left = max(LEAST_STOP_S, (self.stop_by - time.monotonic()) / 2)
        return left if own is None else min(own, left)

    def _note_stopped(self, child: Child, actor: Actor) -> None:
        if actor.exit_kind is ExitKind.FAILURE and actor.exit_error is not None:
            child.last_error = reason_of(actor.exit_error)
            if child.spec.shutdown_s is not Shutdown.BRUTAL_KILL:
                self._report(child, "shutdown_error", child.last_error)
        child.state = ChildState.STOPPED
        self.log.info("child stopped", child=child.name)

    def _kill(self, child: Child, actor: Actor, text: str) -> None:
        reason = ActorFailed(child.name, text)
        if child.spec.shutdown_s is not Shutdown.BRUTAL_KILL:
            self.log.error("child killed", child=child.name, reason=text)
        actor.kill(reason)
        if not actor.join(KILL_JOIN_S):
            actor.abandon(reason)

    def kill_all(self, children: Iterable[Child]) -> None:
        """Kill what still runs, after the supervisor itself was killed."""
        left = [child.actor for child in children if child.actor and not child.actor.gone]
        for actor in left:
            actor.kill(ActorFailed(actor.address.name, "its supervisor was killed"))
        until = time.monotonic() + KILL_JOIN_S
        for actor in left:
            if not actor.join(max(0.0, until - time.monotonic())):
                actor.abandon(ActorFailed(actor.address.name, "its supervisor was killed"))


class _PingReply(GreenletFuture):
    """The reply to a ping goes into the supervisor's mailbox instead of waking a waiter."""

    def __init__(self, post: Callable[[object], None], child: Child, actor: Actor) -> None:
        super().__init__()
        self._origin = (post, child, actor)

    def set(self, value: Any = None) -> None:
        post, child, actor = self._origin
        if child.actor is actor and not self.ready():
            post(ChildReady(child.name, actor))
        super().set(value)


class _FailedStart(Actor):
    """Stands in for an actor whose constructor raised, and fails with its error."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def on_start(self) -> None:
        raise self._error
