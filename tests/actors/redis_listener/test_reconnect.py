import time
from typing import Any

import gevent
import pytest
import redis
from gevent.event import Event
from orchestrator.actors.redis_listener.reconnect import (
    AttemptSchedule,
    Dialer,
    connection_pool,
    dial,
)


def test_a_first_attempt_need_not_wait() -> None:
    assert AttemptSchedule().wait_s("control", 100.0) == 0


def test_after_a_failure_all_wait_a_second_and_some_jitter() -> None:
    schedule = AttemptSchedule(jitter=lambda: 0.5)
    schedule.attempt("control", 100.0)
    schedule.failed(100.0)

    assert schedule.wait_s("data", 100.0) == 1.5
    assert schedule.wait_s("data", 101.5) == 0


@pytest.mark.parametrize("jitter", [0.0, 0.5, 0.999])
def test_in_an_outage_attempts_are_seldomer_than_one_a_second_and_never_far_apart(
    jitter: float,
) -> None:
    schedule = AttemptSchedule(jitter=lambda: jitter)
    waits = []
    for _ in range(20):
        schedule.failed(0.0)
        waits.append(schedule.wait_s("data", 0.0))

    assert min(waits) >= 1
    assert max(waits) <= 4


def test_a_success_frees_the_others_at_once_and_starts_anew() -> None:
    schedule = AttemptSchedule(jitter=lambda: 1.0)
    for _ in range(5):
        schedule.failed(100.0)
    schedule.attempt("control", 100.0)
    schedule.succeeded()

    assert schedule.wait_s("data", 100.0) == 0
    schedule.failed(100.0)
    assert schedule.wait_s("data", 100.0) == 2


def test_one_connection_that_breaks_again_and_again_waits_but_less_than_a_second() -> None:
    schedule = AttemptSchedule()
    schedule.attempt("data", 100.0)
    schedule.succeeded()

    assert schedule.wait_s("data", 100.25) == pytest.approx(0.55)
    assert schedule.wait_s("data", 100.8) == pytest.approx(0)


@pytest.mark.redis
def test_attempts_are_made_one_at_a_time(redis_url: str) -> None:
    dialer = Dialer(connection_pool(redis_url, 2.0))
    inside: list[str] = []

    def connect(name: str) -> None:
        with dialer.connect(name) as connection:
            inside.append(name)
            assert len(inside) == 1
            gevent.sleep(0)
            inside.remove(name)
        connection.disconnect()

    gevent.joinall([gevent.spawn(connect, name) for name in "abc"], raise_error=True, timeout=5)

    assert dialer.attempts == 3


@pytest.mark.redis
def test_a_failed_attempt_closes_the_connection_and_makes_the_next_one_wait(redis_url: str) -> None:
    dialer = Dialer(connection_pool(redis_url, 2.0), AttemptSchedule(jitter=lambda: 0.0))
    with pytest.raises(OSError, match="away"), dialer.connect("a") as failed:
        raise OSError("away")
    began = time.monotonic()

    with dialer.connect("b") as connection:
        waited_s = time.monotonic() - began
    connection.disconnect()

    assert not failed.is_connected
    assert waited_s >= 0.95


def test_a_server_that_is_away_is_a_failed_attempt() -> None:
    dialer = Dialer(connection_pool("redis://127.0.0.1:1", 0.5))

    with pytest.raises(redis.ConnectionError), dialer.connect("a"):
        pytest.fail("connected")

    assert dialer.attempts == 1


class SlowConnection:
    client_name = "given"

    def __init__(self) -> None:
        self.go = Event()
        self.disconnected = False

    def connect(self) -> None:
        self.go.wait(5)

    def disconnect(self) -> None:
        self.disconnected = True


def test_a_killed_caller_leaves_no_half_open_connection() -> None:
    connection = SlowConnection()
    caller = gevent.spawn(dial, connection)
    gevent.sleep(0.01)

    caller.kill()
    before = connection.disconnected
    connection.go.set()
    gevent.sleep(0.01)

    assert (before, connection.disconnected) == (False, True)


def test_why_an_attempt_failed_is_raised_in_the_caller() -> None:
    class Refusing(SlowConnection):
        def connect(self) -> None:
            raise ConnectionRefusedError("nobody there")

    with pytest.raises(ConnectionRefusedError, match="nobody there"):
        dial(Refusing())


@pytest.mark.redis
def test_connections_are_named_unless_the_url_names_them(redis_url: str) -> None:
    pools = [connection_pool(url, 5.0) for url in (redis_url, f"{redis_url}?client_name=mine")]
    connections: list[Any] = [pool.make_connection() for pool in pools]

    for connection in connections:
        dial(connection)
    with redis.Redis.from_url(redis_url, protocol=2) as admin:
        names = [client["name"] for client in admin.client_list()]
    for connection in connections:
        connection.disconnect()

    assert {"orchestrator-daemon", "mine"} <= set(names)


def test_no_number_of_attempts_is_the_last() -> None:
    pool = connection_pool("redis://127.0.0.1:1", 0.1)

    for _ in range(1000):
        connection: Any = pool.make_connection()
        connection.disconnect()
