"""Resuming: the switch from what was missed to what comes, over every boundary there is."""

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from orchestrator.actors.broadcaster.clients import Client, Clients
from orchestrator.actors.broadcaster.frames import EventFrames
from orchestrator.actors.event_query import EventQuery, matcher
from orchestrator.actors.events import Event
from orchestrator.actors.messages.event_persister import (
    GetEvents,
    GetPersisterStatus,
    PersisterStatus,
)
from orchestrator.actors.messages.events import EventReplaced, EventsJournalled
from orchestrator.actors.recent_events import EventWindow
from orchestrator.http.peers import Instance
from orchestrator.http.settings import WebSocketSettings
from orchestrator.http.stream.catch_up import CatchUp, Feed, Feeds
from orchestrator.http.stream.past_events import PastEvents
from orchestrator.runtime import Actor, Address, give_way, start_actor, stop_actor
from orchestrator.sql.database import Database, PostgresSettings
from pydantic import SecretStr

from ...actors.broadcaster.test_frames import parse
from ...conftest import Server
from ..conftest import Served, _serving, frame

TS = "2026-01-31T09:30:00.123Z"
KINDS = (
    ("strategy.a", None),
    ("news.signal.entity", None),
    ("heartbeat", "q-1"),
    ("heartbeat", "dev-1"),
)
FILTERS = (("*",), ("strategy.*",), ("heartbeat.q-*",), ("bus.rejected", "news.*"), ("none",))


def status(newest_id: int) -> PersisterStatus:
    """One that says nothing but the newest id."""
    kinds: dict[str, Any] = {"int": 0, "str": "", "dict": {}}
    fields: dict[str, Any] = {
        one.name: next((v for k, v in kinds.items() if k in str(one.type)), None)
        for one in msgspec.structs.fields(PersisterStatus)
    }
    return PersisterStatus(**fields | {"newest_id": newest_id, "behind_s": 0.0})


class Memory(Actor):
    """A persister that stores nothing, and answers questions only."""

    def __init__(self, window: EventWindow) -> None:
        super().__init__()
        self.window = window
        self.afterwards: Callable[[], None] = lambda: None
        """Called between an answer and its arrival."""

    def on_receive(self, message: object) -> Any:
        if isinstance(message, GetEvents):
            answer = self.window.ask(message.query, 0, None)
            self.afterwards()
            return answer
        assert isinstance(message, GetPersisterStatus)
        return status(self.window.newest_id)


class World:
    """What stands between the journal and a client, stepped by hand."""

    def __init__(self, *, floor_id: int = 0, wait_s: float = 10.0) -> None:
        self.window = EventWindow(floor_id=floor_id)
        self.registry = Clients()
        self.actor = Memory(self.window)
        self.persister = start_actor(self.actor, Address("memory"))
        nowhere = PostgresSettings(url=SecretStr("postgresql://127.0.0.1:1/none"))
        past = PastEvents(self.persister, Database(nowhere), self.registry)
        limits = WebSocketSettings(catch_up_wait_s=wait_s)
        self.feeds = Feeds(self.registry, past, limits, Instance("test", "dev", "0"))
        self.mailbox: deque[EventsJournalled | EventReplaced] = deque()
        self.events: dict[int, Event] = {}
        self.replaced: set[int] = set()
        self.next_id = floor_id + 1
        self._frames = EventFrames()

    def close(self) -> None:
        stop_actor(self.actor)

    def journal(self, count: int, *, skip: int = 0) -> None:
        """Store so many events, after ids that nobody gets."""
        self.next_id += skip
        ids = range(self.next_id, self.next_id + count)
        self.next_id += count
        batch = tuple(Event(n, KINDS[n % 4][0], b"{}", TS, KINDS[n % 4][1]) for n in ids)
        self.events |= {event.id: event for event in batch}
        self.window.append(batch, 2 * count)
        self.mailbox.append(EventsJournalled(batch))

    def replace(self, nth: int) -> None:
        """Another event takes the place of one that was stored."""
        event_id = sorted(self.events)[nth % len(self.events)]
        event = Event(event_id, "bus.rejected", b"{}", TS, None)
        self.events[event_id] = event
        self.replaced.add(event_id)
        self.window.replace(event)
        self.mailbox.append(EventReplaced(event))

    def show(self, messages: int) -> None:
        """As the Broadcaster does."""
        for _ in range(min(messages, len(self.mailbox))):
            match self.mailbox.popleft():
                case EventsJournalled(events=events):
                    self.registry.publish(events, self._frames.build)
                    self.registry.saw(events[-1].id)
                case EventReplaced(event=event):
                    self.registry.correct(event, self._frames.build(event, replaces=True))
        self.registry.flush()

    def lose(self) -> None:
        """The Broadcaster's mailbox overflows."""
        if self.mailbox:
            self.registry.missed(self.mailbox.popleft())


