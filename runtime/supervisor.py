"""The supervisor: starts its children in order, stops them in reverse, restarts what fails.

Semantics and words are Erlang/OTP's (``supervisor``); what goes beyond is in ``restart``. It holds
its records of the children; they die with it, and so do the children, since a supervisor that
ends stops them first. A successor starts them anew, from the same specs and with the same
mailboxes.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from random import Random
from types import TracebackType
from typing import Any, assert_never

import msgspec
from pykka._envelope import Envelope

from ._future import GreenletFuture
from .actor import Actor, ExitKind
from .child import Child, ChildSpec, ChildState, SupervisorReport
from .errors import ActorFailed, ActorHung, IntensityExceeded, Refusal, StartFailed, reason_of
from .messages import Ping, Stop
from .restart import Backoff, Restart, RestartLimits, RestartWindow, Strategy

# How often children are pinged, and how long one may be silent.
PING_INTERVAL_S = 1.0
HANG_TIMEOUT_S = 5.0

# A killed greenlet ends at its next switch; it only takes longer if it swallows the kill.
KILL_JOIN_S = 2.0


class ChildEnded(msgspec.Struct, frozen=True):
    """An incarnation has ended and cleaned up."""

    name: str
    """The child's name."""
    actor: Actor
    """Which incarnation."""


class ChildReady(msgspec.Struct, frozen=True):
    """A child answered its ping."""

    name: str
    """The child's name."""
    actor: Actor
    """Which incarnation."""


class GetTree(msgspec.Struct, frozen=True):
    """Asks for this supervisor's part of the tree; the answer is a list of children."""


class RestartChild(msgspec.Struct, frozen=True):
    """Stop and start a child, here or further down; answered by its row once it runs again."""

    name: str
    """The child's name."""


class StopChild(msgspec.Struct, frozen=True):
    """Stop a child, here or further down, until someone starts it; answered by its row."""

    name: str
    """The child's name."""


class StartChild(msgspec.Struct, frozen=True):
    """Start a stopped or given-up child, here or further down; answered by its row."""

    name: str
    """The child's name."""


Command = RestartChild | StopChild | StartChild
Message = ChildEnded | ChildReady | GetTree | Command


class UnknownChild(Refusal):
    """No child of that name is below this supervisor."""


class _PingReply(GreenletFuture):
    """The reply to a ping goes into the supervisor's mailbox instead of waking a waiter."""

    def __init__(self, supervisor: "Supervisor", child: Child, actor: Actor) -> None:
        super().__init__()
        self._told = (supervisor, child, actor)

    def set(self, value: Any = None) -> None:
        supervisor, child, actor = self._told
        if child.actor is actor and not self.ready():
            supervisor.address.mailbox.put_system(Envelope(ChildReady(child.name, actor)))
        super().set(value)


