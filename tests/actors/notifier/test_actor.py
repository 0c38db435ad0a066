from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from orchestrator.actors.events import Event
from orchestrator.actors.messages.events import EventReplaced, EventsJournalled
from orchestrator.actors.notifier import actor as module
from orchestrator.actors.notifier.actor import MAX_WAITING, Notifier, Outbound, delay_s
from orchestrator.actors.notifier.notifications import Notification, of_event
from orchestrator.actors.notifier.settings import NotifySettings
from orchestrator.runtime import Address, start_actor, stop_actor

from .receiver import SECRET, Receiver, receiving

Wait = Callable[..., None]
TS = "2026-01-31T09:30:00.000Z"


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_DELAY_S", 0.01)
    monkeypatch.setattr(module, "CHECK_S", 0.02)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


class Readings:
    """What the daemon's lag and disk are."""

    lag_s = 0.0
    free = 1e12


@contextmanager
def notifying(receiver: Receiver, readings: Readings | None = None) -> Iterator[Notifier]:
    found = readings or Readings()
    settings = {"url": receiver.url, "secret": SECRET, "attempts": 4, "timeout_s": 5}
    actor = Notifier(
        settings=NotifySettings.model_validate(settings),
        outbound=Outbound(),
        about={"instance": "desk"},
        lag_s=lambda: found.lag_s,
        disk_free=lambda: found.free,
    )
    start_actor(actor, Address("notifier"))
    try:
        yield actor
    finally:
        stop_actor(actor)


def stop(number: int) -> Event:
    return Event(number, "risk.killswitch", b'{"enabled":true,"reason":"r"}', TS, None)


def test_every_stop_is_delivered_in_order(receiver: Receiver, wait_until: Wait) -> None:
    with notifying(receiver) as actor:
        actor.address.tell(EventsJournalled((stop(1), stop(2))))
        actor.address.tell(EventsJournalled((stop(3),)))
        actor.address.tell(EventReplaced(stop(3)))
        wait_until(lambda: len(receiver.got) == 3)

    assert [one["event_id"] for one in receiver.got] == [1, 2, 3]


def test_a_failed_attempt_is_repeated_under_the_same_id(
    receiver: Receiver, wait_until: Wait
) -> None:
    receiver.answers = [500, 503]
    with notifying(receiver) as actor:
        actor.address.tell(EventsJournalled((stop(1),)))
        wait_until(lambda: receiver.got)
        results = actor._outbound.results
        wait_until(lambda: results == {"failed": 2, "delivered": 1})

    assert receiver.ids == ["event-1"] * 3


def test_what_will_never_be_taken_is_given_up_and_the_next_one_sent(
    receiver: Receiver, wait_until: Wait
) -> None:
    receiver.answers = [404, 500, 500, 500, 500]
    with notifying(receiver) as actor:
        actor.address.tell(EventsJournalled((stop(1), stop(2), stop(3))))
        wait_until(lambda: receiver.got)
        results = actor._outbound.results
        wait_until(lambda: results == {"failed": 5, "given_up": 2, "delivered": 1})

    assert receiver.got[0]["event_id"] == 3


def test_lag_and_a_full_disk_are_said_once(receiver: Receiver, wait_until: Wait) -> None:
    readings = Readings()
    with notifying(receiver, readings):
        readings.lag_s, readings.free = 61, 1000
        wait_until(lambda: len(receiver.got) == 2)

    assert {one["type"] for one in receiver.got} == {"store.lag", "disk.low"}


def test_where_there_is_no_room_stops_stay() -> None:
    outbound = Outbound()
    outbound.add(of_event(stop(0)))
    for number in range(MAX_WAITING + 5):
        outbound.add(Notification(str(number), "bus.gap", "", TS))

    assert len(outbound.waiting) == MAX_WAITING
    assert outbound.waiting[0].type == "risk.killswitch"
    assert outbound.waiting[1].id == "6"
    assert outbound.results["given_up"] == 6


def test_delays_double_up_to_a_bound() -> None:
    delays = [delay_s(attempt, 1.0) for attempt in range(20)]

    assert delays[:3] == [0.01, 0.02, 0.04]
    assert max(delays) == 300
    assert delay_s(3, 0.0) == delay_s(3, 1.0) / 2
