"""Random failures and commands against a supervisor and, beside it, a small model of OTP's rules.

After each step both are compared: who runs, how often each was started, and in which order. The
long run is marked slow; TEST_MODEL_STEPS=10000 makes it five times as long.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gevent
import msgspec
import pytest
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from orchestrator.runtime import (
    Actor,
    AddChild,
    Address,
    AutoShutdown,
    ChildSpec,
    DeleteChild,
    Mailbox,
    Refusal,
    Restart,
    RestartChild,
    RestartLimits,
    StartChild,
    StopChild,
    Strategy,
    Supervisor,
    start_actor,
    stop_actor,
)
from quiet_clock import quiet_s

STEPS_IN_THE_LONG_RUN = int(os.environ.get("TEST_MODEL_STEPS", "2000"))
STEP_LIMIT_S = 10.0

RUNNING, STOPPED, EXITED, FATAL = "RUNNING", "STOPPED", "EXITED", "FATAL"


@dataclass
class ModelChild:
    """What OTP's rules say of one child."""

    name: str
    restart: Restart
    significant: bool
    dynamic: bool = False
    state: str = RUNNING
    failures: int = 0

    @property
    def runs(self) -> bool:
        return self.state == RUNNING


@dataclass
class Model:
    """OTP's rules, without time: nothing leaves the window, nothing backs off."""

    strategy: Strategy
    auto_shutdown: AutoShutdown
    escalate: bool
    intensity: int
    children: list[ModelChild] = field(default_factory=list)
    diary: list[str] = field(default_factory=list)
    failures: int = 0
    ended: str | None = None

    def get(self, name: str) -> ModelChild | None:
        return next((child for child in self.children if child.name == name), None)

    def add(self, child: ModelChild) -> None:
        self.children.append(child)
        self.diary.append(f"+{child.name}")

    def end(self, child: ModelChild, *, failed: bool) -> None:
        """It ended by itself."""
        if not failed:
            self.diary.append(f"-{child.name}")
        again = child.restart is Restart.PERMANENT or (
            child.restart is Restart.TRANSIENT and failed
        )
        if not again:
            self._leave(child)
            return
        self.failures += 1
        child.failures += 1
        if (self.failures if self.escalate else child.failures) > self.intensity:
            child.state = FATAL
            if self.escalate:
                self._shut_down("failed")
            return
        self._restart_group(child)

    def _leave(self, child: ModelChild) -> None:
        child.state = EXITED
        self._forget_if_temporary(child)
        if not child.significant or self.auto_shutdown is AutoShutdown.NEVER:
            return
        others = any(one.significant and one.runs for one in self.children)
        if self.auto_shutdown is AutoShutdown.ANY_SIGNIFICANT or not others:
            self._shut_down("shutdown")

    def _restart_group(self, failed: ModelChild) -> None:
        place = self.children.index(failed)
        failed.state = "failed"
        group = {
            Strategy.ONE_FOR_ONE: [failed],
            Strategy.ONE_FOR_ALL: list(self.children),
            Strategy.REST_FOR_ONE: self.children[place:],
        }[self.strategy]
        back = [
            one
            for one in group
            if one.restart is not Restart.TEMPORARY and one.state not in (STOPPED, FATAL)
        ]
        for one in reversed(group):
            if one.runs:
                self.diary.append(f"-{one.name}")
                one.state = STOPPED
        for one in back:
            self.diary.append(f"+{one.name}")
            one.state = RUNNING
        for one in group:
            if not one.runs:
                self._forget_if_temporary(one)

    def _forget_if_temporary(self, child: ModelChild) -> None:
        if child.dynamic and child.restart is Restart.TEMPORARY:
            self.children.remove(child)

    def _shut_down(self, how: str) -> None:
        self.ended = how
        self.diary += [f"-{one.name}" for one in reversed(self.children) if one.runs]

    def stop(self, child: ModelChild) -> None:
        if child.runs:
            self.diary.append(f"-{child.name}")
        child.state = STOPPED
        self._forget_if_temporary(child)

    def start(self, child: ModelChild) -> None:
        if not child.runs:
            self.diary.append(f"+{child.name}")
            child.state = RUNNING

    def restart(self, child: ModelChild) -> None:
        if child.runs:
            self.diary.append(f"-{child.name}")
            child.state = STOPPED
        self.start(child)


