"""The lane of the durable stream, on a real server."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import gevent
import msgspec
import pytest
import redis
from faults.proxy import Proxy
from loop_meter import loop_meter
from orchestrator.actors.messages.durable_stream import PersistStream, ReadStream, StreamProgress
from orchestrator.actors.payloads import Cut
from orchestrator.actors.redis_listener import stream_reader
from orchestrator.actors.redis_listener.reconnect import Dialer, connection_pool
from orchestrator.actors.redis_listener.stream_reader import (
    MAX_UNACKNOWLEDGED,
    StreamLimits,
    StreamReader,
)
from orchestrator.sql.events.stream_position import STREAM, StreamPosition
from processor import time_scale
from quiet_clock import quiet_s

pytestmark = pytest.mark.redis

START = StreamPosition()


class Reader:
    """A stream reader in a greenlet, and what it sent; it acknowledges nothing by itself."""

    def __init__(self, url: str, limits: StreamLimits | None = None) -> None:
        self.reader = StreamReader(Dialer(connection_pool(url, 2.0)), limits)
        self.told: list[PersistStream] = []
        self.greenlet = gevent.spawn(self.reader.run, self.told.append)

    def stop(self) -> None:
        self.greenlet.kill()
        self.reader.close()

    def payloads(self) -> list[bytes]:
        return [item.payload for message in self.told for item in message.items if not item.event]

    def gaps(self) -> list[Any]:
        return [
            msgspec.json.decode(item.event.payload)
            for message in self.told
            for item in message.items
            if item.event is not None
        ]

    def acknowledge(self, *, committed: bool = True) -> StreamPosition:
        end = self.told[-1].end
        self.reader.note_progress(StreamProgress(end, end if committed else None))
        return end

    def at_end(self) -> bool:
        return bool(self.told and self.told[-1].at_end)


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as made:
        yield made


@pytest.fixture
def new_reader(redis_url: str) -> Iterator[Callable[..., Reader]]:
    readers: list[Reader] = []

    def make(
        url: str = redis_url,
        *,
        behind: StreamPosition | None = START,
        limits: StreamLimits | None = None,
    ) -> Reader:
        readers.append(Reader(url, limits))
        if behind is not None:
            readers[-1].reader.read_from(ReadStream(behind))
        return readers[-1]

    yield make
    for reader in readers:
        reader.stop()


def add(client: redis.Redis, *numbers: int) -> None:
    for number in numbers:
        client.xadd(STREAM, {"channel": "strategy.x", "payload": b"%d" % number})


def numbers(*wanted: int) -> list[bytes]:
    return [b"%d" % number for number in wanted]


def test_nothing_is_read_before_the_persister_says_from_where(
    new_reader: Callable[..., Reader], client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    add(client, 1, 2)
    reader = new_reader(behind=None)
    gevent.sleep(0.1)
    assert reader.told == []
    assert not reader.reader.status().reading

    reader.reader.read_from(ReadStream(START))

    wait_until(lambda: reader.payloads() == numbers(1, 2))


def test_entries_come_at_once_and_in_order_and_each_message_joins_the_one_before(
    new_reader: Callable[..., Reader], client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    reader = new_reader()
    wait_until(reader.at_end)
    for number in range(20):
        add(client, number)
        wait_until(lambda number=number: numbers(number)[0] in reader.payloads(), limit_s=0.5)
        reader.acknowledge()

    assert reader.payloads() == numbers(*range(20))
    ends = [message.end for message in reader.told]
    assert [message.after for message in reader.told] == [START, *ends[:-1]]


def test_a_few_messages_only_are_ahead_of_the_journal(
    new_reader: Callable[..., Reader], client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    add(client, *range(200))
    reader = new_reader(limits=StreamLimits(entries=10))
    wait_until(lambda: len(reader.told) == MAX_UNACKNOWLEDGED or len(reader.payloads()) == 200)
    gevent.sleep(0.1)
    assert len(reader.told) <= MAX_UNACKNOWLEDGED
    while len(reader.payloads()) < 200:
        reader.acknowledge()
        gevent.sleep(0.01)

    assert reader.payloads() == numbers(*range(200))


def test_told_to_read_anew_it_goes_back(
    new_reader: Callable[..., Reader], client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    add(client, 1, 2, 3)
    reader = new_reader()
    wait_until(lambda: len(reader.payloads()) == 3)
    first = reader.told[0].items[0].position
    assert first is not None
    reader.told.clear()

    reader.reader.read_from(ReadStream(START))  # it reads already: nothing happens
    reader.reader.read_from(ReadStream(first, anew=True))

    wait_until(lambda: reader.payloads() == numbers(2, 3))
    assert reader.told[0].after == first


def test_no_read_brings_more_entries_than_the_settings_allow(
    new_reader: Callable[..., Reader], client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    add(client, *range(20))
    reader = new_reader(limits=StreamLimits(entries=3))
    wait_until(lambda: len(reader.told) == MAX_UNACKNOWLEDGED)

    assert [len(message.items) for message in reader.told] == [3] * MAX_UNACKNOWLEDGED


def test_what_is_committed_is_trimmed_and_nothing_else(
    new_reader: Callable[..., Reader],
    client: redis.Redis,
    wait_until: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream_reader, "BLOCK_MS", 50)
    add(client, 1, 2, 3)
    reader = new_reader(limits=StreamLimits(trim_s=0.05))
    wait_until(lambda: len(reader.payloads()) == 3)
    reader.acknowledge(committed=False)
    add(client, 4, 5)
    wait_until(lambda: len(reader.payloads()) == 5)
    assert client.xlen(STREAM) == 5

    third = reader.told[0].items[2].position
    reader.reader.note_progress(StreamProgress(reader.told[-1].end, third))
    wait_until(lambda: client.xlen(STREAM) == 2)

    reader.acknowledge()
    wait_until(lambda: client.xlen(STREAM) == 0)
    wait_until(lambda: reader.reader.status().trimmed == 5)  # its reply comes after the effect
    add(client, 6)
    wait_until(lambda: reader.payloads() == numbers(1, 2, 3, 4, 5, 6))
    assert reader.gaps() == []


def test_flushall_is_one_gap_and_reading_goes_on(
    new_reader: Callable[..., Reader], client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    add(client, 1, 2, 3)
    reader = new_reader()
    wait_until(lambda: len(reader.payloads()) == 3)
    wait_until(reader.at_end)
    reader.acknowledge()

    client.flushall()
    wait_until(reader.gaps, limit_s=2.5)
    reader.acknowledge()
    add(client, 4)
    wait_until(lambda: reader.payloads() == numbers(1, 2, 3, 4))
    gevent.sleep(1.2)

    assert [gap["count"] for gap in reader.gaps()] == [None]


def test_flushall_and_new_entries_at_once_are_noticed_too(
    new_reader: Callable[..., Reader], client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    add(client, 1, 2, 3)
    reader = new_reader()
    wait_until(lambda: len(reader.payloads()) == 3)
    wait_until(reader.at_end)
    reader.acknowledge()

    with client.pipeline() as together:
        together.flushall()
        together.xadd(STREAM, {"channel": "strategy.x", "payload": b"4"})
        together.execute()

    wait_until(reader.gaps, limit_s=2.5)
    assert reader.payloads() == numbers(1, 2, 3, 4)
    assert [gap["count"] for gap in reader.gaps()] == [None]


def test_entries_trimmed_while_nobody_read_are_counted_exactly(
    new_reader: Callable[..., Reader], client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    add(client, 1, 2, 3)
    first = new_reader()
    wait_until(lambda: len(first.payloads()) == 3)
    wait_until(first.at_end)
    end = first.acknowledge(committed=False)
    first.stop()
    add(client, *range(4, 24))
    client.xtrim(STREAM, maxlen=5, approximate=False)

    second = new_reader(behind=end)
    wait_until(second.gaps)

    assert second.payloads() == numbers(19, 20, 21, 22, 23)
    assert [gap["count"] for gap in second.gaps()] == [15]


def test_a_key_that_is_no_stream_is_told_and_left_alone(
    new_reader: Callable[..., Reader], client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    client.set(STREAM, "x")
    reader = new_reader()

    wait_until(lambda: reader.reader.last_error)

    assert "wrong kind" in str(reader.reader.last_error)
    assert client.get(STREAM) == b"x"


def test_through_cuts_and_silence_every_entry_comes_once(
    new_reader: Callable[..., Reader],
    client: redis.Redis,
    redis_url: str,
    wait_until: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream_reader, "ANSWER_S", 0.5)
    with Proxy(urlsplit(redis_url).port or 6379) as proxy:
        reader = new_reader(f"redis://127.0.0.1:{proxy.port}/0")
        wait_until(reader.at_end)
        for number in range(300):
            add(client, number)
            if number in (100, 200):
                proxy.cut()
            if reader.told and number % 10 == 0:
                reader.acknowledge()
            if number == 150:
                proxy.freeze()
                wait_until(lambda: reader.reader.last_error, limit_s=5)
                proxy.thaw()
            gevent.sleep(0.001)
        while len(reader.payloads()) < 300:
            reader.acknowledge()
            gevent.sleep(0.01)

    assert reader.payloads() == numbers(*range(300))
    assert reader.gaps() == []


def test_killed_at_any_moment_it_loses_and_repeats_nothing(
    client: redis.Redis, redis_url: str
) -> None:
    reader = StreamReader(Dialer(connection_pool(redis_url, 2.0)))
    reader.read_from(ReadStream(START))
    told: list[PersistStream] = []

    def tell(message: PersistStream) -> None:
        gevent.sleep(0.002)  # waits for room: here it may be killed
        told.append(message)

    writer = gevent.spawn(add, client, *range(2000))
    end, life_s = quiet_s() + 30, 0.05
    while sum(len(message.items) for message in told) < 2000 and quiet_s() < end:
        before = len(told)
        runner = gevent.spawn(reader.run, tell)
        gevent.sleep(life_s)
        runner.kill()
        life_s = 0.05 if len(told) > before else 2 * life_s  # a busy machine dials slowly
        if told:
            reader.note_progress(StreamProgress(told[-1].end, None))
    writer.get(timeout=10)
    reader.close()

    payloads = [item.payload for message in told for item in message.items]
    assert payloads == numbers(*range(2000))


def test_what_is_journalled_while_it_is_told_takes_no_room(
    client: redis.Redis,
    redis_url: str,
    wait_until: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream_reader, "MAX_UNACKNOWLEDGED", 1)
    reader = StreamReader(Dialer(connection_pool(redis_url, 2.0)))
    told: list[PersistStream] = []

    def tell(message: PersistStream) -> None:
        told.append(message)
        reader.note_progress(StreamProgress(message.end, None))

    reader.read_from(ReadStream(START))
    runner = gevent.spawn(reader.run, tell)
    for number in range(1, 4):
        add(client, number)
        wait_until(lambda number=number: sum(len(m.items) for m in told) == number, limit_s=5)
    runner.kill()
    reader.close()


@pytest.mark.timing
@pytest.mark.timing
def test_an_entry_of_a_hundred_megabytes_holds_nobody_up_and_its_size_is_told(
    new_reader: Callable[..., Reader],
    client: redis.Redis,
    redis_url: str,
    wait_until: Callable[..., None],
) -> None:
    reader = new_reader()
    wait_until(reader.at_end)
    add_elsewhere = (
        f"import redis; redis.Redis.from_url({redis_url!r}, socket_timeout=60).xadd("
        f"{STREAM!r}, {{'channel': 'strategy.x', 'payload': b'x' * {100 * 1024 * 1024}}})"
    )
    with loop_meter() as meter:
        adder = subprocess.Popen([sys.executable, "-c", add_elsewhere])
        wait_until(reader.payloads, limit_s=30)
        wait_until(reader.at_end)
        adder.wait(timeout=30)
    reader.acknowledge()
    add(client, 2)
    wait_until(lambda: len(reader.payloads()) == 2)

    large, small = reader.payloads()
    assert isinstance(large, Cut)
    assert (large.size, bytes(large)) == (100 * 1024 * 1024, b"x" * 4096)
    assert small == b"2"
    assert meter.longest_s < 0.010 * time_scale()