class Supervisor(Actor):
    """Supervises ``specs``.

    Args:
        specs: In the order of starting.
        strategy: Who is restarted with a failed child.
        limits: Intensity, period and backoff.
        on_report: Told of every end and restart; must not wait.
        escalate: Whether a child that fails too often fails the supervisor, as in OTP. If not,
            that child becomes ``FATAL``, has a window of its own, and nobody else is touched.
        hang_timeout_s: How long a child may leave a ping unanswered.
    """

    def __init__(  # noqa: PLR0913 OTP's supervisor flags
        self,
        specs: Sequence[ChildSpec],
        *,
        strategy: Strategy = Strategy.ONE_FOR_ONE,
        limits: RestartLimits | None = None,
        on_report: Callable[[SupervisorReport], None] | None = None,
        escalate: bool = True,
        hang_timeout_s: float = HANG_TIMEOUT_S,
    ) -> None:
        super().__init__()
        self._strategy = strategy
        self._limits = limits or RestartLimits()
        self._on_report = on_report
        self._escalate = escalate
        self._hang_timeout_s = hang_timeout_s
        shared = RestartWindow(self._limits)
        random = Random()  # noqa: S311 spreads restarts, protects nothing
        self._children = {
            spec.name: Child(
                spec,
                shared if escalate else RestartWindow(self._limits),
                Backoff(self._limits, random),
            )
            for spec in specs
        }

    # -- hooks -------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Start the children in order, each pinged before the next one is started.

        Raises:
            StartFailed: One did not become ready; those before it are stopped again.
        """
        for child in self._children.values():
            self._start_and_wait(child)
        self.every(PING_INTERVAL_S, self._check_children)

    def on_stop(self) -> None:
        """Stop the children in reverse order."""
        self._stop_children(reversed(self._children.values()))

    def on_failure(
        self,
        exception_type: type[BaseException] | None,  # noqa: ARG002 pykka's signature
        exception_value: BaseException | None,
        traceback: TracebackType | None,  # noqa: ARG002 pykka's signature
    ) -> None:
        """Stop the children; then the parent is told."""
        self.log.error("supervisor failed", reason=str(exception_value))
        self._stop_children(reversed(self._children.values()))

    def on_receive(self, message: Message) -> Any:
        """Dispatch."""
        match message:
            case ChildEnded():
                self._handle_child_ended(message)
            case ChildReady():
                self._handle_child_ready(message)
            case GetTree():
                return self.describe_children()
            case RestartChild() | StopChild() | StartChild():
                self._handle_command(message)
            case _:
                assert_never(message)
        return None

    def describe_children(self) -> list[dict[str, Any]]:
        """The children, each as :meth:`Child.describe` has it."""
        return [child.describe() for child in self._children.values()]

    # -- ends --------------------------------------------------------------------------------

    def _handle_child_ended(self, message: ChildEnded) -> None:
        child = self._children.get(message.name)
        if child is None or child.actor is not message.actor or child.managed:
            return
        failed = message.actor.exit_kind is ExitKind.FAILURE
        context = "start_error" if child.state is ChildState.STARTING else "child_terminated"
        self._note_end(child, context)
        if child.spec.restart is Restart.TEMPORARY or (
            child.spec.restart is Restart.TRANSIENT and not failed
        ):
            child.state = ChildState.EXITED
            return
        self._restart_later(child)

    def _note_end(self, child: Child, context: str) -> None:
        error = child.actor.exit_error if child.actor is not None else None
        reason = reason_of(error) if error is not None else "it ended by itself"
        child.last_error = reason
        child.ping_sent_at = None
        self.log.error(
            "child ended", context=context, child=child.name, reason=reason, exc_info=error
        )
        self._report(child, context, reason)

    def _restart_later(self, child: Child) -> None:
        now = time.monotonic()
        delay = child.backoff.fail(now - child.started_at)
        if not child.window.add(now) or child.backoff.exhausted:
            self._give_up(child)
            return
        child.state = ChildState.BACKOFF
        if delay:
            self.after(delay, lambda: self._restart(child))
        else:
            self._restart(child)

    def _give_up(self, child: Child) -> None:
        reason = child.last_error or "unknown"
        child.state = ChildState.FATAL
        self._report(child, "gave_up", reason)
        if self._escalate:
            raise IntensityExceeded(self.address.name, child.name, reason)
        self.log.error("child given up", child=child.name, reason=reason)

    def _restart(self, child: Child) -> None:
        if child.state is not ChildState.BACKOFF or child.managed:
            return
        child.restarts += 1
        group = self._group_of(child)
        if len(group) == 1:
            self._launch(child)
        else:
            for member in group:
                member.managed = True
                member.restarts += member is not child
            self.spawn(self._restart_group, group, name=f"restart-{child.name}")

    def _group_of(self, child: Child) -> list[Child]:
        children = list(self._children.values())
        match self._strategy:
            case Strategy.ONE_FOR_ONE:
                return [child]
            case Strategy.ONE_FOR_ALL:
                return children
            case Strategy.REST_FOR_ONE:
                return children[children.index(child) :]
            case _:
                assert_never(self._strategy)

    def _restart_group(self, group: list[Child]) -> None:
        try:
            self._stop_children(reversed(group))
            for member in group:
                self._start_and_wait(member)
        finally:
            for member in group:
                member.managed = False

    # -- starting ----------------------------------------------------------------------------

    def _launch(self, child: Child) -> None:
        """Start an incarnation; that it is ready, or ended, comes as a message."""
        child.state = ChildState.STARTING
        child.started_at = time.monotonic()
        try:
            actor = child.spec.factory()
        except Exception as error:  # noqa: BLE001 a constructor that raises is a failed start
            actor = _StillBorn(error)
        child.actor = actor
        actor.start_at(child.spec.address, self._told_of_end)
        self._ping(child, actor)

    def _told_of_end(self, actor: Actor) -> None:
        child = self._children[actor.address.name]
        self.address.mailbox.put_system(Envelope(ChildEnded(child.name, actor)))

    def _ping(self, child: Child, actor: Actor) -> None:
        child.ping_sent_at = time.monotonic()
        reply = _PingReply(self, child, actor)
        child.spec.address.mailbox.put_system(Envelope(Ping(), reply))

    def _handle_child_ready(self, message: ChildReady) -> None:
        child = self._children.get(message.name)
        if child is None or child.actor is not message.actor:
            return
        child.ping_sent_at = None
        if child.state is ChildState.STARTING:
            child.state = ChildState.RUNNING
            self.log.info("child started", child=child.name, restarts=child.restarts)
            if child.restarts:
                self._report(child, "child_restarted", child.last_error or "asked for")

    def _start_and_wait(self, child: Child) -> None:
        """Start ``child`` and wait until it is ready.

        Raises:
            StartFailed: It ended, or took longer than its limit.
        """
        self._launch(child)
        actor = child.actor
        assert actor is not None  # noqa: S101 _launch has set it
        try:
            actor.wait_ready(child.spec.start_timeout_s)
        except StartFailed:
            self._note_end(child, "start_error")
            child.state = ChildState.STOPPED
            raise
        self._handle_child_ready(ChildReady(child.name, actor))

    # -- stopping ----------------------------------------------------------------------------

    def _stop_children(self, children: Iterable[Child]) -> None:
        for child in children:
            self._stop_child(child)

    def _stop_child(self, child: Child) -> None:
        actor, child.managed = child.actor, True
        if actor is None or actor.ended:
            child.state = ChildState.STOPPED
            return
        child.state = ChildState.STOPPING
        child.spec.address.mailbox.put_system(Envelope(Stop()))
        if not actor.join(child.spec.shutdown_s):
            self._kill_child(child, actor)
        if actor.exit_kind is ExitKind.FAILURE and actor.exit_error is not None:
            child.last_error = reason_of(actor.exit_error)
            self._report(child, "shutdown_error", child.last_error)
        child.state = ChildState.STOPPED
        child.ping_sent_at = None
        self.log.info("child stopped", child=child.name)

    def _kill_child(self, child: Child, actor: Actor) -> None:
        reason = ActorFailed(child.name, f"did not stop within {child.spec.shutdown_s:g} s")
        self.log.error("child killed", child=child.name, reason=str(reason))
        actor.kill(reason)
        if not actor.join(KILL_JOIN_S):
            self.log.error("killed child still runs", child=child.name)

    # -- hangs -------------------------------------------------------------------------------

    def _check_children(self) -> None:
        now = time.monotonic()
        for child in self._children.values():
            actor = child.actor
            if child.managed or actor is None or actor.ended:
                continue
            if child.ping_sent_at is None:
                self._ping(child, actor)
            elif now - child.ping_sent_at > self._patience_s(child):
                actor.kill(ActorHung(child.name, now - child.ping_sent_at))

    def _patience_s(self, child: Child) -> float:
        starting = child.state is ChildState.STARTING
        return child.spec.start_timeout_s if starting else self._hang_timeout_s

    # -- commands ----------------------------------------------------------------------------

    def _handle_command(self, command: Command) -> None:
        child = self._children.get(command.name)
        reply = self.defer_reply()
        if child is not None:
            self.spawn(self._carry_out, command, child, reply, name=f"command-{command.name}")
            return
        below = self._supervisor_of(command.name)
        if below is None:
            reply.set_exception(UnknownChild(f"there is no actor named {command.name!r}"))
        else:
            # The supervisor below answers the asker itself.
            below.address.mailbox.put(Envelope(command, reply.future))

    def _supervisor_of(self, name: str) -> Actor | None:
        for child in self._children.values():
            if child.actor is not None and _holds(child.actor.describe_children(), name):
                return child.actor
        return None

    def _carry_out(self, command: Command, child: Child, reply: Any) -> None:
        if child.managed:
            reply.set_exception(Refusal(f"{child.name} is being started or stopped just now"))
            return
        child.managed = True
        try:
            if not isinstance(command, StartChild):
                self._stop_child(child)
            if not isinstance(command, StopChild) and child.state is not ChildState.RUNNING:
                child.restarts += isinstance(command, RestartChild)
                child.backoff.failures = 0
                self._start_and_wait(child)
        except StartFailed as error:
            child.state = ChildState.BACKOFF
            self.after(self._limits.backoff_max_s, lambda: self._restart(child))
            reply.set_exception(Refusal(str(error)))
        else:
            reply.set(child.describe())
        finally:
            child.managed = False

    def _report(self, child: Child, context: str, reason: str) -> None:
        if self._on_report is not None:
            self._on_report(
                SupervisorReport(
                    self.address.name, context, reason, child.name, child.restarts, child.spec.kind
                )
            )


class _StillBorn(Actor):
    """Stands in for an incarnation whose constructor raised, and fails with what it raised."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def on_start(self) -> None:
        raise self._error


def _holds(children: list[dict[str, Any]], name: str) -> bool:
    return any(row["name"] == name or _holds(row["children"], name) for row in children)
