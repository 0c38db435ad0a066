"""The supervisor: starts its children in order, stops them in reverse, restarts what fails.

Semantics and words are Erlang/OTP's (``supervisor``). Beyond OTP (docs/runtime.md says why):
restarts back off, an operator's stop holds, hung children are found, and a supervisor that fails
stops its children within seconds.

The children end with their supervisor; a successor starts them from the same specs, with the same
mailboxes. What blocks (a stop, an ordered restart) is a *job* in a linked greenlet; its children
are ``managed`` meanwhile, and the supervisor keeps answering.
"""

import time
from collections.abc import Callable, Sequence
from random import Random
from types import TracebackType
from typing import Any, assert_never

import gevent

from ._envelope import Envelope
from ._future import DeferredReply
from .actor import Actor, ExitKind
from .address import Address
from .child import Child, ChildSpec, ChildState, SupervisorReport, addresses_of, parent_of
from .child_lifecycle import ChildLifecycle
from .commands import (
    AddChild,
    ChildCommand,
    ChildEnded,
    ChildReady,
    DeleteChild,
    GetTree,
    JobDone,
    Message,
    RestartChild,
    StartChild,
    StopChild,
    UnknownChild,
)
from .errors import IntensityExceeded, OrchestratorError, Refusal, StartFailed
from .hang_watch import HANG_TIMEOUT_S, HangWatch
from .linked import LINKED_KILL_S
from .policy import (
    AutoShutdown,
    FailureStreak,
    Jitter,
    Restart,
    RestartLimits,
    RestartWindow,
    Strategy,
    group,
    is_restarted,
    shuts_down,
)

# A failed root must be gone within 10 s, what it stands on included.
FAILURE_STOP_S = 5.0


