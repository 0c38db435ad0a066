"""The document in Redis: nothing that is in it is lost."""

from collections.abc import Iterator
from contextlib import closing

import pytest
import redis
from orchestrator.killswitch.guard.connection import Connection
from orchestrator.killswitch.guard.stored_stop import store, united
from orchestrator.killswitch.intake import Origin, called
from orchestrator.killswitch.lease import ABSENT, OTHER_TYPE
from orchestrator.protocol.bus_url import read_bus_url
from orchestrator.protocol.document import Kind, read_document, write_document
from orchestrator.protocol.targets import STOP_ALL
from orchestrator.protocol.trips import Forgotten, Stop
from orchestrator.protocol.ways import Way

from .posts import KEY, PERMIT

T0 = 1_800_000_000.0
ORIGIN = Origin(Way.REDIS, T0)
TRIP = called("why", "guard", STOP_ALL, Origin(Way.GUARD, T0))
OTHER = called("fat finger", "anna", STOP_ALL, Origin(Way.HTTP, T0 - 1))
RELEASED = "01M8JCDEET712FAJXJC5W3GV93"


def stop_in(document: bytes | str) -> Stop:
    found = read_document(document)
    assert found.kind is Kind.OURS
    return found.stop


def test_an_absent_key_gets_the_trip() -> None:
    assert stop_in(united(ABSENT, TRIP, ORIGIN)) == Stop(trips=(TRIP,))


def test_what_the_key_holds_stays() -> None:
    stop = Stop(
        trips=(OTHER,), generation=7, forgotten=Forgotten("2025-01-31T09:30:00.000Z", 2)
    ).with_release(RELEASED, "2026")

    found = stop_in(united(b"=" + write_document(stop), TRIP, ORIGIN))

    assert found == stop.with_trip(TRIP)


def test_a_trip_that_is_there_is_there_once() -> None:
    document = b"=" + united(ABSENT, TRIP, ORIGIN)

    assert stop_in(united(document, TRIP, ORIGIN)).trips == (TRIP,)


def test_another_programs_stop_becomes_a_trip() -> None:
    found = stop_in(united(b'={"enabled": true, "reason": "by hand"}', TRIP, ORIGIN))

    assert {(trip.way, trip.reason) for trip in found.trips} == {
        (Way.GUARD, "why"),
        (Way.REDIS, "by hand"),
    }


@pytest.mark.parametrize("seen", [b"=", b"={", b'={"enabled": 1}', OTHER_TYPE])
def test_damage_becomes_a_trip(seen: bytes) -> None:
    found = stop_in(united(seen, TRIP, ORIGIN))

    assert {trip.triggered_by for trip in found.trips} == {"guard", "damage:redis"}


@pytest.fixture
def connection(redis_url: str) -> Iterator[Connection]:
    with closing(Connection(read_bus_url(redis_url))) as connection:
        yield connection


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.mark.redis
def test_storing_deletes_the_permit(connection: Connection, client: redis.Redis) -> None:
    client.set(PERMIT, "permitted")

    store(connection, TRIP, ORIGIN)

    assert client.get(PERMIT) is None
    assert stop_in(client.get(KEY) or b"").trips == (TRIP,)


@pytest.mark.redis
def test_storing_unites(connection: Connection, client: redis.Redis) -> None:
    client.set(KEY, write_document(Stop(trips=(OTHER,))))

    store(connection, TRIP, ORIGIN)

    assert stop_in(client.get(KEY) or b"").trips == (OTHER, TRIP)


@pytest.mark.redis
def test_a_key_of_another_type_is_replaced(connection: Connection, client: redis.Redis) -> None:
    client.lpush(KEY, "not ours")

    store(connection, TRIP, ORIGIN)

    assert stop_in(client.get(KEY) or b"").find(TRIP.id) == TRIP
