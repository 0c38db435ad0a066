"""Which permit may be issued, and the scripts that write and delete it."""

from collections.abc import Iterator

import pytest
import redis
from orchestrator.killswitch.intake import Origin, called
from orchestrator.killswitch.lease import (
    ABSENT,
    LAPSED,
    OTHER_TYPE,
    RENEW,
    STOP_KEY,
    STORE,
    Lease,
    seen,
)
from orchestrator.killswitch.redis_link import MAX_WAITING, Announcement, RedisLink
from orchestrator.protocol.permit import KEY, read_permit
from orchestrator.protocol.targets import STOP_ALL, Level, Target
from orchestrator.protocol.trips import Stop
from orchestrator.protocol.ways import Way

T0 = 1_800_000_000.0
REDUCE = Target(Level.REDUCE, "group:execution")


def stop_of(target: Target) -> Stop:
    return Stop(generation=7).with_trip(called("why", "anna", target, Origin(Way.HTTP, T0)))


def new_lease() -> Lease:
    return Lease("here", lambda: T0)


def test_no_permit_before_the_state_is_known() -> None:
    assert new_lease().permit() is None


def test_the_permit_says_what_is_stopped_and_who_was_resumed() -> None:
    lease = new_lease()
    lease.allow(stop_of(REDUCE).with_release("r", "2026", 7).with_resumed("trader"))

    permit = read_permit(lease.permit())

    assert permit is not None
    assert (permit.generation, permit.instance, permit.ttl_ms) == (7, "here", 3000)
    assert (permit.halted, permit.releases, permit.resumed) == ((REDUCE,), 1, {"trader": 7})


def test_none_is_issued_under_a_stop_of_all_or_when_it_is_forbidden() -> None:
    lease = new_lease()
    lease.allow(stop_of(STOP_ALL))
    assert lease.permit() is None
    lease.allow(Stop(generation=1))
    assert lease.permit() is not None

    lease.forbid()

    assert lease.permit() is None


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.mark.redis
def test_a_document_is_stored_only_over_the_one_that_was_seen(client: redis.Redis) -> None:
    assert client.eval(STORE, 2, STOP_KEY, KEY, ABSENT, b"one", "0") == b""
    assert client.eval(STORE, 2, STOP_KEY, KEY, ABSENT, b"two", "0") == seen(b"one")
    assert client.get(STOP_KEY) == b"one"

    assert client.eval(STORE, 2, STOP_KEY, KEY, seen(b"one"), b"two", "0") == b""

    assert client.get(STOP_KEY) == b"two"


@pytest.mark.redis
def test_the_permit_goes_whatever_the_document_is(client: redis.Redis) -> None:
    client.lpush(STOP_KEY, "not ours")
    client.set(KEY, "permit")

    assert client.eval(STORE, 2, STOP_KEY, KEY, ABSENT, b"one", "1") == OTHER_TYPE

    assert client.get(KEY) is None


def renewed(client: redis.Redis, document: bytes, *, prolongs: bool = False) -> object:
    last = "1" if prolongs else "0"
    return client.eval(RENEW, 2, STOP_KEY, KEY, seen(document), b"permit", "3000", last)


@pytest.mark.redis
def test_a_permit_that_is_gone_is_not_prolonged(client: redis.Redis) -> None:
    client.set(STOP_KEY, b"one")

    assert renewed(client, b"one", prolongs=True) == LAPSED
    assert client.get(KEY) is None
    assert renewed(client, b"one") == b""
    assert renewed(client, b"one", prolongs=True) == b""


def test_after_a_lapse_nothing_is_allowed_until_the_copies_are_asked() -> None:
    lease = new_lease()
    lease.allow(Stop(generation=1))

    lease.lapse()

    lease.allow(Stop(generation=1))
    assert lease.permit() is None
    lease.ask_again()
    lease.allow(Stop(generation=1))
    assert lease.permit() is not None


@pytest.mark.redis
def test_a_permit_is_renewed_only_under_the_document_that_was_seen(client: redis.Redis) -> None:
    client.set(STOP_KEY, b"one")

    assert renewed(client, b"two") == seen(b"one")
    assert client.get(KEY) is None
    assert renewed(client, b"one") == b""

    assert client.get(KEY) == b"permit"
    assert 2000 < client.pttl(KEY) <= 3000


def test_a_stop_published_while_a_full_queue_is_sent_is_not_taken_for_sent() -> None:
    link = RedisLink(
        "redis://127.0.0.1:1",
        Lease("tests"),
        own_copies=lambda _channel: 0,
        before_publish=lambda _payload, _now: None,
    )
    for number in range(MAX_WAITING):
        link.publish(Announcement(b"%d" % number))
    under_way = tuple(link._waiting)

    link.publish(Announcement(b"the new stop"))  # pushes the oldest out
    link._announced(lambda _message: None, under_way, [0] * MAX_WAITING)

    assert [one.payload for one in link._waiting] == [b"the new stop"]
