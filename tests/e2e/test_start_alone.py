"""A daemon that starts before what it depends on, and what systemd hears of it."""

import os
import socket
import time
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from faults.proxy import Proxy
from quiet_clock import quiet_s

pytestmark = [pytest.mark.subprocess, pytest.mark.slow, pytest.mark.timeout(300)]

SETTINGS = """
[http]
port = 0
rate_limit_max = 1000000
"""


def until(condition: Callable[[], object], limit_s: float = 30.0) -> float:
    """Wait; returns how long it took."""
    began = quiet_s()
    while not condition():
        assert quiet_s() - began < limit_s, f"not within {limit_s:g} s"
        time.sleep(0.05)
    return quiet_s() - began


def status_of(daemon: Any, path: str) -> int | None:
    try:
        return int(daemon.call("GET", path)[0])
    except (OSError, ValueError, KeyError, urllib.error.URLError):
        return None


class Away:
    """Both servers, away at first; PostgreSQL listens on a socket of this session's own."""

    def __init__(self, postgres: Any, to_redis: Proxy) -> None:
        self._postgres, self._to_redis = postgres, to_redis
        postgres.stop()
        to_redis.refuse()

    def come_back(self) -> None:
        self._postgres.start()
        self._to_redis.accept()


@pytest.fixture
def servers(
    postgres_server: Any, pg_url: str, redis_url: str
) -> Iterator[tuple[Away, dict[str, str]]]:
    """Redis behind a proxy, since another program could take the port of one that is away."""
    valkey = urlsplit(redis_url)
    with Proxy(valkey.port or 6379, valkey.hostname or "127.0.0.1") as to_redis:
        url = valkey._replace(netloc=f"127.0.0.1:{to_redis.port}").geturl()
        yield Away(postgres_server, to_redis), {"PG_URL": pg_url, "REDIS_URL": url}
    postgres_server.start()


@pytest.fixture
def lonely(new_daemon: Any, servers: tuple[Away, dict[str, str]]) -> Iterator[Any]:
    """A daemon whose servers are both away."""
    daemon = new_daemon(SETTINGS)
    daemon.away, daemon.environment = servers
    yield daemon
    if daemon.process is not None and daemon.process.poll() is None:
        daemon.stop()
    daemon.process = None


def launch(daemon: Any, **more: str) -> None:
    daemon.launch(**daemon.environment, **more)
    took = until(lambda: status_of(daemon, "/health") == 200, 10)
    assert took < 5.0


@pytest.mark.timing
def test_without_servers_it_serves_says_why_and_stops_trading(lonely: Any) -> None:
    launch(lonely)

    status, ready = lonely.call("GET", "/ready")
    assert status == 503
    assert not ready["checks"]["postgres"]["ok"]
    assert not ready["checks"]["redis"]["ok"]
    assert ready["checks"]["postgres"]["message"] not in ("", "ok")
    assert ready["checks"]["actors"]["ok"], ready
    status, answer = lonely.call("POST", "/risk/killswitch", {"reason": "both are away"})
    assert (status, answer["latched"], answer["persisted"]) == (200, True, False)
    assert lonely.call("POST", "/bus/events", {"type": "x", "payload": {}})[0] == 202

    time.sleep(12)  # longer than any backoff needs to reach its end
    lonely.away.come_back()

    assert until(lambda: status_of(lonely, "/ready") == 200, 20) < 5.0
    assert not [line for line in lonely.log.splitlines() if '"event":"child ended"' in line]
    until(lambda: lonely.get("/bus/events?type=risk.killswitch")["events"], 10)
    assert lonely.get("/risk/killswitch")["status"] == "active"
    events = until_stored(lonely)
    assert {"runtime.started", "risk.killswitch", "x"} <= events


def until_stored(daemon: Any) -> set[str]:
    def types() -> set[str]:
        return {event["type"] for event in daemon.get("/bus/events?limit=50")["events"]}

    until(lambda: "x" in types(), 10)
    return types()


class Manager:
    """What systemd does: a socket that takes datagrams."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self.heard: list[str] = []

    def listen(self) -> list[str]:
        try:
            while True:
                self.heard += self._socket.recv(4096).decode().splitlines()
        except BlockingIOError:
            return self.heard

    def close(self) -> None:
        self._socket.close()


@pytest.mark.timing
def test_systemd_hears_when_it_serves_lives_and_stops(lonely: Any) -> None:
    manager = Manager(lonely.folder / "notify")
    try:
        launch(lonely, NOTIFY_SOCKET=str(manager.path), WATCHDOG_USEC="1000000")
        until(lambda: "READY=1" in manager.listen(), 10)
        until(lambda: manager.listen().count("WATCHDOG=1") >= 3, 10)
        assert "STOPPING=1" not in manager.heard

        lonely.stop()

        assert "STOPPING=1" in manager.listen()
        assert manager.heard.index("READY=1") < manager.heard.index("WATCHDOG=1")
    finally:
        manager.close()


@pytest.mark.timing
def test_a_daemon_that_hangs_gives_systemd_no_sign_of_life(lonely: Any) -> None:
    manager = Manager(lonely.folder / "notify")
    try:
        launch(lonely, NOTIFY_SOCKET=str(manager.path), WATCHDOG_USEC="1000000")
        until(lambda: "WATCHDOG=1" in manager.listen(), 10)
        os.kill(lonely.process.pid, 19)  # SIGSTOP
        manager.listen()
        count = manager.heard.count("WATCHDOG=1")
        time.sleep(1.5)

        assert manager.listen().count("WATCHDOG=1") - count <= 1
    finally:
        os.kill(lonely.process.pid, 18)  # SIGCONT
        manager.close()
