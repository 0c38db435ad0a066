"""How children are stopped: within seconds, at once, or however long it takes."""

from functools import partial
from typing import Any

import gevent
import pytest
from orchestrator.runtime import (
    Actor,
    ActorFailed,
    Address,
    ChildSpec,
    DeadLetters,
    GetTree,
    RestartChild,
    RestartLimits,
    Shutdown,
    StartFailed,
    Supervisor,
    SupervisorReport,
    start_actor,
    stop_actor,
)
from quiet_clock import quiet_s


class Member(Actor):
    """Notes its hooks; takes `stop_s` to stop."""

    def __init__(self, name: str, diary: list[str], stop_s: float = 0.0) -> None:
        super().__init__()
        self._name = name
        self._diary = diary
        self._stop_s = stop_s

    def on_stop(self) -> None:
        gevent.sleep(self._stop_s)
        self._diary.append(f"-{self._name}")

    def on_receive(self, message: Any) -> Any:
        return message(self) if callable(message) else message


@pytest.fixture
def diary() -> list[str]:
    return []


@pytest.fixture
def reports() -> list[SupervisorReport]:
    return []


def test_brutal_kill_asks_nobody(diary: list[str], reports: list[SupervisorReport]) -> None:
    spec = ChildSpec(Address("a"), lambda: Member("a", diary, 60), shutdown_s=Shutdown.BRUTAL_KILL)
    supervisor = Supervisor([spec], on_report=reports.append)
    start_actor(supervisor)
    begin = quiet_s()

    stop_actor(supervisor)

    assert quiet_s() - begin < 1
    assert (diary, reports) == ([], [])


def test_a_supervisor_with_infinity_waits_for_its_children(diary: list[str]) -> None:
    leaf = ChildSpec(Address("leaf"), lambda: Member("leaf", diary, 0.3))
    inner = ChildSpec(
        Address("inner"),
        lambda: Supervisor([leaf]),
        shutdown_s=Shutdown.INFINITY,
        kind="supervisor",
    )
    supervisor = Supervisor([inner])
    start_actor(supervisor)

    stop_actor(supervisor)

    assert diary == ["-leaf"]


def test_infinity_is_for_supervisors() -> None:
    with pytest.raises(ValueError, match="only supervisors"):
        ChildSpec(Address("a"), Actor, shutdown_s=Shutdown.INFINITY)


def test_children_of_a_supervisor_that_is_killed_while_stopping_do_not_live_on(
    diary: list[str],
) -> None:
    leaf = ChildSpec(Address("leaf"), lambda: Member("leaf", diary, 60), shutdown_s=60)
    supervisor = Supervisor([leaf])
    start_actor(supervisor)
    child = supervisor._children["leaf"].actor
    supervisor.stop()
    gevent.sleep(0.02)

    supervisor.kill(ActorFailed("root", "a test says so"))

    assert supervisor.join(5)
    assert child.gone


def test_a_supervisor_that_failed_stops_its_children_within_its_limit(diary: list[str]) -> None:
    slow = [
        ChildSpec(Address(name), partial(Member, name, diary, 60), shutdown_s=60) for name in "abc"
    ]
    quick = ChildSpec(Address("quick"), lambda: Member("quick", diary), shutdown_s=60)
    supervisor = Supervisor([quick, *slow], limits=RestartLimits(intensity=0), failure_stop_s=0.5)
    start_actor(supervisor)
    begin = quiet_s()

    quick.address.tell(lambda _actor: 1 / 0)

    assert supervisor.join(5)
    assert quiet_s() - begin < 2
    assert all(child.actor.gone for child in supervisor._children.values())


def test_a_restart_that_is_under_way_ends_with_the_supervisor(diary: list[str]) -> None:
    class Slow(Member):
        def on_start(self) -> None:
            if "-a" in diary:
                gevent.sleep(60)

    spec = ChildSpec(Address("a"), lambda: Slow("a", diary))
    supervisor = Supervisor([spec])
    root = start_actor(supervisor)

    root.tell(RestartChild("a"))
    with gevent.Timeout(5):
        while root.ask(GetTree(), timeout_s=1)[0]["state"] != "STARTING":
            gevent.sleep(0.005)

    stop_actor(supervisor, timeout_s=20)

    assert supervisor._children["a"].actor.gone


