"""A busy loop is seen, and ends in the greenlet that holds the loop, nowhere else."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from orchestrator.runtime import (
    Actor,
    ActorHung,
    Address,
    ChildSpec,
    GetTree,
    RestartLimits,
    Supervisor,
    start_actor,
    stop_actor,
)
from orchestrator.runtime.telemetry.loop_watchdog import LoopWatchdog
from structlog.testing import capture_logs


class Doer(Actor):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def on_receive(self, message: Any) -> Any:
        if callable(message):
            return message(self)
        self.seen.append(message)
        return message


def hold_the_loop(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(50))


@pytest.fixture
def stalls() -> list[float]:
    return []


@pytest.fixture
def new_watchdog(stalls: list[float]) -> Iterator[Callable[..., LoopWatchdog]]:
    made: list[LoopWatchdog] = []

    def make(**options: float) -> LoopWatchdog:
        watchdog = LoopWatchdog(stalls.append, **options)
        watchdog.start()
        made.append(watchdog)
        return watchdog

    yield make
    for watchdog in made:
        watchdog.stop()


Make = Callable[..., LoopWatchdog]


def test_a_held_loop_is_logged_with_the_stack_of_the_culprit(new_watchdog: Make) -> None:
    with capture_logs() as lines:
        new_watchdog(log_after_s=0.1)
        gevent.spawn(hold_the_loop, 0.4).join()

    held = [line for line in lines if line["event"] == "event loop blocked"]
    assert len(held) == 1
    assert any("hold_the_loop" in frame for frame in held[0]["trace"])


def test_a_stall_is_told_with_its_seconds_once_it_is_over(
    new_watchdog: Make, stalls: list[float]
) -> None:
    new_watchdog()
    gevent.spawn(hold_the_loop, 0.3).join()
    gevent.sleep(0.1)

    assert 0.2 < max(stalls) < 2


def test_a_busy_loop_is_interrupted_in_its_own_greenlet(new_watchdog: Make) -> None:
    new_watchdog(log_after_s=0.1, raise_after_s=0.5)
    bystander = gevent.spawn(gevent.sleep, 1.5)
    busy = gevent.spawn(hold_the_loop, 60)

    busy.join(10)
    bystander.join(10)

    assert isinstance(busy.exception, ActorHung)
    assert "has blocked the event loop for" in str(busy.exception)
    assert bystander.successful()


def test_code_that_swallows_the_interruption_is_interrupted_again(new_watchdog: Make) -> None:
    caught: list[ActorHung] = []

    def stubborn() -> None:
        while len(caught) < 2:
            try:
                hold_the_loop(60)
            except ActorHung as error:
                caught.append(error)

    new_watchdog(log_after_s=0.1, raise_after_s=0.3)
    gevent.spawn(stubborn).join(10)

    assert len(caught) == 2


def test_many_short_turns_are_nobodys_hang(new_watchdog: Make, stalls: list[float]) -> None:
    new_watchdog(log_after_s=0.1, raise_after_s=0.3)
    greenlets = [gevent.spawn(hold_the_loop, 0.15) for _ in range(10)]

    gevent.joinall(greenlets, timeout=20)
    gevent.sleep(0.1)

    assert all(greenlet.successful() for greenlet in greenlets)
    assert stalls


def test_the_main_greenlet_is_nobodys_and_left_alone(new_watchdog: Make) -> None:
    new_watchdog(log_after_s=0.1, raise_after_s=0.3)

    hold_the_loop(1.0)


def test_an_actor_that_computes_for_ever_is_restarted_and_bystanders_lose_no_message(
    new_watchdog: Make,
) -> None:
    new_watchdog(log_after_s=0.1, raise_after_s=0.5)
    busy, bystander = ChildSpec(Address("busy"), Doer), ChildSpec(Address("bystander"), Doer)
    supervisor = Supervisor([busy, bystander], limits=RestartLimits(), hang_timeout_s=0.3)
    root = start_actor(supervisor)
    for number in range(100):
        bystander.address.tell(number)

    busy.address.tell(lambda _actor: hold_the_loop(60))
    for number in range(100, 200):
        bystander.address.tell(number)
    assert busy.address.ask("back", timeout_s=10) == "back"

    assert bystander.address.ask(lambda doer: list(doer.seen), timeout_s=5) == list(range(200))
    rows = root.ask(GetTree(), timeout_s=1)
    assert [row["restarts"] for row in rows] == [1, 0]
    assert rows[0]["last_error"].startswith("ActorHung: busy has blocked the event loop")
    stop_actor(supervisor)


def test_a_watchdog_may_be_stopped_twice_and_without_a_start(new_watchdog: Make) -> None:
    LoopWatchdog().stop()
    watchdog = new_watchdog()

    watchdog.stop()
    watchdog.stop()