class Member(Actor):
    """Writes down its starts and stops."""

    def __init__(self, name: str, diary: list[str]) -> None:
        super().__init__()
        self._name = name
        self._diary = diary

    def on_start(self) -> None:
        self._diary.append(f"+{self._name}")

    def on_stop(self) -> None:
        self._diary.append(f"-{self._name}")

    def on_receive(self, message: Any) -> None:
        message(self)


def crash(_actor: Actor) -> None:
    raise ValueError("boom")


def crash_in_linked(actor: Actor) -> None:
    actor.spawn(crash, actor, name="job")


def crash_by_timer(actor: Actor) -> None:
    actor.after(0.0, lambda: crash(actor))


FAILURES = st.sampled_from([crash, crash_in_linked, crash_by_timer])
RESTARTS = st.sampled_from(list(Restart))


SUPERVISORS: dict[str, Any] = {
    "strategy": st.sampled_from(list(Strategy)),
    "auto_shutdown": st.sampled_from(list(AutoShutdown)),
    "escalate": st.booleans(),
    "intensity": st.integers(0, 12),
    "kinds": st.lists(st.tuples(RESTARTS, st.booleans()), min_size=1, max_size=5),
}


class SupervisorMachine(RuleBasedStateMachine):
    """Drives both."""

    def __init__(self) -> None:
        super().__init__()
        self.diary: list[str] = []
        self.supervisor: Supervisor | None = None
        self.root = Address("root", Mailbox(10_000))
        self.count = 0

    @initialize(**SUPERVISORS)
    def first(self, **chosen: Any) -> None:
        self.begin(**chosen)

    @precondition(lambda self: self.model.ended is not None)
    @rule(**SUPERVISORS)
    def the_next_one(self, **chosen: Any) -> None:
        self.begin(**chosen)

    def begin(
        self,
        strategy: Strategy,
        auto_shutdown: AutoShutdown,
        escalate: bool,
        intensity: int,
        kinds: list[tuple[Restart, bool]],
    ) -> None:
        self.diary, self.root = [], Address("root", Mailbox(10_000))
        self.model = Model(strategy, auto_shutdown, escalate, intensity)
        specs = []
        for restart, significant in kinds:
            child, spec = self._new_child(restart, significant)
            self.model.add(child)
            specs.append(spec)
        # Nothing leaves the window, and each spell is healthy: the model knows no time.
        limits = RestartLimits(intensity=intensity, period_s=3600, healthy_s=0)
        self.supervisor = Supervisor(
            specs,
            strategy=strategy,
            auto_shutdown=auto_shutdown,
            escalate=escalate,
            limits=limits,
        )
        start_actor(self.supervisor, self.root)

    def _new_child(
        self, restart: Restart, significant: bool, *, dynamic: bool = False
    ) -> tuple[ModelChild, ChildSpec]:
        self.count += 1
        name = f"c{self.count}"
        allowed = self.model.auto_shutdown is not AutoShutdown.NEVER
        matters = significant and allowed and restart is not Restart.PERMANENT
        spec = ChildSpec(
            Address(name),
            lambda: Member(name, self.diary),
            restart=restart,
            significant=matters,
        )
        return ModelChild(name, restart, matters, dynamic), spec

    # -- what happens --------------------------------------------------------------------------

    @precondition(lambda self: self.model.ended is None)
    @rule(place=st.integers(0, 20), fail=FAILURES)
    def one_fails(self, place: int, fail: Callable[[Actor], None]) -> None:
        self._end(place, lambda child: child.spec.address.tell(fail), failed=True)

    @precondition(lambda self: self.model.ended is None)
    @rule(place=st.integers(0, 20))
    def one_is_killed(self, place: int) -> None:
        self._end(place, lambda child: child.actor._greenlet.kill(block=False), failed=True)

    @precondition(lambda self: self.model.ended is None)
    @rule(place=st.integers(0, 20))
    def one_stops_by_itself(self, place: int) -> None:
        self._end(place, lambda child: child.actor.stop(), failed=False)

    def _end(self, place: int, end: Callable[[Any], None], *, failed: bool) -> None:
        running = [child for child in self.model.children if child.runs]
        assume(running)
        child = running[place % len(running)]
        real = self.supervisor._children[child.name]
        actor = real.actor
        end(real)
        self._wait(lambda: actor.gone)
        self.model.end(child, failed=failed)
        self._settle()

    @precondition(lambda self: self.model.ended is None)
    @rule(place=st.integers(0, 20), command=st.sampled_from([StopChild, StartChild, RestartChild]))
    def somebody_commands(self, place: int, command: type[msgspec.Struct]) -> None:
        assume(self.model.children)
        child = self.model.children[place % len(self.model.children)]
        self.root.ask(command(child.name), timeout_s=STEP_LIMIT_S)
        {
            StopChild: self.model.stop,
            StartChild: self.model.start,
            RestartChild: self.model.restart,
        }[command](child)
        self._settle()

    @precondition(lambda self: self.model.ended is None and len(self.model.children) < 8)
    @rule(restart=RESTARTS, significant=st.booleans())
    def one_is_added(self, restart: Restart, significant: bool) -> None:
        child, spec = self._new_child(restart, significant, dynamic=True)
        self.root.ask(AddChild(spec), timeout_s=STEP_LIMIT_S)
        self.model.add(child)
        self._settle()

    @precondition(lambda self: self.model.ended is None)
    @rule(place=st.integers(0, 20))
    def one_is_deleted(self, place: int) -> None:
        assume(self.model.children)
        child = self.model.children[place % len(self.model.children)]
        if child.runs:
            with pytest.raises(Refusal):
                self.root.ask(DeleteChild(child.name), timeout_s=STEP_LIMIT_S)
        else:
            self.root.ask(DeleteChild(child.name), timeout_s=STEP_LIMIT_S)
            self.model.children.remove(child)

    # -- what must be so -----------------------------------------------------------------------

    @invariant()
    def both_agree(self) -> None:
        if self.supervisor is None:
            return
        assert self.diary == self.model.diary
        if self.model.ended is not None:
            assert (self.supervisor.exit_error is not None) == (self.model.ended == "failed")
            return
        states = {child.name: child.state.value for child in self._real()}
        assert states == {child.name: child.state for child in self.model.children}

    def _real(self) -> list[Any]:
        assert self.supervisor is not None
        return list(self.supervisor._children.values())

    def _settle(self) -> None:
        """Wait until nothing is under way."""
        assert self.supervisor is not None
        supervisor = self.supervisor
        if self.model.ended is not None:
            assert supervisor.join(STEP_LIMIT_S)
        else:
            self._wait(lambda: supervisor.gone or self._settled(supervisor))
            assert not supervisor.gone, supervisor.exit_error

    def _settled(self, supervisor: Supervisor) -> bool:
        if supervisor._jobs or not self.root.mailbox.empty():
            return False
        return all(
            not child.managed
            and child.state.value in (RUNNING, STOPPED, EXITED, FATAL)
            and (child.state.value != RUNNING or not child.actor.gone)
            for child in self._real()
        )

    def _wait(self, condition: Callable[[], bool]) -> None:
        end = quiet_s() + STEP_LIMIT_S
        while not condition():
            assert quiet_s() < end, f"not settled: {self.diary}"
            gevent.sleep(0.0005)
        gevent.sleep(0.0005)

    def teardown(self) -> None:
        if self.supervisor is not None and not self.supervisor.gone:
            stop_actor(self.supervisor)


def run(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        SupervisorMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_supervisor_agrees_with_otps_rules_whatever_happens() -> None:
    run(examples=25, steps=20)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_supervisor_agrees_with_otps_rules_for_thousands_of_steps() -> None:
    run(examples=max(1, STEPS_IN_THE_LONG_RUN // 50), steps=50)
