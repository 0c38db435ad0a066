import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from orchestrator.agents import subscriber as module
from orchestrator.agents.subscriber import Received, Subscriber

pytestmark = pytest.mark.redis


class Reader:
    """A subscriber in a thread, and all that it said."""

    def __init__(self, url: str) -> None:
        self.messages: list[Received] = []
        self.away: list[float] = []
        self.subscriber = Subscriber(
            url,
            channels=("risk.killswitch",),
            patterns=("data.market.*", "a[1].*"),
            on_message=self.messages.append,
            on_connected=self.away.append,
            log=logging.getLogger("test"),
        )
        self.thread = threading.Thread(target=self.subscriber.run, daemon=True)
        self.thread.start()


@pytest.fixture
def reader(bus: Any) -> Iterator[Reader]:
    made = Reader(bus.url)
    assert made.subscriber.connected.wait(10)
    yield made
    made.subscriber.stop()
    made.thread.join(5)
    assert not made.thread.is_alive()


def test_messages_come_in_order_with_pattern_and_channel(
    bus: Any, reader: Reader, eventually: Callable[..., None]
) -> None:
    bus.publish("data.market.AAPL.1m", b"1")
    bus.publish("a[1].x", b"2")
    bus.publish("risk.killswitch", b"3")
    bus.publish("risk.other", b"4")

    eventually(lambda: len(reader.messages) == 3)
    assert all(abs(message.received_s - time.time()) < 60 for message in reader.messages)
    assert [msgspec.structs.replace(message, received_s=0.0) for message in reader.messages] == [
        Received("data.market.*", "data.market.AAPL.1m", b"1"),
        Received("a[1].*", "a[1].x", b"2"),
        Received(None, "risk.killswitch", b"3"),
    ]


def test_the_first_connection_was_not_away(reader: Reader) -> None:
    assert reader.away == [0.0]


def test_a_connection_that_is_cut_comes_back(
    bus: Any, reader: Reader, eventually: Callable[..., None]
) -> None:
    bus._client.client_kill_filter(_type="pubsub")

    eventually(lambda: len(reader.away) == 2)
    bus.publish("data.market.AAPL.1m", b"1")
    eventually(lambda: len(reader.messages) == 1)
    assert reader.away[1] > 0


def test_a_silent_line_is_asked_and_answers(
    bus: Any, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., None]
) -> None:
    monkeypatch.setattr(module, "POLL_S", 0.01)
    monkeypatch.setattr(module, "PING_AFTER_S", 0.05)
    monkeypatch.setattr(module, "DEAD_AFTER_S", 2.0)
    calls = bus._client.info("commandstats").get("cmdstat_ping", {"calls": 0})["calls"]
    reader = Reader(bus.url)

    def pings() -> int:
        stats = bus._client.info("commandstats").get("cmdstat_ping", {"calls": 0})
        return int(stats["calls"]) - int(calls)

    eventually(lambda: pings() >= 3)
    assert reader.away == [0.0]
    reader.subscriber.stop()
    reader.thread.join(5)


def test_a_line_that_stays_silent_is_given_up(
    monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., None], mute_server: str
) -> None:
    monkeypatch.setattr(module, "POLL_S", 0.01)
    monkeypatch.setattr(module, "PING_AFTER_S", 0.05)
    monkeypatch.setattr(module, "DEAD_AFTER_S", 0.1)
    reader = Reader(mute_server)

    eventually(lambda: reader.subscriber._lost_at is not None)
    assert not reader.subscriber.connected.is_set()
    reader.subscriber.stop()
    reader.thread.join(5)
