"""What one run leaves to the next: everything that waits, and nothing that was its own."""

from typing import Any

import gevent
import pytest
from gevent.event import Event
from orchestrator.runtime import (
    Actor,
    ActorFailed,
    Address,
    ChildSpec,
    FullPolicy,
    Mailbox,
    RestartLimits,
    StartFailed,
    Supervisor,
    start_actor,
    stop_actor,
)

FAST = RestartLimits(intensity=100, backoff_initial_s=0.005, backoff_max_s=0.02)


class Doer(Actor):
    """Calls what it is told with itself, or keeps it."""

    def __init__(self, seen: list[Any] | None = None) -> None:
        super().__init__()
        self.seen: list[Any] = seen if seen is not None else []

    def on_receive(self, message: Any) -> Any:
        if callable(message):
            return message(self)
        self.seen.append((id(self), message))
        return message


class Stubborn:
    """Swallows every kill until it is let go, then tries to read on."""

    def __init__(self) -> None:
        self.entered = Event()
        self.let_go = False
        self.taken: list[Any] = []
        self.left = Event()

    def __call__(self, actor: Actor) -> None:
        self.entered.set()
        while not self.let_go:
            try:
                gevent.sleep(0.01)
            except BaseException:  # noqa: BLE001, S112 that is what it does
                continue
        self.taken = actor.take_waiting(object, 100)
        self.left.set()


def test_a_swallowed_kill_takes_effect_after_the_message_in_hand() -> None:
    actor, address = Doer(), Address("a")
    start_actor(actor, address)

    def swallow(_actor: Actor) -> None:
        try:
            gevent.sleep(60)
        except BaseException:  # noqa: BLE001 that is what it does
            return

    address.tell(swallow)
    address.tell("for the successor")
    gevent.sleep(0.01)
    actor.kill(ActorFailed("a", "a test says so"))

    assert actor.join(1)
    assert actor.seen == []
    assert "a test says so" in str(actor.exit_error)
    assert len(address.mailbox) == 1


def test_a_run_that_swallows_its_kill_never_reads_beside_its_successor() -> None:
    seen: list[Any] = []
    stubborn, address = Stubborn(), Address("a", Mailbox(1000))
    supervisor = Supervisor(
        [ChildSpec(address, lambda: Doer(seen))], limits=FAST, hang_timeout_s=0.05
    )
    start_actor(supervisor)
    address.tell(stubborn)
    for number in range(100):
        address.tell(number)

    assert address.ask("the successor", timeout_s=10) == "the successor"
    stubborn.let_go = True
    stubborn.left.wait(5)
    for number in range(100, 200):
        address.tell(number)
    address.ask("last", timeout_s=5)

    assert stubborn.taken == []
    numbers = [message for _reader, message in seen if isinstance(message, int)]
    assert numbers == list(range(200))
    assert len({reader for reader, _message in seen}) == 1
    assert address.processed + address.dead_letters.total == 203
    stop_actor(supervisor)


def test_an_abandoned_run_fires_no_timer_and_counts_nothing() -> None:
    ticks: list[int] = []
    actor, stubborn, address = Doer(), Stubborn(), Address("a")
    start_actor(actor, address)
    address.tell(lambda doer: doer.every(0.001, lambda: ticks.append(1)))
    address.tell(stubborn)
    stubborn.entered.wait(1)

    actor.abandon(ActorFailed("a", "given up"))
    ticks.clear()
    stubborn.let_go = True
    stubborn.left.wait(5)
    gevent.sleep(0.02)

    assert ticks == []
    assert actor.gone
    assert address.processed == 1


def test_the_asker_of_an_abandoned_run_is_told() -> None:
    actor, stubborn, address = Doer(), Stubborn(), Address("a")
    start_actor(actor, address)
    outcome: list[BaseException] = []

    def ask() -> None:
        try:
            address.ask(stubborn, timeout_s=5)
        except ActorFailed as error:
            outcome.append(error)

    asker = gevent.spawn(ask)
    stubborn.entered.wait(1)

    actor.abandon(ActorFailed("a", "given up"))
    asker.join(1)
    stubborn.let_go = True
    stubborn.left.wait(5)

    assert "given up" in str(outcome[0])


def test_a_stop_meant_for_a_predecessor_does_not_stop_the_successor() -> None:
    first, second, address = Doer(), Doer(), Address("a")
    start_actor(first, address)
    address.tell(lambda doer: (doer.stop(), 1 / 0))
    first.join(1)

    start_actor(second, address)

    assert address.ask("still there?", timeout_s=1)
    stop_actor(second)


def test_a_second_linked_failure_of_a_predecessor_does_not_fail_the_successor() -> None:
    first, second, address = Doer(), Doer(), Address("a")
    start_actor(first, address)

    def spawn_two(doer: Actor) -> None:
        for name in ("one", "two"):
            doer.spawn(lambda: 1 / 0, name=name)

    address.tell(spawn_two)
    first.join(1)
    start_actor(second, address)

    assert address.ask("still there?", timeout_s=1)
    stop_actor(second)


def test_a_start_that_hangs_and_swallows_its_kill_is_given_up() -> None:
    class Hanging(Doer):
        def on_start(self) -> None:
            for _ in range(2):
                try:
                    gevent.sleep(3)
                except BaseException:  # noqa: BLE001, S112 that is what it does
                    continue

    actor = Hanging()

    with pytest.raises(StartFailed, match="not ready after"):
        start_actor(actor, timeout_s=0.05)

    assert actor.abandoned


def test_handled_dead_and_dropped_messages_add_up_over_restarts() -> None:
    dropped: list[Any] = []

    address = Address("a", Mailbox(50, FullPolicy.DROP_OLDEST, dropped.append))
    supervisor = Supervisor([ChildSpec(address, Doer)], limits=FAST)
    start_actor(supervisor)

    for number in range(2000):
        address.tell((lambda _doer: 1 / 0) if number % 100 == 50 else number)
        if number % 10 == 0:
            gevent.sleep(0)
    address.ask("last", timeout_s=5)

    assert address.processed + address.dead_letters.total + address.mailbox.dropped == 2001
    assert len(dropped) == address.mailbox.dropped
    stop_actor(supervisor)
