"""The listener on a real server: nothing lost, nothing twice, and every gap said."""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import gevent
import msgspec
import pytest
import redis
import structlog
from faults.proxy import Proxy
from gevent.event import Event as Signal
from loop_meter import loop_meter
from orchestrator.actors.canary import Canaries
from orchestrator.actors.messages.event_persister import PersistEvents, PersistReplies
from orchestrator.actors.messages.heartbeat_monitor import SetBusVisible
from orchestrator.actors.messages.redis_listener import BusStatus, GetBusStatus, Publish, Published
from orchestrator.actors.payloads import MAX_PAYLOAD_BYTES, Cut
from orchestrator.actors.redis_listener import publisher, subscription
from orchestrator.actors.redis_listener.actor import RedisListener
from orchestrator.actors.redis_listener.connections import BusConnections
from orchestrator.protocol.bus_url import BadBusUrl
from orchestrator.protocol.timestamps import utc_now
from orchestrator.runtime import (
    Actor,
    ActorHung,
    Address,
    ChildSpec,
    Mailbox,
    RestartLimits,
    Supervisor,
    start_actor,
    stop_actor,
)
from processor import time_scale
from quiet_clock import quiet_s

pytestmark = pytest.mark.redis

CONTROL = ("risk.*", "heartbeat.*")
DATA = ("data.market.*", "strategy.*")


def wait_until(condition: Callable[[], object], limit_s: float = 10.0) -> None:
    end = quiet_s() + limit_s
    while not condition():
        assert quiet_s() < end, f"not within {limit_s:g} s"
        time.sleep(0.005)


