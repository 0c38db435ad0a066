"""Every way of a stop alone, with every server away: a whole daemon, cut off for real.

PostgreSQL is killed; Redis is cut off by a proxy, so that the test still sees what is there.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from faults.proxy import Proxy
from faults.rig import Rig, rig
from orchestrator.cli.client.rest import Client
from orchestrator.killswitch.latch import Latch
from orchestrator.protocol.document import read_document
from orchestrator.protocol.json_object import write_object
from orchestrator.protocol.permit import KEY as PERMIT
from orchestrator.protocol.permit import RENEW_S
from orchestrator.protocol.trips import Stop
from orchestrator.protocol.ulid import new_ulid
from orchestrator.protocol.ways import Way
from quiet_clock import quiet_s

from .conftest import STOP_KEY, Desk

pytestmark = [
    pytest.mark.slow,
    pytest.mark.subprocess,
    pytest.mark.db,
    pytest.mark.redis,
    pytest.mark.timeout(120),
]

REASON = "by this way alone"
ENGAGED_S = 5.0
"""No way may take longer, on a machine that is not busy; the row is read each second."""
RATE_LIMIT = 5
INSIDE = """
[agents.inside]
mode = "in_process"
class = "stopping_agent:Stopping"
"""
STOPPING_AGENT = """
from pathlib import Path
from orchestrator.agents import Agent

class Stopping(Agent):
    agent_id = "inside"
    group = "test"

    def on_start(self):
        self.call_every(0.1, self.look)

    def look(self):
        order = Path(__file__).with_name("order")
        if order.exists():
            order.unlink()
            self.publish("risk.killswitch", {"enabled": True, "reason": "by this way alone"})