def run(condition: Callable[[], object], step: Callable[[], object]) -> None:
    with gevent.Timeout(10):
        while not condition():
            step()
            gevent.sleep(0.0005)


Step = tuple[str, int]
NAMES = ("journal", "skip", "replace", "replace", "show", "show", "lose", "read", "turn", "turn")
STEPS = st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 20)), min_size=5, max_size=60)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    before=st.integers(0, 1200),
    shown=st.integers(0, 3),
    behind=st.integers(0, 1200),
    types=st.sampled_from(FILTERS),
    limit=st.sampled_from([2_000, 100_000]),
    steps=STEPS,
)
def test_each_event_comes_once_in_order_or_lies_in_a_gap_that_is_told(  # noqa: PLR0913, PLR0917 drawn
    before: int, shown: int, behind: int, types: tuple[str, ...], limit: int, steps: list[Step]
) -> None:
    world = World()
    for part in (before // 2, before - before // 2):
        if part:
            world.journal(part)
    world.show(shown)
    since = max(0, world.next_id - 1 - behind)
    client = Client(limit, lambda: None, types)
    known = {event_id for event_id, event in world.events.items() if event_id <= since}
    catch_up = CatchUp(world.feeds, client, since)
    greenlet = gevent.spawn(catch_up.run)
    got: list[dict[str, Any]] = []
    try:
        for step in steps:
            take_step(world, client, got, step)
        run(greenlet.ready, lambda: got.extend(parse(client.buffer.take())))
        world.show(1000)
        run(lambda: not client.buffer, lambda: got.extend(parse(client.buffer.take())))
    finally:
        catch_up.stop()
        greenlet.join()
        world.close()
    check(world, types, known, got)


def take_step(world: World, client: Client, got: list[dict[str, Any]], step: Step) -> None:
    name, number = step
    match name:
        case "journal":
            world.journal(number + 1)
        case "skip":
            world.journal(1, skip=number * 100)
        case "replace" if world.events:
            world.replace(number * len(world.events) // 21)
        case "show":
            world.show(number)
        case "lose":
            world.lose()
        case "read":
            got += parse(client.buffer.take())
        case _:
            for _ in range(number):
                give_way()


def check(world: World, types: tuple[str, ...], known: set[int], got: list[dict[str, Any]]) -> None:
    wants = matcher(EventQuery(types=types))
    wanted = {n for n, event in world.events.items() if n not in known and wants(event)}
    gaps = [(one["from"], one["to"]) for one in got if one["type"] == "gap"]
    events = [one for one in got if one["type"] == "redis_event" and "replaces" not in one]
    ids = [one["id"] for one in events]
    assert ids == sorted(set(ids))
    assert not known & set(ids)
    # A filter decides by what the event was when it was shown.
    assert set(ids) - wanted <= {n for n in ids if world.events[n].type == "bus.rejected"}
    missing = wanted - set(ids) - {one["id"] for one in got if "replaces" in one}
    assert not [n for n in missing if not any(first <= n <= last for first, last in gaps)]
    last = {one["id"]: one["eventType"] for one in got if one["type"] == "redis_event"}
    if "bus.rejected" in types or types == ("*",):
        stale = {n for n, kind in last.items() if kind != world.events[n].type}
        stale |= world.replaced & known - set(last)
        assert not [n for n in stale if not any(first <= n <= last for first, last in gaps)]


@pytest.mark.parametrize("ahead", range(6))
def test_a_client_that_has_read_ahead_of_what_is_shown_gets_the_rest_once(ahead: int) -> None:
    world = World()
    for _ in range(5):
        world.journal(3)
    world.show(ahead)
    client = Client(100_000, lambda: None)

    got: list[dict[str, Any]] = []
    catch_up = gevent.spawn(CatchUp(world.feeds, client, 2).run)
    run(catch_up.ready, lambda: got.extend(parse(client.buffer.take())))
    world.journal(2)
    world.show(100)
    got += parse(client.buffer.take())

    assert [one["id"] for one in got] == list(range(3, 18))
    world.close()


def test_an_event_that_is_replaced_while_it_is_read_comes_right_behind() -> None:
    world = World()
    world.journal(8)
    world.show(1)
    client = Client(100_000, lambda: None)

    def replace() -> None:
        world.actor.afterwards = lambda: None
        world.replace(5)
        world.show(1)

    world.actor.afterwards = replace
    got: list[dict[str, Any]] = []
    catch_up = gevent.spawn(CatchUp(world.feeds, client, 2).run)
    run(catch_up.ready, lambda: got.extend(parse(client.buffer.take())))
    got += parse(client.buffer.take())

    assert [one["id"] for one in got] == [3, 4, 5, 6, 7, 8, 6]
    assert got[3]["eventType"] != got[-1]["eventType"] == "bus.rejected"
    assert got[-1]["replaces"] is True
    world.close()


def test_a_client_far_behind_is_fed_as_it_reads_and_costs_no_more() -> None:
    world = World()
    world.journal(20_000)
    world.show(1)
    client = Client(1_500_000, lambda: None)
    got: list[int] = []
    most = 0

    catch_up = gevent.spawn(CatchUp(world.feeds, client, 0).run)

    def read() -> None:
        nonlocal most
        most = max(most, client.buffer.size_bytes)
        got.extend(one["id"] for one in parse(client.buffer.take()))

    gevent.sleep(0.05)
    assert len(got) == 0
    assert 0 < client.buffer.size_bytes < 200_000  # one stretch: it does not read
    run(lambda: catch_up.ready() and not client.buffer, read)
    assert got == list(range(1, 20_001))
    assert most < 200_000
    world.close()


def test_clients_that_miss_the_same_share_its_frames() -> None:
    world = World()
    world.journal(5_000)
    world.show(1)
    clients = [Client(10_000_000, lambda: None) for _ in range(2)]
    past = world.feeds.past
    own = [past.after(position, one.types, one.wire) for position, one in ((100, clients[0]),)]
    first, second = (past.after(512, one.types, one.wire) for one in clients)

    assert own[0].through == 512
    assert first.chunk is not None
    assert second.chunk is not None
    assert first.chunk.data is second.chunk.data
    world.close()


def test_what_nobody_can_read_becomes_a_gap_after_a_while_and_the_rest_comes() -> None:
    world = World(floor_id=100, wait_s=0.05)
    world.journal(5)
    world.show(1)
    client = Client(100_000, lambda: None)

    catch_up = gevent.spawn(CatchUp(world.feeds, client, 40).run)
    got: list[dict[str, Any]] = []
    run(
        lambda: catch_up.ready() and not client.buffer,
        lambda: got.extend(parse(client.buffer.take())),
    )

    assert got[0] == {"type": "gap", "from": 41, "to": 100, "dropped": 60}
    assert [one["id"] for one in got[1:]] == [101, 102, 103, 104, 105]
    world.close()


def test_a_client_that_goes_while_it_waits_leaves_nothing_behind() -> None:
    world = World(floor_id=100)
    client = Client(100_000, lambda: None)
    feed = Feed(world.feeds, client, 40)
    feed.open()
    assert len(world.registry) == 1
    catch_up = feed._catch_up
    assert catch_up is not None

    feed.close()

    assert len(world.registry) == 0
    run(lambda: client.buffer.on_room is None, lambda: None)
    world.close()


# -- whole daemons -------------------------------------------------------------------------------


def published(served: Served, first: int, last: int, size: int = 10) -> None:
    """Events numbered so, stored in PostgreSQL."""
    with served.redis as bus:
        pipe = bus.pipeline(transaction=False)
        for number in range(first, last + 1):
            pipe.publish("strategy.n", f'{{"n":{number},"x":"{"y" * size}"}}')
        pipe.execute()
    query = f"SELECT count(*) FROM events WHERE payload @> '{{\"n\":{last}}}'"
    with psycopg.connect(served.daemon.pg_url, autocommit=True) as connection:
        served.wait_until(lambda: connection.execute(query.encode()).fetchone() == (1,))


def numbers(client: Any, until: int, limit_s: float = 10.0) -> list[int]:
    """The numbers of the events that come, to the one that is asked for."""
    got: list[int] = []
    while not got or got[-1] != until:
        one = frame(client, limit_s)
        if one["type"] == "redis_event":
            got.append(one["data"]["n"])
    return got


def test_history_and_memory_and_what_comes_are_one_stream(
    tmp_path: Path, redis_url: str, pg_url: str
) -> None:
    with _serving(tmp_path / "data", redis_url, pg_url, {}) as served:
        published(served, 0, 500)
        published(served, 501, 506, 300_000)  # one of these is more than a stretch
    with _serving(tmp_path / "data", redis_url, pg_url, {}) as served:
        published(served, 507, 1207)
        with served.socket("/?types=strategy.n&since=0", max_size=None) as client:
            got = numbers(client, 1207)
            served.stored("strategy.n", {"n": 1208})
            got += numbers(client, 1208)
        with served.socket("/?since=0", max_size=None) as client:
            assert numbers_of_type(client, 1208) == got
        query = "where=data.n%20%3E=%20490%20and%20topic==%22strategy.n%22&since=0"
        with served.socket(f"/?{query}", max_size=None) as client:
            filtered = numbers(client, 1208)
            served.stored("strategy.n", {"n": 3})
            served.stored("strategy.n", {"n": 1209})
            filtered += numbers(client, 1209)

    large = range(501, 507)  # not looked into: their fields compare false
    assert filtered == [n for n in range(490, 1210) if n not in large]
    assert got == list(range(1209))


def numbers_of_type(client: Any, until: int) -> list[int]:
    got: list[int] = []
    while not got or got[-1] != until:
        one = frame(client)
        if one.get("eventType") == "strategy.n":
            got.append(one["data"]["n"])
    return got


def test_while_postgresql_is_away_a_resuming_client_waits_or_is_told_of_a_gap(
    tmp_path: Path, redis_url: str, pg_url: str, postgres_server: Server
) -> None:
    with _serving(tmp_path / "data", redis_url, pg_url, {}) as served:
        published(served, 0, 300)
    patient = {"websocket": {"catch_up_wait_s": 60}}
    with _serving(tmp_path / "data", redis_url, pg_url, patient) as served:
        published(served, 301, 311)
        postgres_server.kill()
        with served.socket("/?types=strategy.n&since=0") as client:
            postgres_server.start()
            assert numbers(client, 311, 60.0) == list(range(312))
    hasty = {"websocket": {"catch_up_wait_s": 0.1}}
    with _serving(tmp_path / "data", redis_url, pg_url, hasty) as served:
        published(served, 312, 322)
        first = served.get("/bus/events?type=strategy.n&limit=11").json["events"][-1]
        postgres_server.kill()
        with served.socket("/?types=strategy.n&since=1") as client:
            gap = frame(client, 30.0)
            assert gap["type"] == "gap"
            assert gap["from"] == 2
            assert gap["to"] < first["id"]
            assert numbers(client, 322) == list(range(312, 323))
        postgres_server.start()