class Collector(Actor):
    """Keeps all it is told, in the order in which it handles it; closed, it handles nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[Any] = []
        self.open = Signal()
        self.open.set()

    def on_receive(self, message: Any) -> None:
        self.open.wait()
        self.got.append(message)

    def of(self, cls: type) -> list[Any]:
        return [message for message in self.got if isinstance(message, cls)]

    def payloads(self, connection: str = "data") -> list[bytes]:
        batches = [batch for batch in self.of(PersistReplies) if batch.connection == connection]
        return [reply[3] for batch in batches for reply in batch.replies]

    def gaps(self) -> list[Any]:
        events = [event for message in self.of(PersistEvents) for event in message.events]
        return [msgspec.json.decode(event.payload) for event in events if event.type == "bus.gap"]


@dataclass
class Bench:
    """A listener under a supervisor, between a real server and collectors."""

    url: str
    persister: Collector = field(default_factory=Collector)
    monitor: Collector = field(default_factory=Collector)
    made: list[RedisListener] = field(default_factory=list)
    room: int = 200
    options: dict[str, Any] = field(default_factory=dict)

    def start(self) -> "Bench":
        options = {"control_patterns": CONTROL, "data_patterns": DATA} | self.options
        self.connections = BusConnections(self.url, **options)
        self.persister_address = start_actor(
            self.persister, Address("EventPersister", Mailbox(self.room))
        )
        self.monitor_address = start_actor(self.monitor, Address("HeartbeatMonitor"))
        self.address = Address("RedisListener")
        limits = RestartLimits(intensity=1000, backoff_initial_s=0.001, backoff_max_s=0.01)
        self.supervisor = Supervisor([ChildSpec(self.address, self.make)], limits=limits)
        start_actor(self.supervisor)
        return self

    def make(self) -> RedisListener:
        listener = RedisListener(
            self.connections, persister=self.persister_address, monitor=self.monitor_address
        )
        self.made.append(listener)
        return listener

    def stop(self) -> None:
        self.persister.open.set()
        stop_actor(self.supervisor)
        self.connections.close()
        stop_actor(self.monitor)
        stop_actor(self.persister)

    def status(self) -> BusStatus:
        status = self.address.ask(GetBusStatus(), timeout_s=2)
        assert isinstance(status, BusStatus)
        return status

    def connected(self) -> bool:
        return self.status().connected and self.connections.publisher.connected

    def visible(self) -> list[bool]:
        told = [message.visible for message in self.monitor.of(SetBusVisible)]
        return [now for before, now in zip([None, *told], told, strict=False) if now != before]


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as made:
        yield made


@pytest.fixture
def make_bench(redis_url: str) -> Iterator[Callable[..., Bench]]:
    benches: list[Bench] = []

    def make(url: str = redis_url, *, room: int = 200, **options: Any) -> Bench:
        benches.append(Bench(url, room=room, options=options).start())
        return benches[-1]

    yield make
    for bench in benches:
        bench.stop()


@pytest.fixture
def proxy(redis_url: str) -> Iterator[Proxy]:
    port = urlsplit(redis_url).port or 6379
    with Proxy(port) as made:
        yield made


def through(proxy: Proxy) -> str:
    return f"redis://127.0.0.1:{proxy.port}/0"


def publish_numbers(client: redis.Redis, numbers: range, channel: str = "data.market.A.1m") -> None:
    for start in range(numbers.start, numbers.stop, 500):
        pipeline = client.pipeline(transaction=False)
        for number in range(start, min(start + 500, numbers.stop)):
            pipeline.publish(channel, b"%d" % number)
        pipeline.execute()


def test_both_connections_are_told_as_read_with_the_time_of_reading(
    make_bench: Callable[..., Bench], client: redis.Redis
) -> None:
    bench = make_bench()
    wait_until(bench.connected)

    client.publish("risk.alert", b'{"a": 1}')
    client.publish("data.market.AAPL.1m", b'{"b": 2}')
    client.publish("elsewhere", b"{}")
    wait_until(lambda: len(bench.persister.got) == 2)

    control = next(batch for batch in bench.persister.got if batch.connection == "control")
    data = next(batch for batch in bench.persister.got if batch.connection == "data")
    assert control.replies == [[b"pmessage", b"risk.*", b"risk.alert", b'{"a": 1}']]
    assert data.replies == [[b"pmessage", b"data.market.*", b"data.market.AAPL.1m", b'{"b": 2}']]
    assert len(data.ts) == len("2026-01-31T09:30:00.123Z")


def test_fifty_thousand_messages_arrive_in_order_while_the_actor_is_killed_again_and_again(
    make_bench: Callable[..., Bench], client: redis.Redis
) -> None:
    bench = make_bench(room=5)
    wait_until(bench.connected)
    client.config_set("client-output-buffer-limit", "pubsub 512mb 256mb 60")
    writer = gevent.spawn(publish_numbers, client, range(50_000))

    while len(bench.persister.payloads()) < 50_000 and len(bench.made) < 300:
        seen, made = len(bench.persister.got), len(bench.made)
        bench.made[-1].kill(ActorHung("RedisListener", 5.0))
        wait_until(lambda made=made: len(bench.made) > made)  # type: ignore[misc]
        wait_until(
            lambda seen=seen: len(bench.persister.got) > seen or writer.dead  # type: ignore[misc]
        )
    writer.get(timeout=30)
    wait_until(lambda: len(bench.persister.payloads()) >= 50_000)

    assert bench.persister.payloads() == [b"%d" % number for number in range(50_000)]
    assert len(bench.made) > 10
    assert bench.status().subscriptions[1].connects == 1
    assert bench.persister.gaps() == []


def test_messages_published_while_no_run_lives_are_read_by_the_next(
    make_bench: Callable[..., Bench], client: redis.Redis
) -> None:
    bench = make_bench()
    wait_until(bench.connected)
    stop_actor(bench.supervisor)

    publish_numbers(client, range(1000))
    bench.address = Address("RedisListener")
    bench.supervisor = Supervisor([ChildSpec(bench.address, bench.make)])
    start_actor(bench.supervisor)
    wait_until(lambda: len(bench.persister.payloads()) == 1000)

    assert bench.persister.payloads() == [b"%d" % number for number in range(1000)]


def test_a_full_persister_pushes_back_to_the_server_and_loses_nothing(
    make_bench: Callable[..., Bench], client: redis.Redis
) -> None:
    bench = make_bench(room=2)
    wait_until(bench.connected)
    client.config_set("client-output-buffer-limit", "pubsub 512mb 256mb 60")
    bench.persister.open.clear()

    publish_numbers(client, range(100_000), channel="data.market." + "X" * 200)
    wait_until(lambda: len(bench.persister_address.mailbox) == 2)
    received = bench.status().subscriptions[1].received
    bench.persister.open.set()
    wait_until(lambda: len(bench.persister.payloads()) == 100_000, limit_s=30)

    assert received <= 5 * subscription.MAX_REPLIES
    assert bench.persister.payloads() == [b"%d" % number for number in range(100_000)]


def test_what_was_read_is_told_before_the_listener_stops(
    make_bench: Callable[..., Bench], client: redis.Redis
) -> None:
    bench = make_bench(room=1)
    wait_until(bench.connected)
    bench.persister.open.clear()
    publish_numbers(client, range(2500))
    wait_until(lambda: bench.status().subscriptions[1].received >= 2)

    gevent.spawn_later(0.1, bench.persister.open.set)
    stop_actor(bench.supervisor)
    wait_until(bench.persister_address.mailbox.empty)

    payloads = bench.persister.payloads()
    assert payloads == [b"%d" % number for number in range(len(payloads))]
    assert len(payloads) == bench.connections.data.received


def test_a_stop_overtakes_a_flood_of_prices(
    make_bench: Callable[..., Bench], client: redis.Redis
) -> None:
    bench = make_bench(room=20)
    wait_until(bench.connected)
    client.config_set("client-output-buffer-limit", "pubsub 512mb 256mb 60")
    bench.persister.open.clear()
    publish_numbers(client, range(50_000))

    client.publish("risk.killswitch", b'{"enabled": true}')
    wait_until(lambda: bench.status().subscriptions[0].received == 1, limit_s=1)
    bench.persister.open.set()
    wait_until(lambda: len(bench.persister.payloads()) == 50_000)

    first = next(
        n for n, message in enumerate(bench.persister.got) if message.connection == "control"
    )
    assert first <= 1  # behind the one that was in hand


def test_each_copy_of_overlapping_patterns_is_told_with_its_pattern(
    make_bench: Callable[..., Bench], client: redis.Redis
) -> None:
    bench = make_bench(control_patterns=("risk.*",), data_patterns=("*", "data.*", "risk.*"))
    wait_until(bench.connected)

    receivers = client.publish("risk.x", b"1") + client.publish("data.x", b"2")
    wait_until(lambda: sum(one.received for one in bench.status().subscriptions) == 4)

    copies = [reply[1:] for batch in bench.persister.got for reply in batch.replies]
    assert sorted(copies) == [
        [b"*", b"data.x", b"2"],
        [b"*", b"risk.x", b"1"],
        [b"data.*", b"data.x", b"2"],
        [b"risk.*", b"risk.x", b"1"],
    ]
    own = bench.connections.own_copies
    assert own("risk.x") + own("data.x") == receivers == 4


def test_what_redis_takes_for_a_wildcard_is_an_ordinary_character(
    make_bench: Callable[..., Bench], client: redis.Redis
) -> None:
    bench = make_bench(data_patterns=("odd?[ab]\\*",))
    wait_until(bench.connected)

    assert client.publish("oddxa", b"{}") == 0
    assert client.publish("odd?[ab]\\x", b"{}") == 1


def test_a_message_of_many_reads_arrives_whole(
    make_bench: Callable[..., Bench], client: redis.Redis
) -> None:
    bench = make_bench()
    wait_until(bench.connected)
    payload = b"x" * MAX_PAYLOAD_BYTES

    client.publish("strategy.big", payload)
    wait_until(lambda: bench.persister.payloads() == [payload])


@pytest.mark.subprocess
def test_a_killed_server_gives_one_gap_for_each_connection_once_it_is_back(
    make_bench: Callable[..., Bench], redis_server: Any
) -> None:
    bench = make_bench()
    wait_until(bench.connected)
    bench.persister.got.clear()

    redis_server.kill()
    wait_until(lambda: not any(one.connected for one in bench.status().subscriptions))
    assert bench.status().last_error is not None
    redis_server.start()
    wait_until(bench.connected)
    with redis.Redis.from_url(redis_server.url()) as client:
        client.publish("data.market.A", b"back")
    wait_until(lambda: bench.persister.payloads() == [b"back"])

    gaps = bench.persister.gaps()
    assert sorted(gap["patterns"] for gap in gaps) == sorted([list(CONTROL), list(DATA)])
    assert all(gap["cause"] == "subscription" for gap in gaps)
    assert all(gap["from"] < gap["to"] and gap["count"] is None for gap in gaps)
    assert [one.cuts for one in bench.status().subscriptions] == [1, 1]


def test_the_gap_of_a_cut_is_told_before_what_came_after(
    make_bench: Callable[..., Bench], proxy: Proxy, client: redis.Redis
) -> None:
    bench = make_bench(through(proxy))
    wait_until(bench.connected)
    client.publish("data.market.A", b"before")
    wait_until(lambda: bench.persister.payloads() == [b"before"])

    proxy.cut()
    wait_until(lambda: all(one.connects == 2 for one in bench.status().subscriptions))
    client.publish("data.market.A", b"after")
    wait_until(lambda: bench.persister.payloads() == [b"before", b"after"])

    data: list[Any] = [
        message
        for message in bench.persister.got
        if (isinstance(message, PersistReplies) and message.connection == "data")
        or (isinstance(message, PersistEvents) and b"strategy" in message.events[0].payload)
    ]
    assert [type(message) for message in data] == [PersistReplies, PersistEvents, PersistReplies]
    gap = msgspec.json.decode(data[1].events[0].payload)
    assert data[0].ts <= gap["from"] <= gap["to"] <= data[2].ts


def test_a_restart_between_cut_and_return_still_gives_one_gap(
    make_bench: Callable[..., Bench], proxy: Proxy
) -> None:
    bench = make_bench(through(proxy))
    wait_until(bench.connected)

    proxy.refuse()
    wait_until(lambda: not any(one.connected for one in bench.status().subscriptions))
    bench.made[-1].kill(ActorHung("RedisListener", 5.0))
    wait_until(lambda: len(bench.made) == 2)
    proxy.accept()
    wait_until(lambda: len(bench.persister.gaps()) >= 2)
    wait_until(bench.connected)

    assert len(bench.persister.gaps()) == 2


def test_in_an_outage_attempts_are_seldomer_than_one_a_second(
    make_bench: Callable[..., Bench], proxy: Proxy
) -> None:
    bench = make_bench(through(proxy))
    wait_until(bench.connected)

    proxy.refuse()
    wait_until(lambda: not any(one.connected for one in bench.status().subscriptions))
    before, began = bench.connections.attempts, time.monotonic()
    wait_until(lambda: bench.connections.attempts >= before + 3, limit_s=15)

    assert time.monotonic() - began >= 2.0
    proxy.accept()
    returned = quiet_s()
    wait_until(bench.connected)
    assert quiet_s() - returned <= 5.0


def test_a_silent_connection_is_noticed_within_five_seconds_and_the_monitor_told(
    make_bench: Callable[..., Bench], proxy: Proxy
) -> None:
    bench = make_bench(through(proxy), connect_timeout_s=0.5)
    wait_until(bench.connected)
    wait_until(lambda: bench.visible() == [False, True])

    proxy.freeze()
    began = quiet_s()
    wait_until(lambda: bench.visible() == [False, True, False])
    wait_until(lambda: not any(one.connected for one in bench.status().subscriptions))
    noticed_s = quiet_s() - began
    proxy.thaw()
    wait_until(lambda: bench.visible() == [False, True, False, True])
    wait_until(lambda: len(bench.persister.gaps()) == 2)

    assert noticed_s < 5


def test_a_quiet_connection_is_not_taken_for_a_dead_one(
    make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "TICK_S", 0.05)
    bench = make_bench()
    wait_until(bench.connected)
    began = time.monotonic()

    wait_until(lambda: time.monotonic() > began + 20 * 0.05)

    assert [one.connects for one in bench.status().subscriptions] == [1, 1]
    assert bench.persister.got == []
    latency_ms = bench.status().latency_ms
    assert latency_ms is not None
    assert 0 < latency_ms < 1000


def test_a_long_wait_for_the_persister_is_not_taken_for_a_dead_connection(
    make_bench: Callable[..., Bench], client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "TICK_S", 0.05)
    bench = make_bench(room=1)
    wait_until(bench.connected)
    bench.persister.open.clear()
    publish_numbers(client, range(5000))
    began = time.monotonic()

    wait_until(lambda: time.monotonic() > began + 10 * 0.05)
    bench.persister.open.set()
    wait_until(lambda: len(bench.persister.payloads()) == 5000)

    assert [one.connects for one in bench.status().subscriptions] == [1, 1]


def test_without_a_server_it_is_up_at_once_and_says_so(
    make_bench: Callable[..., Bench], proxy: Proxy, client: redis.Redis
) -> None:
    proxy.refuse()

    bench = make_bench(through(proxy))
    wait_until(lambda: bench.status().last_error is not None)

    begin = time.monotonic()
    bench.connections.wait_connected(0.1)
    assert time.monotonic() - begin >= 0.1
    status = bench.status()
    assert not status.connected
    assert "refused" in str(status.last_error)
    assert bench.connections.publisher.facts is None
    assert bench.visible() == [False]
    proxy.accept()
    bench.connections.wait_connected(10)
    assert bench.status().connected
    wait_until(bench.connected)
    client.publish("strategy.a", b"1")
    wait_until(lambda: bench.persister.payloads() == [b"1"])
    assert {gap["cause"] for gap in bench.persister.gaps()} == {"subscription"}


def test_the_downtime_is_one_gap_after_the_start(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(down_since="2026-01-31T09:30:00.123Z")

    wait_until(bench.persister.gaps)
    bench.made[-1].kill(ActorHung("RedisListener", 5.0))
    wait_until(lambda: len(bench.made) == 2)
    wait_until(bench.connected)

    (gap,) = bench.persister.gaps()
    assert gap["cause"] == "downtime"
    assert gap["from"] == "2026-01-31T09:30:00.123Z"
    assert gap["patterns"] == [*CONTROL, *DATA]


def test_a_wrong_password_is_told_without_it(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    port = urlsplit(bench.url).port

    locked_out = make_bench(f"redis://nobody:hunter2@127.0.0.1:{port}/0")
    wait_until(lambda: locked_out.status().last_error is not None)

    assert "AuthenticationError" in str(locked_out.status().last_error)
    assert "hunter2" not in repr(locked_out.status())


def test_a_user_who_may_not_subscribe_is_told_so(
    make_bench: Callable[..., Bench], client: redis.Redis
) -> None:
    client.acl_setuser("deaf", enabled=True, passwords=["+secret"], commands=["+@all"], keys=["*"])
    port = client.connection_pool.connection_kwargs["port"]

    bench = make_bench(f"redis://deaf:secret@127.0.0.1:{port}/0")
    wait_until(lambda: bench.status().last_error is not None)

    assert "NOPERM" in str(bench.status().last_error)
    assert not bench.status().connected
    assert bench.persister.gaps() == []
    client.acl_deluser("deaf")


def test_the_server_is_asked_for_its_version_and_a_small_buffer_is_warned_of(
    make_bench: Callable[..., Bench], client: redis.Redis
) -> None:
    client.config_set("client-output-buffer-limit", "pubsub 32mb 8mb 60")

    with structlog.testing.capture_logs() as logs:
        bench = make_bench()
        wait_until(bench.connected)

    server = bench.connections.publisher.facts
    assert server is not None
    assert server.version
    assert server.pubsub_limit is not None
    assert not server.pubsub_limit.ample
    (warning,) = [line for line in logs if line["log_level"] == "warning"]
    assert warning["command"].startswith("CONFIG SET client-output-buffer-limit")


def test_published_tells_the_receivers_that_are_not_ourselves(
    make_bench: Callable[..., Bench], client: redis.Redis
) -> None:
    bench = make_bench()
    wait_until(bench.connected)
    with client.pubsub() as agent:
        agent.subscribe("risk.killswitch")
        agent.get_message(timeout=2)

        bench.address.tell(Publish("risk.killswitch", b"{}", bench.monitor_address, "trip-1"))
        wait_until(lambda: bench.monitor.of(Published))

        assert bench.monitor.of(Published) == [Published("trip-1", 1)]
        message = agent.get_message(timeout=2)
    assert message is not None
    assert message["data"] == b"{}"
    wait_until(lambda: bench.persister.payloads("control") == [b"{}"])


def test_a_stop_is_published_first_once_the_server_is_back(
    make_bench: Callable[..., Bench], proxy: Proxy
) -> None:
    bench = make_bench(through(proxy))
    wait_until(bench.connected)
    proxy.refuse()
    wait_until(lambda: not bench.status().connected)

    bench.address.tell(Publish("strategy.x", b"{}", bench.monitor_address, "other"))
    bench.address.tell(Publish("risk.killswitch", b"{}", bench.monitor_address, "stop"))
    wait_until(lambda: bench.status().publish_failures > 0)
    bench.made[-1].kill(ActorHung("RedisListener", 5.0))
    wait_until(lambda: len(bench.made) == 2)
    assert bench.connections.publisher.pending == 2
    proxy.accept()
    wait_until(lambda: len(bench.monitor.of(Published)) == 2)

    assert [message.tag for message in bench.monitor.of(Published)] == ["stop", "other"]


def test_a_message_whose_answer_is_lost_is_given_up_but_a_stop_is_sent_again(
    make_bench: Callable[..., Bench], proxy: Proxy
) -> None:
    bench = make_bench(through(proxy), connect_timeout_s=0.5)
    wait_until(bench.connected)
    swallowed: list[bytes] = []

    def swallow(data: bytes) -> bytes | None:
        if data.startswith(b":"):  # the answer to PUBLISH
            swallowed.append(data)
            return None if len(swallowed) <= 2 else data
        return data

    proxy.to_client = swallow
    bench.address.tell(Publish("strategy.x", b"x", bench.monitor_address, "other"))
    wait_until(lambda: bench.monitor.of(Published))
    bench.address.tell(Publish("risk.killswitch", b"k", bench.monitor_address, "stop"))
    wait_until(lambda: len(bench.monitor.of(Published)) == 2)

    assert bench.monitor.of(Published) == [Published("other", None), Published("stop", 0)]
    assert bench.persister.payloads("data") == [b"x"]
    assert bench.persister.payloads("control") == [b"k", b"k"]
    assert bench.connections.publisher.given_up == 1


def test_an_idle_publisher_finds_out_that_its_connection_is_gone(
    make_bench: Callable[..., Bench], client: redis.Redis
) -> None:
    bench = make_bench()
    wait_until(bench.connected)
    client.client_kill_filter(_type="normal", skipme=True)

    bench.address.tell(Publish("strategy.x", b"{}", bench.monitor_address, "once"))
    wait_until(lambda: bench.monitor.of(Published))

    assert bench.monitor.of(Published) == [Published("once", 0)]


def test_a_connection_without_a_pattern_of_its_own_is_refused() -> None:
    with pytest.raises(ValueError, match="pattern"):
        BusConnections("redis://x", control_patterns=["a"], data_patterns=["a"])


def test_an_unusable_url_is_refused_without_repeating_it() -> None:
    with pytest.raises(BadBusUrl, match="expected redis://") as caught:
        BusConnections("http://u:hunter2@x", control_patterns=["a"], data_patterns=["b"])

    assert "hunter2" not in str(caught.value)


LANES = {"control": CONTROL, "data": DATA}


def test_canaries_come_back_by_each_connection(
    make_bench: Callable[..., Bench],
) -> None:
    canaries = Canaries("word")
    bench = make_bench(canaries=canaries)

    wait_until(
        lambda: {batch.connection for batch in bench.persister.of(PersistReplies)} == {*LANES}
    )

    def came() -> set[str]:
        found = set()
        for batch in bench.persister.of(PersistReplies):
            for _kind, pattern, channel, payload in batch.replies:
                assert (pattern, channel) == (canaries.pattern, canaries.channel)
                canary = canaries.read(batch.connection, channel, payload)
                found |= set() if canary is None else {canary.connection}
        return found

    wait_until(lambda: came() == {*LANES})
    assert bench.monitor.of(SetBusVisible)[-1].canaries == ("control",)
    assert bench.status().published == 0


@pytest.mark.parametrize("missing", ["listen", "publish"])
def test_an_account_that_may_not_use_their_channel_is_said_and_events_come_all_the_same(
    make_bench: Callable[..., Bench],
    client: redis.Redis,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    missing: str,
) -> None:
    monkeypatch.setattr(subscription, "CANARY_RETRY_S", 0.2)
    channels = " ".join(f"&{pattern}" for pattern in (*CONTROL, *DATA))
    narrow = f"ACL SETUSER narrow on >x resetchannels {channels} +@all"
    if missing == "publish":
        narrow = f"{narrow} -publish &orchestrator.canary.*"
    client.execute_command(*narrow.split())
    try:
        url = redis_url.replace("redis://", "redis://narrow:x@")
        bench = make_bench(url, canaries=Canaries("word"))
        wait_until(bench.connected)
        wait_until(lambda: all(one.canary_refused for one in bench.status().subscriptions))

        client.publish("data.market.X", b"1")
        wait_until(lambda: b"1" in bench.persister.payloads())
        assert bench.monitor.of(SetBusVisible)[-1] == SetBusVisible(True, ())
        assert [one.cuts for one in bench.status().subscriptions] == [0, 0]

        client.execute_command("ACL", "SETUSER", "narrow", "&orchestrator.canary.*", "+publish")
        wait_until(lambda: all(one.expects_canary for one in bench.status().subscriptions))
        wait_until(
            lambda: all(one.canary_age_s is not None for one in bench.status().subscriptions)
        )
        assert bench.monitor.of(SetBusVisible)[-1] == SetBusVisible(True, ("control",))
    finally:
        client.execute_command("ACL", "DELUSER", "narrow")


def test_a_subscription_that_answers_pings_but_brings_nothing_is_noticed_within_five_seconds(
    make_bench: Callable[..., Bench], proxy: Proxy
) -> None:
    bench = make_bench(through(proxy), canaries=Canaries("word"))
    wait_until(lambda: len(bench.persister.of(PersistReplies)) >= 2)

    message = re.compile(rb"\*4\r\n\$8\r\npmessage\r\n(?:\$\d+\r\n[^\r]*\r\n){3}")
    proxy.to_client = lambda data: message.sub(b"", data)
    began = quiet_s()
    wait_until(lambda: [one.cuts for one in bench.status().subscriptions] >= [1, 1])
    noticed_s = quiet_s() - began
    proxy.to_client = None
    wait_until(lambda: len(bench.persister.gaps()) >= 2)

    assert noticed_s < 5
    assert "delivers nothing" in str(bench.status().subscriptions[0].last_error)


def test_no_gap_is_invented_in_quiet_hours(
    make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "TICK_S", 0.005)
    monkeypatch.setattr(publisher, "INTERVAL_S", 0.005)
    bench = make_bench(canaries=Canaries("word"))
    wait_until(bench.connected)

    def canaries() -> int:
        return len(bench.persister.of(PersistReplies))

    wait_until(lambda: canaries() >= 1_000, limit_s=60)

    assert bench.persister.gaps() == []
    assert [one.cuts for one in bench.status().subscriptions] == [0, 0]


def test_a_flood_is_not_taken_for_deafness(
    make_bench: Callable[..., Bench], client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "TICK_S", 0.05)
    monkeypatch.setattr(publisher, "INTERVAL_S", 0.05)
    client.config_set("client-output-buffer-limit", "pubsub 512mb 256mb 60")
    bench = make_bench(room=2, canaries=Canaries("word"))
    wait_until(bench.connected)
    bench.persister.open.clear()
    publish_numbers(client, range(50_000))
    gevent.sleep(1.0)
    bench.persister.open.set()
    wait_until(lambda: len(bench.persister.payloads()) >= 50_000, limit_s=30)

    assert [one.cuts for one in bench.status().subscriptions] == [0, 0]
    assert bench.persister.gaps() == []


def publish_elsewhere(url: str, channel: str, size: int) -> "subprocess.Popen[bytes]":
    """In a process of its own: a loop that sends so much would measure itself."""
    publish = f"from_url({url!r}, socket_timeout=60).publish({channel!r}, b'x' * {size})"
    return subprocess.Popen([sys.executable, "-c", f"import redis; redis.Redis.{publish}"])


@pytest.mark.timing
def test_a_hundred_megabytes_are_refused_by_their_length_and_hold_nobody_up(
    make_bench: Callable[..., Bench], client: redis.Redis, redis_url: str
) -> None:
    bench = make_bench()
    wait_until(bench.connected)
    client.config_set("client-output-buffer-limit", "pubsub 512mb 256mb 60")
    with loop_meter() as meter:
        sender = publish_elsewhere(redis_url, "strategy.big", 100 * 1024 * 1024)
        wait_until(bench.persister.payloads, limit_s=30)
    sender.wait(timeout=30)

    (payload,) = bench.persister.payloads()
    assert isinstance(payload, Cut)
    assert (payload.size, bytes(payload)) == (100 * 1024 * 1024, b"x" * 4096)
    assert meter.longest_s < 0.010 * time_scale()


def test_a_message_that_the_server_will_not_hold_for_us_becomes_one_gap(
    make_bench: Callable[..., Bench], client: redis.Redis, redis_url: str
) -> None:
    client.config_set("client-output-buffer-limit", "pubsub 32mb 8mb 60")  # Redis' own
    bench = make_bench()
    wait_until(bench.connected)

    sender = publish_elsewhere(redis_url, "strategy.big", 100 * 1024 * 1024)
    wait_until(bench.persister.gaps, limit_s=30)
    sender.wait(timeout=30)
    client.config_set("client-output-buffer-limit", "pubsub 512mb 256mb 60")
    client.publish("strategy.small", b"after")
    wait_until(lambda: b"after" in bench.persister.payloads())

    (gap,) = bench.persister.gaps()
    assert (gap["cause"], gap["patterns"]) == ("subscription", list(DATA))
    assert bench.persister.payloads() == [b"after"]


@pytest.mark.timing
def test_each_cut_is_one_gap_that_says_which_patterns_within_a_second(
    make_bench: Callable[..., Bench], proxy: Proxy
) -> None:
    bench = make_bench(through(proxy))
    wait_until(bench.connected)
    times_s: list[float] = []
    for times in range(1, 4):
        cut_at, began = utc_now(), quiet_s()
        proxy.cut()
        wait_until(lambda times=times: len(bench.persister.gaps()) == 2 * times)  # type: ignore[misc]
        times_s.append(quiet_s() - began)
        told_at = utc_now()
        wait_until(bench.connected)

        gaps = bench.persister.gaps()[-2:]
        assert sorted(gap["patterns"] for gap in gaps) == sorted([list(CONTROL), list(DATA)])
        for gap in gaps:
            assert (gap["cause"], gap["count"]) == ("subscription", None)
            assert gap["from"] <= cut_at <= gap["to"] <= told_at
    assert len(bench.persister.gaps()) == 6
    # 0.8 s of them are waited behind a cut; one may be held up by what else runs here.
    assert sorted(times_s)[1] < 1.0 * time_scale()
    assert max(times_s) < 2.0 * time_scale()