"""
Away = frozenset[str]


class Site:
    """A daemon with both servers, and what may be taken from it."""

    def __init__(self, of: Rig, proxy: Proxy) -> None:
        self.of, self.proxy = of, proxy
        self.is_cut_off = False
        self.control = of.folder / "control.sock"
        self.daemon = of.daemon
        parts = urlsplit(of.redis_url)
        here = parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{proxy.port}")
        settings = of.settings(of.pg_url).replace(of.redis_url, here.geturl())
        limited = settings.replace("1000000", f'{RATE_LIMIT}\ncontrol_socket = "{self.control}"')
        self.daemon.settings.write_text(limited + INSIDE)
        (of.folder / "stopping_agent.py").write_text(STOPPING_AGENT)
        self.daemon.start(PYTHONPATH=str(of.folder))
        self.redis = redis.Redis.from_url(of.redis_url)

    def without(self, away: Away) -> None:
        """Have exactly these away, of a daemon that allows trading."""
        self.reconnect()
        if self.of.postgres.alive() and "postgres" in away:
            self.of.kill_postgres()
            until(lambda: not self.ready("postgres"))
        elif not self.of.postgres.alive() and "postgres" not in away:
            self.of.postgres.start()
            until(lambda: self.ready("postgres"), 30)
        until(self.has_permit)
        if "redis" in away:
            self.cut_off()
        if away == {"redis"}:  # with both away it finds out by the stop itself
            until(lambda: not self.ready("redis"))
        if "rate" in away:
            until(lambda: self.daemon.call("GET", "/state")[0] == 429)

    def cut_off(self) -> None:
        """Redis is away, and with it the permit, as when that has run out."""
        self.proxy.refuse()
        self.is_cut_off = True
        self.redis.delete(PERMIT)

    def reconnect(self) -> None:
        if self.is_cut_off:
            self.proxy.accept()
        self.is_cut_off = False

    def ready(self, server: str) -> bool:
        return bool(self.daemon.get("/ready")["checks"][server]["ok"])

    def has_permit(self) -> bool:
        return bool(self.redis.exists(PERMIT))

    @property
    def trips(self) -> list[Any]:
        found: list[Any] = self.daemon.get("/risk/killswitch")["trips"]
        return found

    def latched(self) -> Stop:
        stop = Stop()
        for data in Latch(self.daemon.data).read().documents:
            stop = stop.union(read_document(data).stop)
        return stop

    def in_key(self, trip_id: str) -> bool:
        value = self.redis.get(STOP_KEY)
        return value is not None and read_document(value).stop.find(trip_id) is not None

    def release(self) -> None:
        """What was made by hand goes, then every trip."""
        for name in ("TRIP", "killswitch"):
            (self.daemon.data / name).unlink(missing_ok=True)
        for trip in self.trips:
            order = {"reason": "over", "trip_id": trip["trip_id"]}
            status, answer = self.daemon.call("POST", "/risk/killswitch/release", order)
            assert status == 200, answer


def until(condition: Callable[[], object], limit_s: float = 10.0) -> None:
    end = quiet_s() + limit_s
    while not condition():
        assert quiet_s() < end, f"not within {limit_s:g} s"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with rig() as of:
        port = urlsplit(of.redis_url).port or 6379
        with Proxy(port) as proxy:
            made = Site(of, proxy)
            yield made
            made.without(frozenset())
            made.daemon.stop()
            made.redis.close()


# -- the ways ------------------------------------------------------------------------------------


def by_http(site: Site) -> None:
    status, answer = site.daemon.call("POST", "/risk/killswitch", {"reason": REASON})
    assert (status, answer["latched"]) == (200, True)


def by_socket(site: Site) -> None:
    with Client(f"unix://{site.control}", timeout_s=10) as client:
        answer = client.ask("POST", "/risk/killswitch", {"reason": REASON})
    assert (answer.status, answer.body["latched"]) == (200, True)


def by_bus(site: Site) -> None:
    site.redis.publish("risk.killswitch", write_object({"enabled": True, "reason": REASON}))


def by_stream(site: Site) -> None:
    payload = write_object({"enabled": True, "reason": REASON})
    site.redis.xadd("orchestrator:events", {"channel": "risk.killswitch", "payload": payload})


def by_sql(site: Site) -> None:
    statement = (
        b"INSERT INTO orchestrator_state (key, value) VALUES ('killswitch_status', %s)"
        b" ON CONFLICT (key) DO UPDATE SET value = excluded.value"
    )
    text = write_object({"enabled": True, "reason": REASON}).decode()
    with psycopg.connect(site.of.pg_url, autocommit=True) as connection:
        connection.execute(statement, (text,))


def by_signal(site: Site) -> None:
    assert site.daemon.process is not None
    os.kill(site.daemon.process.pid, signal.SIGUSR1)


def by_trip(site: Site) -> None:
    (site.daemon.data / "TRIP").write_text(REASON)


def by_file_with_an_id(site: Site) -> None:
    path = site.daemon.data / f"TRIP.{new_ulid()}"
    draft = Path(f"{path}.draft")
    draft.write_bytes(write_object({"reason": REASON}))
    draft.rename(path)


def by_agent_inside(site: Site) -> None:
    (site.of.folder / "order").touch()


WAYS: dict[Callable[[Site], None], tuple[Way, str]] = {
    by_http: (Way.HTTP, ""),
    by_socket: (Way.SOCKET, ""),
    by_bus: (Way.BUS, "redis"),
    by_stream: (Way.STREAM, "redis"),
    by_sql: (Way.SQL, "postgres"),
    by_signal: (Way.SIGNAL, ""),
    by_trip: (Way.FILE, ""),
    by_file_with_an_id: (Way.FILE, ""),
    by_agent_inside: (Way.BUS, "redis"),
}
"""What each is known as, and the server that it needs by its nature."""
AWAY = (
    frozenset({"rate"}),
    frozenset({"redis"}),
    frozenset({"redis", "postgres"}),
    frozenset({"postgres"}),
)
CASES = [
    pytest.param(away, way, id=f"{way.__name__} without {' and '.join(sorted(away))}")
    for away, way in product(AWAY, WAYS)
    if WAYS[way][1] not in away
]


@pytest.mark.parametrize(("away", "way"), CASES)
def test_it_suffices_alone(site: Site, away: Away, way: Callable[[Site], None]) -> None:
    site.without(away)
    try:
        began = quiet_s()
        way(site)
        until(lambda: site.trips)
        assert quiet_s() - began < ENGAGED_S

        until(lambda: site.latched().stops_all)
        [trip] = site.latched().trips
        assert trip.way is WAYS[way][0]
        assert trip.reason == (REASON if way is not by_signal else "SIGUSR1 was sent to the daemon")
        assert site.daemon.get("/risk/killswitch")["status"] == "active"
        if "redis" not in away:
            until(lambda: not site.has_permit(), RENEW_S)
        expect_no_permit(site, trip.id)
    finally:
        site.release()


def expect_no_permit(site: Site, trip_id: str) -> None:
    """None is issued before Redis holds the trip; under it the renewing script refuses."""
    site.reconnect()
    permits = 0
    end = quiet_s() + 20
    while not site.in_key(trip_id):
        permits += site.has_permit()
        assert quiet_s() < end, "Redis does not get the trip"
    assert permits + site.has_permit() == 0


# -- from code in the daemon's own process ---------------------------------------------------------


@pytest.mark.parametrize("away", [("redis",), ("postgres",), ("redis", "postgres")], ids="+".join)
def test_an_actor_of_the_same_process_needs_no_server(
    desk: Desk,
    away: tuple[str, ...],
    redis_server: Any,
    postgres_server: Any,
    wait_until: Callable[..., None],
) -> None:
    servers = {"redis": redis_server, "postgres": postgres_server}
    wait_until(lambda: desk.permit() is not None)
    for name in away:
        servers[name].kill()

    engaged = desk.engage()

    assert (engaged.trip.way, engaged.latched) == (Way.PROCESS, True)
    assert desk.status == "active"
    for name in away:
        servers[name].start()
    with desk.redis as client:
        client.delete(PERMIT)  # which a server that was killed may bring back
    wait_until(lambda: desk.link.held.find(engaged.trip.id), limit_s=20)
    assert desk.permit() is None