def test_a_child_that_fails_to_start_says_why(reports: list[SupervisorReport]) -> None:
    class Broken(Actor):
        def on_start(self) -> None:
            raise OSError("no port")

    supervisor = Supervisor([ChildSpec(Address("a"), Broken)], on_report=reports.append)

    with pytest.raises(StartFailed):
        start_actor(supervisor)

    assert [(one.context, one.reason) for one in reports] == [("start_error", "OSError: no port")]


def test_children_that_stop_together_take_as_long_as_the_slowest(diary: list[str]) -> None:
    specs = [ChildSpec(Address(name), partial(Member, name, diary, 0.5)) for name in "abcdefgh"]
    supervisor = Supervisor(specs, stop_together=True)
    start_actor(supervisor)
    begin = quiet_s()

    stop_actor(supervisor)

    assert quiet_s() - begin < 2
    assert sorted(diary) == [f"-{name}" for name in "abcdefgh"]


def test_deaf_children_that_stop_together_are_killed_together(
    diary: list[str], reports: list[SupervisorReport]
) -> None:
    deaf = [
        ChildSpec(Address(name), partial(Member, name, diary, 60), shutdown_s=0.3)
        for name in "abcdefgh"
    ]
    polite = ChildSpec(Address("polite"), lambda: Member("polite", diary), shutdown_s=60)
    supervisor = Supervisor([*deaf, polite], stop_together=True, on_report=reports.append)
    start_actor(supervisor)
    begin = quiet_s()

    stop_actor(supervisor)

    assert quiet_s() - begin < 1.5
    assert diary == ["-polite"]
    assert sorted(report.child for report in reports) == list("abcdefgh")
    assert all(child.actor.gone for child in supervisor._children.values())


def test_nobody_is_left_of_a_supervisor_killed_while_it_stops_children_together(
    diary: list[str],
) -> None:
    specs = [ChildSpec(Address(name), partial(Member, name, diary, 60)) for name in "abc"]
    supervisor = Supervisor(specs, stop_together=True)
    start_actor(supervisor)
    children = [child.actor for child in supervisor._children.values()]
    supervisor.stop()
    assert not supervisor.join(0.05)

    supervisor.kill(ActorFailed("root", "a test says so"))

    assert supervisor.join(5)
    assert all(child.gone for child in children)


def test_a_whole_stop_has_a_limit_in_which_everybody_gets_a_turn(diary: list[str]) -> None:
    deaf = [
        ChildSpec(Address(name), partial(Member, name, diary, 60), shutdown_s=60) for name in "abc"
    ]
    first = ChildSpec(Address("first"), lambda: Member("first", diary), shutdown_s=60)
    supervisor = Supervisor([first, *deaf], stop_s=0.5)
    start_actor(supervisor)
    begin = quiet_s()

    stop_actor(supervisor)

    assert quiet_s() - begin < 2
    assert diary == ["-first"]


def test_a_supervisors_own_news_are_no_dead_letters(diary: list[str]) -> None:
    letters = DeadLetters()
    specs = [ChildSpec(Address(name), partial(Member, name, diary)) for name in "abc"]
    supervisor = Supervisor(specs)
    start_actor(supervisor, Address("root", None, letters))

    stop_actor(supervisor)

    assert letters.snapshot() == []


def test_what_waits_anywhere_at_the_final_stop_becomes_dead_letters(diary: list[str]) -> None:
    letters = DeadLetters()
    leaf = ChildSpec(Address("leaf", None, letters), lambda: Member("leaf", diary))
    inner = ChildSpec(
        Address("inner"),
        lambda: Supervisor([leaf]),
        shutdown_s=Shutdown.INFINITY,
        kind="supervisor",
    )
    supervisor = Supervisor([inner])
    start_actor(supervisor)
    leaf.address.tell(lambda _actor: supervisor.stop())
    leaf.address.tell(lambda _actor: gevent.sleep(0.2))
    leaf.address.tell("too late")

    stop_actor(supervisor)
    leaf.address.tell("later still")

    kept = [(letter.actor, letter.message) for letter in letters.snapshot()]
    assert kept == [("leaf", "'too late'"), ("leaf", "'later still'")]
