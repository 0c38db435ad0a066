"""The daemon's loop is blocked by code in its own process: a stop holds for agents nevertheless."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from faults.permits import watching
from faults.rig import Rig, rig, wait_until
from faults.traders import External, Since
from orchestrator.cli.offline.halt_ways import Order, by_redis
from orchestrator.protocol.permit import KEY as PERMIT
from orchestrator.protocol.permit import RENEW_S
from orchestrator.protocol.ways import Way

pytestmark = [
    pytest.mark.slow,
    pytest.mark.subprocess,
    pytest.mark.db,
    pytest.mark.redis,
    pytest.mark.timeout(180),
]

PROMISE_S = 3.5
SETTINGS = """
[guard]
hang_exit_s = 60
on_silence = "{on_silence}"
[agents.blocking]
mode = "in_process"
class = "blocking_agent:Blocking"
"""
BLOCKING_AGENT = """
import ctypes, time
from pathlib import Path
from orchestrator.agents import Agent

FOLDER = Path(__file__).parent

class Blocking(Agent):
    agent_id = "blocking"
    group = "test"

    def on_start(self):
        self.call_every(0.05, self.look)

    def look(self):
        order = FOLDER / "order"
        if order.exists():
            how, _, seconds = order.read_text().rpartition(" ")
            order.rename(FOLDER / "blocked")
            if how == "one call":
                ctypes.PyDLL(None).sleep(int(seconds))  # keeps the GIL, and ends by a signal
            end = time.monotonic() + float(seconds) * (how != "one call")
            while time.monotonic() < end:
                if how == "c":
                    sum(range(50_000_000))  # a second or more in which it keeps the GIL
            (FOLDER / "blocked").rename(FOLDER / "free")
"""


class Site:
    """A daemon with an agent that blocks it, and an external agent that trades."""

    def __init__(self, of: Rig, on_silence: str) -> None:
        self.of, self.daemon = of, of.daemon
        settings = of.settings(of.pg_url) + SETTINGS.format(on_silence=on_silence)
        self.daemon.settings.write_text(settings)
        (of.folder / "blocking_agent.py").write_text(BLOCKING_AGENT)
        self.daemon.start(PYTHONPATH=str(of.folder))
        self.trader = External("external", of.folder / "acts", of.redis_url)

    def block(self, how: str, seconds: int) -> None:
        """Have the loop blocked; returns when it is."""
        for name in ("free", "blocked"):
            (self.of.folder / name).unlink(missing_ok=True)
        draft = self.of.folder / "draft"
        draft.write_text(f"{how} {seconds}")
        draft.rename(self.of.folder / "order")
        wait_until((self.of.folder / "blocked").exists, 20, "the agent blocks the loop")

    def has_permit(self) -> bool:
        with redis.Redis.from_url(self.of.redis_url) as client:
            return bool(client.exists(PERMIT))

    def release(self) -> None:
        (self.daemon.data / "TRIP").unlink(missing_ok=True)
        for trip in self.daemon.get("/risk/killswitch")["trips"]:
            order = {"reason": "over", "trip_id": trip["trip_id"]}
            assert self.daemon.call("POST", "/risk/killswitch/release", order)[0] == 200

    def close(self) -> None:
        self.trader.end()
        self.daemon.stop()


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with rig() as of:
        made = Site(of, "hold")
        yield made
        made.close()


def by_file(site: Site) -> None:
    (site.daemon.data / "TRIP").write_text("while it hangs")


def by_signal(site: Site) -> None:
    assert site.daemon.process is not None
    os.kill(site.daemon.process.pid, signal.SIGUSR1)


def by_bus(site: Site) -> None:
    with redis.Redis.from_url(site.of.redis_url) as bus:
        bus.publish("risk.killswitch", b'{"enabled": true, "reason": "while it hangs"}')


def by_key(site: Site) -> None:
    """As ``orc halt`` does at last."""
    assert by_redis(site.of.redis_url, Order("while it hangs")).done


def stopped_while_blocked(
    site: Site, how: str, seconds: int, stop: Callable[[Site], None] | None
) -> dict[str, Any]:
    """The state of the daemon after it, once all has been judged."""
    wait_until(site.trader.goes_on, 30, "it trades")
    site.block(how, seconds)
    with watching(site.of.redis_url) as watch:
        began = Since()
        if stop is not None:
            stop(site)
        wait_until((site.of.folder / "free").exists, seconds + 30, "the loop is free again")
        wait_until(lambda: site.daemon.get("/risk/killswitch")["status"] == "active", 10, "active")
        last = site.trader.last
        time.sleep(1.5 * RENEW_S)  # in which a permit would be issued

    assert watch.is_gone, "the permit is gone"
    assert watch.again == 0, "a permit came back under a stop"
    assert not site.has_permit()
    assert began.lasted(last) < PROMISE_S
    assert site.trader.last == last, "it trades again"
    state: dict[str, Any] = site.daemon.get("/risk/killswitch")
    return state


@pytest.mark.parametrize(
    ("how", "stop", "way"),
    [
        ("python", by_file, "file"),
        ("python", by_bus, None),
        ("c", by_signal, "signal"),
        ("c", by_key, None),
    ],
    ids=lambda one: getattr(one, "__name__", one),
)
def test_a_stop_holds_while_the_loop_is_blocked(
    site: Site, how: str, stop: Callable[[Site], None], way: str | None
) -> None:
    try:
        trips = stopped_while_blocked(site, how, 4, stop)["trips"]
        assert len(trips) == 1, trips
        assert trips[0]["triggered_by"] == way or way is None
    finally:
        site.release()


def test_the_guard_stops_by_itself_while_the_loop_is_blocked_in_c() -> None:
    with rig() as of:
        site = Site(of, "stop")
        try:
            trips = stopped_while_blocked(site, "one call", 9, None)["trips"]
        finally:
            site.close()
    # A slow machine may be silent for a while once more after it.
    assert {trip["triggered_by"] for trip in trips} == {Way.GUARD}
