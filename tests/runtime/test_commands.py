"""Children that come and go at run time, and what supervisors are told."""

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from orchestrator.runtime import (
    Actor,
    ActorUnavailable,
    AddChild,
    Address,
    AutoShutdown,
    ChildSpec,
    DeleteChild,
    GetTree,
    Refusal,
    Restart,
    RestartChild,
    RestartLimits,
    StartChild,
    StopChild,
    Strategy,
    Supervisor,
    UnknownChild,
    start_actor,
    stop_actor,
)

FAST = RestartLimits(intensity=20, backoff_initial_s=0.005, backoff_max_s=0.02, healthy_s=0)


class Doer(Actor):
    def on_receive(self, message: Any) -> Any:
        return message(self) if callable(message) else message


class Broken(Doer):
    def on_start(self) -> None:
        raise OSError("no port")


def crash(_actor: Actor) -> None:
    raise ValueError("boom")


def spec(name: str, factory: Callable[[], Actor] = Doer, **options: Any) -> ChildSpec:
    return ChildSpec(Address(name), factory, **options)


Tell = Callable[[Any], Any]
Root = Callable[..., Tell]


@pytest.fixture
def new_root() -> Iterator[Root]:
    """Starts a supervisor; what it returns asks it."""
    made: list[Supervisor] = []

    def make(*specs: ChildSpec, **options: Any) -> Tell:
        supervisor = Supervisor(specs, **({"limits": FAST} | options))
        made.append(supervisor)
        address = start_actor(supervisor, Address("root"))
        return lambda message: address.ask(message, timeout_s=5)

    yield make
    for supervisor in made:
        stop_actor(supervisor)


def names(rows: list[dict[str, Any]]) -> list[str]:
    return [row["name"] for row in rows]


def wait_for(ask: Tell, condition: Callable[[list[dict[str, Any]]], bool]) -> None:
    with gevent.Timeout(5, AssertionError(ask(GetTree()))):
        while not condition(ask(GetTree())):
            gevent.sleep(0.005)


def test_a_child_added_at_run_time_runs_and_is_restarted_like_any(new_root: Root) -> None:
    ask, late = new_root(spec("a")), spec("late")

    row = ask(AddChild(late))
    late.address.tell(crash)

    assert (row["name"], row["state"]) == ("late", "RUNNING")
    wait_for(ask, lambda rows: rows[1]["restarts"] == 1 and rows[1]["state"] == "RUNNING")


def test_a_name_that_is_taken_is_refused(new_root: Root) -> None:
    ask = new_root(spec("a"))

    with pytest.raises(Refusal, match="a child named 'a' already"):
        ask(AddChild(spec("a")))


def test_a_child_that_does_not_start_is_not_kept(new_root: Root) -> None:
    ask = new_root(spec("a"))

    with pytest.raises(Refusal, match="no port"):
        ask(AddChild(spec("late", Broken)))

    assert names(ask(GetTree())) == ["a"]


def test_a_child_that_waits_for_its_start_is_added_but_not_started(new_root: Root) -> None:
    ask = new_root(spec("a"))

    row = ask(AddChild(spec("late", autostart=False)))

    assert row["state"] == "STOPPED"
    assert ask(StartChild("late"))["state"] == "RUNNING"


def test_a_temporary_child_is_kept_if_asked_for(new_root: Root) -> None:
    ask = new_root(spec("a"))
    ask(AddChild(spec("kept", restart=Restart.TEMPORARY), kept=True))
    ask(AddChild(spec("forgotten", restart=Restart.TEMPORARY)))

    ask(StopChild("kept"))
    ask(StopChild("forgotten"))

    wait_for(ask, lambda rows: names(rows) == ["a", "kept"])
    assert ask(StartChild("kept"))["state"] == "RUNNING"


def test_a_child_may_be_added_further_down(new_root: Root) -> None:
    inner = spec("inner", lambda: Supervisor([], limits=FAST), kind="supervisor")
    outer = spec("outer", lambda: Supervisor([inner], limits=FAST), kind="supervisor")
    ask = new_root(outer)

    ask(AddChild(spec("leaf"), supervisor="inner"))

    assert names(ask(GetTree())[0]["children"][0]["children"]) == ["leaf"]
    assert ask(RestartChild("leaf"))["restarts"] == 1


def test_a_child_of_an_unknown_supervisor_is_refused(new_root: Root) -> None:
    ask = new_root(spec("a"))

    for name in ("nobody", "a"):
        with pytest.raises(UnknownChild, match="no supervisor named"):
            ask(AddChild(spec("late"), supervisor=name))


def test_a_running_child_is_not_deleted(new_root: Root) -> None:
    ask = new_root(spec("a"))

    with pytest.raises(Refusal, match="stop it first"):
        ask(DeleteChild("a"))


