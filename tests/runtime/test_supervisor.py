"""Supervision by OTP's rules: who is restarted, in which order, and when it is given up."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import gevent
import pytest
from orchestrator.runtime import (
    Actor,
    ActorFailed,
    Address,
    ChildSpec,
    GetTree,
    Mailbox,
    Refusal,
    Restart,
    RestartChild,
    RestartLimits,
    StartChild,
    StartFailed,
    StopChild,
    Strategy,
    Supervisor,
    SupervisorReport,
    UnknownChild,
    start_actor,
    stop_actor,
)
from quiet_clock import quiet_s

FAST = RestartLimits(intensity=5, period_s=60, backoff_initial_s=0.005, backoff_max_s=0.02)


class Family:
    """A supervisor over recorders, and a diary of what happened to them."""

    def __init__(self) -> None:
        self.diary: list[str] = []
        self.reports: list[SupervisorReport] = []
        self.supervisor: Any = None
        self.root = Address("root")
        self.children: dict[str, Address] = {}

    def spec(self, name: str, **options: Any) -> ChildSpec:
        address = self.children[name] = Address(name, Mailbox(100_000))
        return ChildSpec(address, lambda: Member(name, self.diary), **options)

    def start(self, *specs: ChildSpec, **options: Any) -> None:
        options.setdefault("limits", FAST)
        self.supervisor = Supervisor(specs, on_report=self.reports.append, **options)
        start_actor(self.supervisor, self.root)

    def row(self, name: str) -> dict[str, Any]:
        rows = self.root.ask(GetTree(), timeout_s=1)
        return next(row for row in rows if row["name"] == name)

    def wait_for(self, name: str, state: str, restarts: int = 0) -> dict[str, Any]:
        limit = quiet_s() + 5
        while (row := self.row(name))["state"] != state or row["restarts"] < restarts:
            assert quiet_s() < limit, row
            gevent.sleep(0.002)
        return row


class Member(Actor):
    def __init__(self, name: str, diary: list[str]) -> None:
        super().__init__()
        self._name = name
        self._diary = diary

    def on_start(self) -> None:
        self._diary.append(f"+{self._name}")

    def on_stop(self) -> None:
        self._diary.append(f"-{self._name}")

    def on_receive(self, message: Any) -> Any:
        return message(self) if callable(message) else message


def crash(_actor: Actor) -> None:
    raise ValueError("boom")


@pytest.fixture
def family() -> Iterator[Family]:
    family = Family()
    yield family
    if family.supervisor is not None:
        stop_actor(family.supervisor)


def test_children_start_in_order_and_stop_in_reverse(family: Family) -> None:
    family.start(*(family.spec(name) for name in "abc"))

    stop_actor(family.supervisor)

    assert family.diary == ["+a", "+b", "+c", "-c", "-b", "-a"]


def test_a_failed_first_start_stops_what_was_started(family: Family) -> None:
    class Broken(Member):
        def on_start(self) -> None:
            raise OSError("no port")

    broken = ChildSpec(Address("x"), lambda: Broken("x", family.diary))

    with pytest.raises(StartFailed, match="no port"):
        family.start(family.spec("a"), broken)

    assert family.diary == ["+a", "-a"]


def test_only_the_failed_child_is_restarted(family: Family) -> None:
    family.start(*(family.spec(name) for name in "abc"))

    family.children["b"].tell(crash)

    family.wait_for("b", "RUNNING", restarts=1)
    assert family.diary == ["+a", "+b", "+c", "+b"]


def test_one_for_all_restarts_everybody_in_order(family: Family) -> None:
    family.start(*(family.spec(name) for name in "abc"), strategy=Strategy.ONE_FOR_ALL)

    family.children["b"].tell(crash)

    family.wait_for("c", "RUNNING", restarts=1)
    assert family.diary == ["+a", "+b", "+c", "-c", "-a", "+a", "+b", "+c"]


def test_rest_for_one_restarts_those_who_came_after(family: Family) -> None:
    family.start(*(family.spec(name) for name in "abc"), strategy=Strategy.REST_FOR_ONE)

    family.children["b"].tell(crash)

    family.wait_for("c", "RUNNING", restarts=1)
    assert family.diary == ["+a", "+b", "+c", "-c", "+b", "+c"]


@pytest.mark.parametrize(
    ("restart", "ending", "state"),
    [
        (Restart.PERMANENT, crash, "RUNNING"),
        (Restart.PERMANENT, Actor.stop, "RUNNING"),
        (Restart.TRANSIENT, crash, "RUNNING"),
        (Restart.TRANSIENT, Actor.stop, "EXITED"),
        (Restart.TEMPORARY, crash, "EXITED"),
        (Restart.TEMPORARY, Actor.stop, "EXITED"),
    ],
)
def test_the_restart_kind_decides_after_which_end_a_child_returns(
    family: Family, restart: Restart, ending: Callable[[Actor], None], state: str
) -> None:
    family.start(family.spec("a", restart=restart))

    family.children["a"].tell(ending)

    row = family.wait_for("a", state, restarts=state == "RUNNING")
    assert row["restarts"] == (state == "RUNNING")


@pytest.mark.timing
def test_a_failed_child_is_back_within_100_ms_with_its_waiting_messages(family: Family) -> None:
    names = "abcde"
    family.start(*(family.spec(name) for name in names))

    took_s = [restart_time_s(family.children[name]) for name in names]

    assert min(took_s) < 0.1


def restart_time_s(address: Address) -> float:
    seen: list[int] = []
    begin = quiet_s()
    address.tell(crash)
    for number in range(1000):
        address.tell(lambda _actor, number=number: seen.append(number))
    address.ask("last", timeout_s=5)
    assert seen == list(range(1000))
    return quiet_s() - begin


def test_an_ask_during_a_restart_is_answered_by_the_successor(family: Family) -> None:
    family.start(family.spec("a"))
    family.children["a"].tell(crash)

    assert family.children["a"].ask("hello", timeout_s=1) == "hello"


def test_too_many_failures_fail_the_supervisor(family: Family) -> None:
    family.start(family.spec("a"), family.spec("b"))

    for _ in range(FAST.intensity + 1):
        family.children["a"].tell(crash)

    assert family.supervisor.join(5)
    assert "root gives up: a failed too often" in str(family.supervisor.exit_error)
    assert family.diary[-1] == "-b"


def test_without_escalation_the_child_is_fatal_and_nobody_else_is_touched(family: Family) -> None:
    family.start(family.spec("a"), family.spec("b"), escalate=False)

    for _ in range(FAST.intensity + 1):
        family.children["a"].tell(crash)

    family.wait_for("a", "FATAL")
    assert family.row("b")["restarts"] == 0
    assert [report.context for report in family.reports][-1] == "gave_up"


def test_an_operator_starts_a_fatal_child_again(family: Family) -> None:
    family.start(family.spec("a"), escalate=False)
    for _ in range(FAST.intensity + 1):
        family.children["a"].tell(crash)
    family.wait_for("a", "FATAL")

    row = family.root.ask(StartChild("a"), timeout_s=1)

    assert row["state"] == "RUNNING"


def test_a_hung_child_is_killed_and_restarted(family: Family) -> None:
    family.start(family.spec("a"), family.spec("b"), hang_timeout_s=0.05)

    family.children["a"].tell(lambda _actor: gevent.sleep(3600))

    row = family.wait_for("a", "RUNNING", restarts=1)
    assert "has not answered a ping" in row["last_error"]
    assert family.row("b")["restarts"] == 0


def test_a_child_that_will_not_stop_is_killed(family: Family) -> None:
    family.start(family.spec("a", shutdown_s=0.01))
    family.children["a"].tell(lambda _actor: gevent.sleep(3600))
    gevent.sleep(0.01)

    stop_actor(family.supervisor, timeout_s=2)

    assert family.reports[-1].context == "shutdown_error"


def test_a_full_mailbox_delays_neither_ping_nor_stop(family: Family) -> None:
    family.start(family.spec("a"))
    address = family.children["a"]
    while address.offer("noise"):
        pass
    begin = quiet_s()

    row = family.root.ask(RestartChild("a"), timeout_s=1)

    assert row["restarts"] == 1
    assert quiet_s() - begin < 0.1


def test_a_child_may_be_stopped_and_started_by_name(family: Family) -> None:
    family.start(family.spec("a"))

    stopped = family.root.ask(StopChild("a"), timeout_s=1)
    started = family.root.ask(StartChild("a"), timeout_s=1)

    assert (stopped["state"], started["state"]) == ("STOPPED", "RUNNING")
    assert family.diary == ["+a", "-a", "+a"]


def test_an_unknown_child_is_refused(family: Family) -> None:
    family.start(family.spec("a"))

    with pytest.raises(UnknownChild, match="no actor named 'nobody'"):
        family.root.ask(RestartChild("nobody"), timeout_s=1)


def test_a_nested_child_is_reached_through_the_root(family: Family) -> None:
    inner = Address("inner")
    spec = family.spec("leaf")
    nested = ChildSpec(inner, lambda: Supervisor([spec], limits=FAST), kind="supervisor")
    family.start(nested)

    row = family.root.ask(RestartChild("leaf"), timeout_s=1)

    assert row["restarts"] == 1
    assert family.row("inner")["children"][0]["name"] == "leaf"


def test_a_nested_supervisor_that_gives_up_is_restarted_by_its_parent(family: Family) -> None:
    spec = family.spec("leaf")
    limits = RestartLimits(intensity=0)
    nested = ChildSpec(
        Address("inner"), lambda: Supervisor([spec], limits=limits), kind="supervisor"
    )
    family.start(nested)

    family.children["leaf"].tell(crash)

    family.wait_for("inner", "RUNNING", restarts=1)
    assert family.children["leaf"].ask("hello", timeout_s=1) == "hello"


def test_a_constructor_that_raises_counts_as_a_failed_start(family: Family) -> None:
    attempts = itertools.count()

    def make() -> Actor:
        if next(attempts) == 1:
            raise OSError("not now")
        return Member("a", family.diary)

    family.children["a"] = Address("a")
    family.start(ChildSpec(family.children["a"], make))
    family.children["a"].tell(crash)

    row = family.wait_for("a", "RUNNING", restarts=2)
    assert row["last_error"] == "OSError: not now"


def test_a_restart_that_fails_is_refused_and_tried_again_later(family: Family) -> None:
    attempts = itertools.count()

    def make() -> Actor:
        if next(attempts) == 1:
            raise OSError("not now")
        return Member("a", family.diary)

    family.children["a"] = Address("a")
    family.start(ChildSpec(family.children["a"], make))

    with pytest.raises(Refusal, match="not now"):
        family.root.ask(RestartChild("a"), timeout_s=1)

    family.wait_for("a", "RUNNING", restarts=1)


def test_reports_carry_the_four_fields(family: Family) -> None:
    family.start(family.spec("a"))

    with pytest.raises(ActorFailed):
        family.children["a"].ask(crash, timeout_s=1)
    family.wait_for("a", "RUNNING", restarts=1)

    assert [(r.supervisor, r.context, r.reason, r.child) for r in family.reports] == [
        ("root", "child_terminated", "ValueError: boom", "a"),
        ("root", "child_restarted", "ValueError: boom", "a"),
    ]


# -- failures within the recovery of several ------------------------------------------------------


def failing_spec(family: Family, name: str, *, fails_at: int) -> ChildSpec:
    """One whose constructor raises at its n-th call."""
    calls = itertools.count(1)

    def make() -> Actor:
        if next(calls) == fails_at:
            raise OSError("not now")
        return Member(name, family.diary)

    address = family.children[name] = Address(name, Mailbox(1000))
    return ChildSpec(address, make)


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
def test_one_that_does_not_start_again_with_the_others_is_one_more_failure(
    family: Family, strategy: Strategy
) -> None:
    family.start(
        family.spec("a"),
        failing_spec(family, "b", fails_at=2),
        family.spec("c"),
        strategy=strategy,
    )

    family.children["a"].tell(crash)

    for name in "abc":
        family.wait_for(name, "RUNNING", restarts=1)
        assert family.children[name].ask("well?", timeout_s=1) == "well?"
    again = ["-a", "+a"] if strategy is Strategy.ONE_FOR_ALL else []
    assert family.diary == ["+a", "+b", "+c", "-c", "-b", "+a", *again, "+b", "+c"]


def test_one_that_fails_while_its_siblings_are_started_is_not_forgotten(family: Family) -> None:
    class Slow(Member):
        def on_start(self) -> None:
            if family.diary.count("+a") == 2:
                family.children["a"].tell(crash, urgent=True)
                gevent.sleep(0.05)
            super().on_start()

    address = family.children["b"] = Address("b")
    slow = ChildSpec(address, lambda: Slow("b", family.diary))
    family.start(family.spec("a"), slow, strategy=Strategy.ONE_FOR_ALL)

    family.children["a"].tell(crash)

    family.wait_for("a", "RUNNING", restarts=2)
    family.wait_for("b", "RUNNING", restarts=2)
    assert family.diary == ["+a", "+b", "-b", "+a", "+b", "-b", "+a", "+b"]


def test_a_supervisor_stopped_in_the_midst_of_a_restart_leaves_nobody(family: Family) -> None:
    class Slow(Member):
        def on_start(self) -> None:
            if family.diary.count("+a") == 2:
                gevent.sleep(60)

    address = family.children["b"] = Address("b")
    slow = ChildSpec(address, lambda: Slow("b", family.diary), shutdown_s=0.1)
    family.start(family.spec("a"), slow, family.spec("c"), strategy=Strategy.ONE_FOR_ALL)

    family.children["a"].tell(crash)
    family.wait_for("b", "STARTING")
    stop_actor(family.supervisor)

    assert all(child.actor.gone for child in family.supervisor._children.values())


def test_a_start_that_somebody_ordered_in_vain_is_tried_again(family: Family) -> None:
    family.start(failing_spec(family, "a", fails_at=2))
    family.root.ask(StopChild("a"), timeout_s=1)

    with pytest.raises(Refusal, match="not now"):
        family.root.ask(StartChild("a"), timeout_s=1)

    family.wait_for("a", "RUNNING", restarts=1)


def test_a_temporary_child_whose_ordered_start_fails_has_ended(family: Family) -> None:
    spec = replace(failing_spec(family, "a", fails_at=2), restart=Restart.TEMPORARY)
    family.start(spec)

    with pytest.raises(Refusal, match="not now"):
        family.root.ask(RestartChild("a"), timeout_s=1)

    assert family.wait_for("a", "EXITED")["restarts"] == 1


def test_the_children_of_a_supervisor_that_is_given_up_are_given_up(family: Family) -> None:
    spec = family.spec("leaf")
    inner = ChildSpec(Address("inner"), lambda: Supervisor([spec]), kind="supervisor")
    family.start(inner)
    given_up = family.supervisor._children["inner"].actor
    leaf = given_up._children["leaf"].actor

    given_up.abandon(ActorFailed("inner", "a test says so"))

    family.wait_for("inner", "RUNNING", restarts=1)
    assert leaf.gone
    assert family.children["leaf"].ask("well?", timeout_s=1) == "well?"


def test_those_behind_one_that_is_given_up_are_started_all_the_same(family: Family) -> None:
    calls = itertools.count(1)

    def make() -> Actor:
        if next(calls) > 1:
            raise OSError("never again")
        return Member("b", family.diary)

    family.children["b"] = Address("b")
    family.start(
        family.spec("a"),
        ChildSpec(family.children["b"], make),
        family.spec("c"),
        strategy=Strategy.REST_FOR_ONE,
        escalate=False,
        limits=RestartLimits(intensity=2, backoff_initial_s=0.005),
    )

    family.children["a"].tell(crash)

    family.wait_for("b", "FATAL")
    family.wait_for("c", "RUNNING")
