"""Deliveries to a real Redis, in order, each until it is done."""

import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from orchestrator.killswitch.guard import bus as module
from orchestrator.killswitch.guard import stored_stop
from orchestrator.killswitch.guard.bus import Bus, Delivery
from orchestrator.killswitch.intake import Origin, called
from orchestrator.protocol.document import read_document
from orchestrator.protocol.targets import STOP_ALL
from orchestrator.protocol.ways import Way

from .posts import CHANNEL, KEY, PERMIT, until

pytestmark = pytest.mark.redis


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        client.set(PERMIT, "permitted")
        yield client


class Office:
    """A bus at work, and what it says."""

    def __init__(self, url: str) -> None:
        self.published: list[tuple[str, int]] = []
        self.troubles: list[str] = []
        self.bus = Bus(url, self._note, self.troubles.append)
        self.bus.start()

    def _note(self, delivery: Delivery, receivers: int) -> None:
        self.published.append((delivery.trip.reason, receivers))


def delivery(reason: str, *, held: bool = True, within_s: float = 0.5) -> Delivery:
    trip = called(reason, "guard", STOP_ALL, Origin(Way.GUARD, time.time()))
    event = threading.Event()
    if held:
        event.set()
    return Delivery(trip, reason.encode(), event, time.monotonic() + within_s)


def test_a_trip_is_stored_and_published_and_the_permit_goes(
    redis_url: str, client: redis.Redis
) -> None:
    office, sent = Office(redis_url), delivery("why")

    office.bus.send(sent)

    assert office.bus.wait_done(5.0)
    assert sent.done
    assert office.published == [("why", 0)]
    assert client.get(PERMIT) is None
    assert read_document(client.get(KEY) or b"").stop.trips == (sent.trip,)
    assert office.troubles == []


def test_it_waits_for_the_disk_but_not_for_ever(redis_url: str, client: redis.Redis) -> None:
    office = Office(redis_url)
    slow, never = delivery("slow", held=False, within_s=60), delivery("never", held=False)
    office.bus.send(slow)
    assert not office.bus.wait_done(0.5)
    assert client.get(PERMIT) is not None

    slow.held.set()
    assert office.bus.wait_done(5.0)
    office.bus.send(never)

    assert office.bus.wait_done(5.0)
    assert [reason for reason, _ in office.published] == ["slow", "never"]


def test_where_scripts_are_forbidden_permit_and_publish_do_not_wait(
    redis_url: str, client: redis.Redis
) -> None:
    client.acl_setuser(
        "noeval", enabled=True, passwords="+x", keys="*", channels="*",
        commands=["+@all", "-eval"],
    )  # fmt: skip
    parts = urlsplit(redis_url)
    try:
        office = Office(f"redis://noeval:x@{parts.hostname}:{parts.port}/0")
        office.bus.send(delivery("first"))
        office.bus.send(delivery("second"))

        until(lambda: len(office.published) == 2)
        assert client.get(PERMIT) is None
        assert "NOPERM" in office.troubles[0]
        assert not office.bus.wait_done(0.5)
        client.acl_setuser("noeval", enabled=True, commands=["+eval"])
        assert office.bus.wait_done(5.0)
    finally:
        client.acl_deluser("noeval")
    assert [reason for reason, _ in office.published] == ["first", "second"]
    assert len(read_document(client.get(KEY) or b"").stop.trips) == 2


def test_a_cut_connection_is_made_anew_and_trouble_is_said_once(
    redis_url: str, client: redis.Redis
) -> None:
    office = Office("redis://127.0.0.1:1/0")
    until(lambda: office.troubles)
    time.sleep(1.0)
    assert len(office.troubles) == 1

    office = Office(redis_url)
    office.bus.send(delivery("one"))
    assert office.bus.wait_done(5.0)
    client.client_kill_filter(_type="normal", skipme=True)
    office.bus.send(delivery("two"))

    assert office.bus.wait_done(10.0)
    assert [reason for reason, _ in office.published][-1] == "two"


def test_a_surprise_does_not_end_the_deliveries(
    redis_url: str, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    surprises = [RuntimeError("a bug")]

    def store(*arguments: Any) -> None:
        if surprises:
            raise surprises.pop()
        stored_stop.store(*arguments)

    monkeypatch.setattr(module, "store", store)
    office = Office(redis_url)

    office.bus.send(delivery("why"))

    assert office.bus.wait_done(5.0)
    assert office.troubles == ["a bug", ""]
    assert client.get(PERMIT) is None


def test_receivers_are_counted(redis_url: str, client: redis.Redis) -> None:
    heard = client.pubsub(ignore_subscribe_messages=True)
    heard.subscribe(CHANNEL)
    office = Office(redis_url)

    office.bus.send(delivery("why"))

    assert office.bus.wait_done(5.0)
    assert office.published == [("why", 1)]
    heard.close()
