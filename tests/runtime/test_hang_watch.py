"""Who is silent is found, and who only had to wait for the loop is not."""

import time
from typing import Any

import gevent
import pytest
from orchestrator.runtime import (
    Actor,
    Address,
    ChildSpec,
    GetTree,
    RestartLimits,
    Supervisor,
    start_actor,
    stop_actor,
)
from quiet_clock import quiet_s

FAST = RestartLimits(intensity=100, backoff_initial_s=0.005, backoff_max_s=0.02)


class Doer(Actor):
    def on_receive(self, message: Any) -> Any:
        return message(self) if callable(message) else message


def wait_for_restart(root: Address, place: int, limit_s: float) -> dict[str, Any]:
    end = quiet_s() + limit_s
    while True:
        row: dict[str, Any] = root.ask(GetTree(), timeout_s=5)[place]
        if row["restarts"] and row["state"] == "RUNNING":
            return row
        assert quiet_s() < end, "not restarted"
        gevent.sleep(0.005)


@pytest.mark.slow
def test_a_hang_is_found_within_5_s_by_default() -> None:
    specs = [ChildSpec(Address(name), Doer) for name in "ab"]
    supervisor = Supervisor(specs)
    root = start_actor(supervisor)

    specs[0].address.tell(lambda _actor: gevent.sleep(3600))

    row = wait_for_restart(root, 0, 5.0)
    assert "ActorHung" in row["last_error"]
    assert root.ask(GetTree(), timeout_s=1)[1]["restarts"] == 0
    stop_actor(supervisor)


@pytest.mark.parametrize("hook", ["on_stop", "on_failure"])
def test_one_that_hangs_while_it_ends_is_found_too(hook: str) -> None:
    first = [True]

    class Hanging(Doer):
        def on_stop(self) -> None:
            self._hang("on_stop")

        def on_failure(self, *_exc_info: object) -> None:
            self._hang("on_failure")

        def _hang(self, here: str) -> None:
            if here == hook and first:
                first.clear()
                gevent.sleep(3600)

    spec = ChildSpec(Address("a"), Hanging, shutdown_s=0.1)
    supervisor = Supervisor([spec], limits=FAST, hang_timeout_s=0.3)
    root = start_actor(supervisor)

    spec.address.tell(Actor.stop if hook == "on_stop" else lambda _actor: 1 / 0)

    wait_for_restart(root, 0, 10.0)
    stop_actor(supervisor)


def test_a_start_that_hangs_is_found_at_its_own_limit() -> None:
    starts: list[int] = []

    class Hanging(Doer):
        def on_start(self) -> None:
            starts.append(1)
            if len(starts) == 2:
                gevent.sleep(3600)

    spec = ChildSpec(Address("a"), Hanging, start_timeout_s=0.2)
    supervisor = Supervisor([spec], limits=FAST, hang_timeout_s=0.1)
    root = start_actor(supervisor)

    spec.address.tell(lambda _actor: 1 / 0)

    with gevent.Timeout(10):
        while len(starts) < 3:
            gevent.sleep(0.01)
    assert wait_for_restart(root, 0, 5)["restarts"] == 2
    stop_actor(supervisor)


def test_bystanders_of_a_held_loop_are_not_taken_for_hung() -> None:
    specs = [ChildSpec(Address(name), Doer) for name in "abcdef"]
    supervisor = Supervisor(specs, limits=FAST, hang_timeout_s=0.1)
    root = start_actor(supervisor)

    def compute(_actor: Actor) -> None:
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            pass

    for _ in range(2):
        specs[0].address.ask(compute, timeout_s=5)
        gevent.sleep(0.2)

    assert [row["restarts"] for row in root.ask(GetTree(), timeout_s=1)] == [0] * 6
    stop_actor(supervisor)


def test_a_child_that_waits_in_backoff_is_not_pinged() -> None:
    spec = ChildSpec(Address("a"), Doer)
    limits = RestartLimits(backoff_initial_s=0.5, jitter=0)
    supervisor = Supervisor([spec], limits=limits, hang_timeout_s=0.1)
    root = start_actor(supervisor)
    for _ in range(2):
        spec.address.tell(lambda _actor: 1 / 0)

    with gevent.Timeout(5):
        while root.ask(GetTree(), timeout_s=1)[0]["state"] != "BACKOFF":
            gevent.sleep(0.005)
        while root.ask(GetTree(), timeout_s=1)[0]["state"] != "RUNNING":
            gevent.sleep(0.005)

    assert root.ask(GetTree(), timeout_s=1)[0]["restarts"] == 2
    stop_actor(supervisor)
