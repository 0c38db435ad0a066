from collections.abc import Iterator

import gevent
import pytest
from gevent.event import Event as Signal
from orchestrator.actors.broadcaster import actor as broadcaster_module
from orchestrator.actors.broadcaster.actor import Broadcaster
from orchestrator.actors.broadcaster.clients import Client, Clients
from orchestrator.actors.events import Event
from orchestrator.actors.messages.broadcaster import AgentStatusChanged, KillswitchNotice
from orchestrator.actors.messages.events import EventReplaced, EventsJournalled
from orchestrator.actors.messages.heartbeat_monitor import AgentView, Liveness
from orchestrator.runtime import Address, FullPolicy, Mailbox, start_actor, stop_actor

from .test_frames import parse


class Screen:
    """A client that keeps what it was sent."""

    def __init__(self, registry: Clients, types: tuple[str, ...] = ("*",)) -> None:
        self.woken = Signal()
        self.sends = 0
        self.frames: list[dict[str, object]] = []
        self.client = Client(1_000_000, self.woken.set, types)
        registry.attach(self.client)

    def wait_for(self, count: int) -> list[dict[str, object]]:
        while len(self.frames) < count:
            assert self.woken.wait(5), f"{len(self.frames)} of {count} frames"
            self.woken.clear()
            self.sends += 1
            self.frames += parse(self.client.buffer.take())
        return self.frames


@pytest.fixture
def registry() -> Clients:
    return Clients()


@pytest.fixture
def broadcaster(registry: Clients) -> Iterator[Address]:
    actor = Broadcaster(clients=registry)
    yield start_actor(actor, Address("Broadcaster", Mailbox(100, FullPolicy.DROP_OLDEST)))
    stop_actor(actor)


def events(first: int, last: int, type_: str = "strategy.candidate") -> EventsJournalled:
    ts = "2026-01-31T09:30:00.123Z"
    return EventsJournalled(tuple(Event(n, type_, b"{}", ts, None) for n in range(first, last + 1)))


def agent(status: str = "active") -> AgentView:
    return AgentView(
        id="q-1",
        name="q-1",
        agent_group="ingestion",
        status=status,
        last_beat=None,
        last_error=None,
        is_alive=True,
        seconds_since_beat=None,
        liveness=Liveness.UP,
        kind="external",
        interval_s=5.0,
        version=None,
    )


def test_events_reach_the_clients_in_order(registry: Clients, broadcaster: Address) -> None:
    screen = Screen(registry)

    broadcaster.tell(events(1, 3))
    broadcaster.tell(events(4, 5))

    assert [frame["id"] for frame in screen.wait_for(5)] == [1, 2, 3, 4, 5]
    assert registry.newest_id == 5


def test_batches_that_come_close_together_share_a_send(
    registry: Clients, broadcaster: Address
) -> None:
    screen = Screen(registry)

    for number in range(1, 51):
        broadcaster.tell(events(number, number))
    screen.wait_for(50)

    assert screen.sends <= 5


def test_a_large_batch_is_shown_in_parts_that_let_others_run(
    registry: Clients, broadcaster: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broadcaster_module, "_MAX_MATCHES_AT_ONCE", 20)
    screens = [Screen(registry), Screen(registry, ("strategy.*",))]
    seen = []

    def look() -> None:
        while registry.newest_id != 100:
            if registry.newest_id not in seen:
                seen.append(registry.newest_id)
            gevent.sleep(0)

    looker = gevent.spawn(look)
    broadcaster.tell(events(1, 100))

    for screen in screens:
        assert [frame["id"] for frame in screen.wait_for(100)] == list(range(1, 101))
    looker.join(5)
    assert len(seen) > 3


def test_without_clients_the_newest_id_is_still_known(
    registry: Clients, broadcaster: Address
) -> None:
    broadcaster.tell(events(1, 3))

    with gevent.Timeout(5):
        while registry.newest_id != 3:
            gevent.sleep(0.005)


def test_the_killswitch_reaches_everybody_whatever_their_filter(
    registry: Clients, broadcaster: Address
) -> None:
    screens = [Screen(registry), Screen(registry, ("news.*",))]

    broadcaster.tell(KillswitchNotice(engaged=True, data=b'{"reason":"x"}'), urgent=True)

    for screen in screens:
        (frame,) = screen.wait_for(1)
        assert frame["type"] == "killswitch_activated"
        assert frame["data"] == {"reason": "x"}


def test_changes_of_agents_are_shown(registry: Clients, broadcaster: Address) -> None:
    screen = Screen(registry, ("news.*",))

    broadcaster.tell(AgentStatusChanged((agent(),)))

    (frame,) = screen.wait_for(1)
    assert frame["type"] == "agent_status"
    assert isinstance(frame["data"], dict)
    assert frame["data"]["id"] == "q-1"
    assert frame["data"]["status"] == "active"


def test_a_replaced_event_is_shown_as_such(registry: Clients, broadcaster: Address) -> None:
    screen = Screen(registry)
    (event,) = events(4, 4, "bus.rejected").events

    broadcaster.tell(EventReplaced(event))

    (frame,) = screen.wait_for(1)
    assert frame["replaces"] is True
    assert registry.replaced == 1


def test_clients_and_waiting_batches_outlive_a_run(registry: Clients) -> None:
    address = Address("Broadcaster", Mailbox(100))
    screen = Screen(registry)
    first = Broadcaster(clients=registry)
    start_actor(first, address)
    first.stop()
    first.join(5)

    address.tell(events(1, 2))
    second = Broadcaster(clients=registry)
    start_actor(second, address)

    assert [frame["id"] for frame in screen.wait_for(2)] == [1, 2]
    stop_actor(second)