def test_a_deleted_child_leaves_no_mail_behind(new_root: Root) -> None:
    gone = spec("a")
    ask = new_root(gone)
    ask(StopChild("a"))
    gone.address.tell("too late")

    ask(DeleteChild("a"))

    assert ask(GetTree()) == []
    assert gone.address.dead_letters.total == 1
    with pytest.raises(ActorUnavailable):
        gone.address.ask("hello?", timeout_s=1)
    with pytest.raises(Refusal, match="closed"):
        ask(AddChild(gone))


def test_a_stop_that_somebody_ordered_outlasts_the_restart_of_its_siblings(
    new_root: Root,
) -> None:
    a, b = spec("a"), spec("b")
    ask = new_root(a, b, strategy=Strategy.ONE_FOR_ALL)
    ask(StopChild("b"))

    a.address.tell(crash)

    wait_for(ask, lambda rows: rows[0]["restarts"] == 1 and rows[0]["state"] == "RUNNING")
    assert ask(GetTree())[1]["state"] == "STOPPED"
    assert ask(StartChild("b"))["state"] == "RUNNING"


def test_a_temporary_child_is_never_restarted_with_its_siblings(new_root: Root) -> None:
    a, b = spec("a"), spec("b", restart=Restart.TEMPORARY)
    ask = new_root(a, b, strategy=Strategy.ONE_FOR_ALL)

    a.address.tell(crash)

    wait_for(ask, lambda rows: rows[0]["restarts"] == 1 and rows[0]["state"] == "RUNNING")
    assert ask(GetTree())[1]["state"] == "STOPPED"


@pytest.mark.parametrize("ending", [crash, Actor.stop])
def test_a_temporary_child_added_at_run_time_is_forgotten_when_it_ends(
    new_root: Root, ending: Callable[[Actor], None]
) -> None:
    ask, late = new_root(spec("a")), spec("late", restart=Restart.TEMPORARY)
    ask(AddChild(late))

    late.address.tell(ending)

    wait_for(ask, lambda rows: names(rows) == ["a"])
    assert late.address.closed


def test_one_that_does_not_start_on_its_own_waits_for_somebody(new_root: Root) -> None:
    ask = new_root(spec("a", autostart=False))

    assert ask(GetTree())[0]["state"] == "STOPPED"
    assert ask(StartChild("a"))["state"] == "RUNNING"


def test_one_that_is_being_stopped_takes_no_second_command(new_root: Root) -> None:
    slow = spec("a")
    ask = new_root(slow)
    slow.address.tell(lambda _actor: gevent.sleep(0.2))
    stopping = gevent.spawn(ask, StopChild("a"))
    gevent.sleep(0.02)

    with pytest.raises(Refusal, match="just now"):
        ask(StopChild("a"))

    assert stopping.get()["state"] == "STOPPED"


# -- significant children --------------------------------------------------------------------------


def significant(name: str) -> ChildSpec:
    return spec(name, restart=Restart.TRANSIENT, significant=True)


def test_the_end_of_any_significant_child_ends_the_supervisor() -> None:
    a, b = significant("a"), significant("b")
    supervisor = Supervisor([a, b], limits=FAST, auto_shutdown=AutoShutdown.ANY_SIGNIFICANT)
    start_actor(supervisor)

    a.address.tell(Actor.stop)

    assert supervisor.join(5)
    assert supervisor.exit_error is None


def test_the_end_of_all_significant_children_ends_the_supervisor() -> None:
    a, b, other = significant("a"), significant("b"), spec("other")
    supervisor = Supervisor([a, b, other], limits=FAST, auto_shutdown=AutoShutdown.ALL_SIGNIFICANT)
    start_actor(supervisor)

    a.address.tell(Actor.stop)
    assert not supervisor.join(0.1)
    b.address.tell(Actor.stop)

    assert supervisor.join(5)


def test_a_significant_child_that_is_restarted_ends_nothing(new_root: Root) -> None:
    a = significant("a")
    ask = new_root(a, auto_shutdown=AutoShutdown.ANY_SIGNIFICANT)

    a.address.tell(crash)

    wait_for(ask, lambda rows: rows[0]["restarts"] == 1 and rows[0]["state"] == "RUNNING")


def test_a_significant_child_that_somebody_stops_ends_nothing(new_root: Root) -> None:
    ask = new_root(significant("a"), auto_shutdown=AutoShutdown.ANY_SIGNIFICANT)

    assert ask(StopChild("a"))["state"] == "STOPPED"


def test_what_otp_refuses_is_refused(new_root: Root) -> None:
    with pytest.raises(ValueError, match="permanent"):
        spec("a", significant=True)
    with pytest.raises(ValueError, match="auto_shutdown is never"):
        Supervisor([significant("a")])
    with pytest.raises(ValueError, match="two children"):
        Supervisor([spec("a"), spec("a")])
    with pytest.raises(Refusal, match="auto_shutdown is never"):
        new_root()(AddChild(significant("a")))