class Supervisor(Actor):
    """Supervises ``specs``.

    Args:
        specs: In the order of starting.
        strategy: Who is restarted with a failed child.
        limits: Intensity, period and backoff.
        auto_shutdown: Whether it ends when significant children have ended by themselves.
        on_report: Called for each end and restart; must not block.
        escalate: Whether a child that fails too often fails the supervisor, as in OTP. If not,
            that child becomes ``FATAL``, has a window of its own, and no other is affected.
        hang_timeout_s: How long a child may leave a ping unanswered.
        failure_stop_s: How long all children together may take to stop when it has failed.
        stop_s: The same when it is stopped; ``None``: as long as each of them may.
        stop_together: Whether they stop all at once, as OTP's ``simple_one_for_one``.

    Raises:
        ValueError: Two children have one name, or one is significant for nothing.
    """

    def __init__(  # noqa: PLR0913 OTP's supervisor flags
        self,
        specs: Sequence[ChildSpec],
        *,
        strategy: Strategy = Strategy.ONE_FOR_ONE,
        limits: RestartLimits | None = None,
        auto_shutdown: AutoShutdown = AutoShutdown.NEVER,
        on_report: Callable[[SupervisorReport], None] | None = None,
        escalate: bool = True,
        hang_timeout_s: float = HANG_TIMEOUT_S,
        failure_stop_s: float = FAILURE_STOP_S,
        stop_s: float | None = None,
        stop_together: bool = False,
    ) -> None:
        super().__init__()
        self._strategy = strategy
        self._limits = limits or RestartLimits()
        self._auto_shutdown = auto_shutdown
        self._on_report = on_report
        self._escalate = escalate
        self._failure_stop_s = failure_stop_s
        self._stop_s = stop_s
        self._stop_together = stop_together
        self._random = Random()  # noqa: S311 spreads restarts, protects nothing
        self._jitter = Jitter(self._random)
        self._window = RestartWindow(self._limits)
        self._jobs: set[gevent.Greenlet] = set()
        self._children: dict[str, Child] = {}
        self._lifecycle = ChildLifecycle(self._post, self._child_ended, self._report, self.log)
        self._watch = HangWatch(self._lifecycle, hang_timeout_s)
        for spec in specs:
            if spec.name in self._children:
                raise ValueError(f"two children are named {spec.name!r}")
            self._check_significant(spec)
            self._children[spec.name] = self._record_of(spec)

    def _check_significant(self, spec: ChildSpec) -> None:
        if spec.significant and self._auto_shutdown is AutoShutdown.NEVER:
            raise ValueError(f"{spec.name} is significant, but auto_shutdown is never")

    def _record_of(self, spec: ChildSpec, *, dynamic: bool = False) -> Child:
        window = self._window if self._escalate else RestartWindow(self._limits)
        return Child(spec, window, FailureStreak(self._limits, self._random), dynamic=dynamic)

    # -- hooks -------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Start the children in order, each pinged before the next one is started.

        Raises:
            StartFailed: One did not become ready; those before it are stopped again.
        """
        self._lifecycle.log, self._lifecycle.supervisor = self.log, self.address.name
        for child in self._children.values():
            if child.spec.autostart:
                self._lifecycle.start_and_wait(child)
        self.every(self._watch.interval_s, lambda: self._watch.check_all(self._children.values()))

    def on_stop(self) -> None:
        """Stop the children in reverse order or all at once, each within its limit."""
        self._stop_children(self._stop_s)

    def on_failure(
        self,
        exception_type: type[BaseException] | None,  # noqa: ARG002 pykka's signature
        exception_value: BaseException | None,
        traceback: TracebackType | None,  # noqa: ARG002 pykka's signature
    ) -> None:
        """Stop the children within ``failure_stop_s``; then the parent is notified."""
        self.log.error("supervisor failed", reason=str(exception_value))
        self._stop_children(self._failure_stop_s)

    def _stop_children(self, limit_s: float | None) -> None:
        gevent.killall(list(self._jobs), timeout=LINKED_KILL_S)
        children = list(reversed(self._children.values()))
        self._lifecycle.stop_within(limit_s, children, together=self._stop_together)

    def _release_everything(self) -> None:
        """Also the last resort: of a supervisor that was killed while it stopped them."""
        super()._release_everything()
        self._lifecycle.kill_all(self._children.values())

    def abandon(self, reason: OrchestratorError) -> None:
        """Its children end with it."""
        super().abandon(reason)
        for child in self._children.values():
            if child.actor is not None and not child.actor.gone:
                child.actor.abandon(reason)

    def on_receive(self, message: Message) -> Any:
        """Dispatch."""
        match message:
            case ChildEnded():
                self._handle_child_ended(message)
            case ChildReady():
                self._handle_child_ready(message)
            case JobDone():
                self._handle_job_done(message)
            case GetTree():
                return self.describe_children()
            case AddChild():
                self._handle_add_child(message)
            case RestartChild() | StopChild() | StartChild() | DeleteChild():
                self._handle_command(message)
            case _:
                assert_never(message)
        return None

    def describe_children(self) -> list[dict[str, Any]]:
        """The children, each as :meth:`Child.describe` has it."""
        return [child.describe() for child in self._children.values()]

    def addresses_below(self) -> list[Address]:
        """Those of the children, and of all below them."""
        return addresses_of(self._children.values())

    # -- ends --------------------------------------------------------------------------------

    def _handle_child_ready(self, message: ChildReady) -> None:
        child = self._children.get(message.name)
        if child is not None and child.actor is message.actor and not child.managed:
            self._lifecycle.note_ready(child)

    def _handle_child_ended(self, message: ChildEnded) -> None:
        child = self._children.get(message.name)
        if child is None or child.actor is not message.actor or child.managed:
            return
        self._note_end(child, message.actor)

    def _note_end(self, child: Child, actor: Actor) -> None:
        context = "start_error" if child.state is ChildState.STARTING else "child_terminated"
        self._lifecycle.note_end(child, context)
        failed = actor.exit_kind is ExitKind.FAILURE
        if is_restarted(child.spec.restart, failed=failed):
            self._restart_later(child)
            return
        child.state = ChildState.EXITED
        self._forget_if_temporary(child)
        others = [one.alive for one in self._children.values() if one.spec.significant]
        if child.spec.significant and shuts_down(self._auto_shutdown, others):
            self._report(child, "shutdown", "a significant child has ended")
            self.stop()

    def _forget_if_temporary(self, child: Child) -> None:
        if child.dynamic and child.spec.restart is Restart.TEMPORARY:
            del self._children[child.name]
            child.spec.address.close()

    def _restart_later(self, child: Child) -> None:
        now = time.monotonic()
        delay = child.backoff.fail(child.ran_s) or self._jitter.delay(now)
        if not child.window.add(now) or child.backoff.exhausted:
            self._give_up(child)
            return
        child.state = ChildState.BACKOFF
        child.restarts += 1
        places = group(self._strategy, len(self._children), list(self._children).index(child.name))
        if len(places) > 1:
            children = list(self._children.values())
            self._restart_group([children[place] for place in places], child, delay)
        elif delay:
            child.restart_timer = self.after(delay, lambda: self._restart(child))
        else:
            self._restart(child)

    def _give_up(self, child: Child) -> None:
        reason = child.last_error or "unknown"
        child.state = ChildState.FATAL
        self._report(child, "gave_up", reason)
        if self._escalate:
            raise IntensityExceeded(self.address.name, child.name, reason)
        self.log.error("child given up", child=child.name, reason=reason)
        for other in self._children.values():  # those an ordered restart had not come to
            if other.restart_timer is None or other.restart_timer.cancelled:
                self._restart(other)

    def _restart(self, child: Child) -> None:
        if child.state is ChildState.BACKOFF and not child.managed:
            self._lifecycle.launch(child)

    def _restart_group(self, members: list[Child], failed: Child, delay: float) -> None:
        """Stop all at once, wait, start in order; but for those that an operator stopped."""
        back = [
            one
            for one in members
            if one.spec.restart is not Restart.TEMPORARY
            and one.state not in (ChildState.STOPPED, ChildState.FATAL)
        ]
        for member in back:
            member.restarts += member is not failed
        self._start_job(members, lambda: self._run_group(members, back, delay))

    def _run_group(self, members: list[Child], back: list[Child], delay: float) -> Child | None:
        self._lifecycle.stop_all(one for one in reversed(members) if one.alive)
        for member in back:
            member.state = ChildState.BACKOFF
        gevent.sleep(delay)
        return self._lifecycle.start_in_order(back)

    # -- jobs --------------------------------------------------------------------------------

    def _start_job(self, children: Sequence[Child], work: Callable[[], Child | None]) -> None:
        """Run ``work`` in a linked greenlet; it returns the child that did not start, if any."""
        for child in children:
            child.managed = True
        done = tuple(children)

        def run() -> None:
            self._post(JobDone(done, work()))

        job = self.spawn(run, name=f"job-{children[0].name}")
        self._jobs.add(job)
        job.link(self._jobs.discard)

    def _handle_job_done(self, message: JobDone) -> None:
        """Take the children back, and handle what happened to them meanwhile."""
        ours = [one for one in message.children if self._children.get(one.name) is one]
        for child in ours:
            child.managed = False
            if child.state is ChildState.STOPPED:
                self._forget_if_temporary(child)
        if message.failed is not None and not message.failed.managed:
            self._restart_later(message.failed)
        for child in ours:
            actor = child.actor
            running = child.state in (ChildState.STARTING, ChildState.RUNNING)
            if running and not child.managed and actor is not None and actor.gone:
                self._note_end(child, actor)

    # -- commands ----------------------------------------------------------------------------

    def _handle_add_child(self, message: AddChild) -> None:
        wanted = message.supervisor
        if wanted is not None and wanted != self.address.name:
            child = self._children.get(wanted)
            below = child.actor if child else parent_of(wanted, self._children.values())
            if not isinstance(below, Supervisor):
                raise UnknownChild(f"there is no supervisor named {wanted!r}")
            self._pass_down(message, below)
            return
        if message.spec.name in self._children:
            raise Refusal(f"there is a child named {message.spec.name!r} already")
        if message.spec.address.closed:
            raise Refusal(f"the address of {message.spec.name} is closed")
        try:
            self._check_significant(message.spec)
        except ValueError as error:
            raise Refusal(str(error)) from error
        child = self._record_of(message.spec, dynamic=not message.kept)
        self._children[child.name] = child
        reply = self.defer_reply()
        self._start_job([child], lambda: self._add(child, reply))

    def _add(self, child: Child, reply: DeferredReply) -> None:
        try:
            if child.spec.autostart:
                self._lifecycle.start_and_wait(child)
        except StartFailed as error:  # as in OTP, one that does not start is not kept
            self._children.pop(child.name, None)
            reply.set_exception(Refusal(str(error)))
        else:
            reply.set(child.describe())

    def _handle_command(self, command: ChildCommand) -> None:
        child = self._children.get(command.name)
        if child is None:
            below = parent_of(command.name, self._children.values())
            if below is None:
                raise UnknownChild(f"there is no actor named {command.name!r}")
            self._pass_down(command, below)
        elif child.managed:
            raise Refusal(f"{child.name} is being started or stopped just now")
        elif isinstance(command, DeleteChild):
            self._delete(child)
        else:
            reply = self.defer_reply()
            self._start_job([child], lambda: self._carry_out(command, child, reply))

    def _carry_out(self, command: ChildCommand, child: Child, reply: DeferredReply) -> Child | None:
        if not isinstance(command, StartChild):
            self._lifecycle.stop(child)
        if isinstance(command, StopChild) or child.state is ChildState.RUNNING:
            reply.set(child.describe())
            return None
        if child.restart_timer is not None:
            child.restart_timer.cancel()
        child.restarts += isinstance(command, RestartChild)
        child.backoff.failures = 0
        try:
            self._lifecycle.start_and_wait(child)
        except StartFailed as error:
            reply.set_exception(Refusal(str(error)))
            if child.spec.restart is Restart.TEMPORARY:
                child.state = ChildState.EXITED
                return None
            child.state = ChildState.BACKOFF
            return child
        reply.set(child.describe())
        return None

    def _delete(self, child: Child) -> None:
        if child.alive:
            raise Refusal(f"{child.name} runs; stop it first")
        reply = self.defer_reply()
        del self._children[child.name]
        child.spec.address.close()
        reply.set(child.describe())

    def _pass_down(self, command: AddChild | ChildCommand, below: Actor) -> None:
        """Let the supervisor below answer the asker itself."""
        below.address.mailbox.put_system(Envelope(command, self.defer_reply().future))

    def _child_ended(self, actor: Actor) -> None:
        self._post(ChildEnded(actor.address.name, actor))

    def _post(self, message: object) -> None:
        self.address.mailbox.put_system(Envelope(message))

    def _report(self, child: Child, context: str, reason: str) -> None:
        if self._on_report is not None:
            self._on_report(child.report(self.address.name, context, reason))
