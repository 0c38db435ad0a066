"""The gate in JavaScript (examples/gate.js) with ioredis on a real server."""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bus_peers import Bus, Daemon
from orchestrator.protocol.targets import Level, Target

pytestmark = [
    pytest.mark.redis,
    pytest.mark.subprocess,
    pytest.mark.timing,
    pytest.mark.usefixtures("node_modules"),
]

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "gate.js"
BEAT = "heartbeat.node-trader"
PROMISE_S = 3.5


class NodeAgent:
    """The process, and what it has said."""

    def __init__(self, url: str, resume: str) -> None:
        self.process = subprocess.Popen(
            ["node", str(Path(__file__).with_name("gated_agent.js")), resume],
            env=os.environ | {"REDIS_URL": url},
            stdout=subprocess.PIPE,
            text=True,
        )
        self.orders: list[float] = []
        self.cancelled: list[float] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            for what, unix_ms in json.loads(line).items():
                (self.orders if what == "order" else self.cancelled).append(unix_ms / 1000)

    def last_order_after(self, moment: float, wait_s: float) -> float:
        """Seconds from the moment (by the wall) to the last order, once no more may come."""
        time.sleep(max(0.0, moment + wait_s - time.time()))
        count = len(self.orders)
        time.sleep(0.5)
        assert len(self.orders) == count, "it still trades"
        return self.orders[-1] - moment

    def end(self) -> None:
        self.process.kill()
        self.process.wait(10)
        self._thread.join(10)


@pytest.fixture
def bus(redis_url: str) -> Iterator[Bus]:
    made = Bus(redis_url)
    yield made
    made.close()


@pytest.fixture
def permits(redis_url: str) -> Iterator[Daemon]:
    made = Daemon(redis_url)
    yield made
    made.close()


@pytest.fixture
def new_agent(redis_url: str) -> Iterator[Callable[..., NodeAgent]]:
    made: list[NodeAgent] = []

    def start(resume: str = "on_permit") -> NodeAgent:
        made.append(NodeAgent(redis_url, resume))
        return made[-1]

    yield start
    for agent in made:
        agent.end()


def eventually(condition: Callable[[], object], limit_s: float = 10.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.01)


@pytest.fixture
def trader(bus: Bus, permits: Daemon, new_agent: Any) -> NodeAgent:
    permits.renew()
    agent: NodeAgent = new_agent()
    eventually(lambda: len(agent.orders) > 2)
    bus.seen.clear()
    return agent


def test_it_has_no_more_than_forty_lines_of_code() -> None:
    lines = [line.strip() for line in EXAMPLE.read_text().splitlines()]

    assert len([line for line in lines if line and not line.startswith("//")]) <= 40


def test_without_a_permit_it_sends_nothing_and_cancels(bus: Bus, new_agent: Any) -> None:
    agent = new_agent()

    beat = bus.wait_for(BEAT, status="halted", open_orders=0)

    assert (beat["gate"], beat["generation"], beat["trip_id"]) == ("shut", 0, None)
    assert agent.orders == []
    assert len(agent.cancelled) == 1


def test_a_stop_is_acknowledged_and_ended_by_a_higher_generation_alone(
    bus: Bus, permits: Daemon, trader: NodeAgent
) -> None:
    began = time.time()
    permits.stop("T1")
    bus.wait_for(BEAT, status="halted", trip_id="T1", gate="shut")
    bus.wait_for(BEAT, trip_id="T1", open_orders=0)
    assert trader.last_order_after(began, 0.5) < 1.0
    count = len(trader.orders)

    permits.announce(enabled=False)
    permits.renew()
    time.sleep(1.0)
    assert len(trader.orders) == count, "neither false nor the same generation opens it"
    permits.release()

    bus.wait_for(BEAT, status="active", gate="open", generation=101, trip_id=None)
    eventually(lambda: len(trader.orders) > count)


def test_a_drill_is_said_back_and_halts_nobody(bus: Bus, trader: NodeAgent) -> None:
    count = len(trader.orders)

    bus.publish("risk.drill", {"drill": "01J"})

    beat = bus.wait_for(BEAT, drill="01J")
    assert (beat["gate"], beat["trip_id"]) == ("open", None)
    eventually(lambda: len(trader.orders) > count)
    assert trader.cancelled == []


@pytest.mark.usefixtures("bus")
def test_a_permit_that_is_not_renewed_runs_out(permits: Daemon, trader: NodeAgent) -> None:
    began = time.time()
    permits.lapse()

    assert trader.last_order_after(began, PROMISE_S) < PROMISE_S


def test_a_server_that_is_frozen_stops_it(trader: NodeAgent, redis_server: Any) -> None:
    pid = redis_server.embedded.pid()
    began = time.time()
    os.kill(pid, signal.SIGSTOP)

    try:
        assert trader.last_order_after(began, PROMISE_S) < PROMISE_S
        eventually(lambda: trader.cancelled)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def test_a_reduce_is_acknowledged_at_once_and_ended_by_a_higher_generation(
    bus: Bus, permits: Daemon, trader: NodeAgent
) -> None:
    permits.announce(trip_id="T1", level="reduce")
    bus.wait_for(BEAT, gate="open", permission="reduce", trip_id="T1")
    trader.last_order_after(time.time(), 0.5)  # neither later nor by the same generation
    count = len(trader.orders)
    permits.release()

    bus.wait_for(BEAT, gate="open", permission="allowed", trip_id=None)
    eventually(lambda: len(trader.orders) > count)


def test_by_hand_it_waits_to_be_named(bus: Bus, permits: Daemon, new_agent: Any) -> None:
    permits.renew()
    agent = new_agent("manual")
    eventually(lambda: agent.orders)
    permits.stop("T1")
    bus.wait_for(BEAT, status="halted", open_orders=0)
    count = len(agent.orders)
    permits.release()
    time.sleep(1.0)
    assert len(agent.orders) == count

    permits.issue(generation=102, resumed={"node-trader": 102})

    eventually(lambda: len(agent.orders) > count)


def test_by_hand_one_that_starts_after_a_release_waits_to_be_named(
    bus: Bus, permits: Daemon, new_agent: Any
) -> None:
    permits.renew(releases=1)
    agent = new_agent("manual")
    bus.wait_for(BEAT, status="halted", generation=100, open_orders=0)
    assert agent.orders == []

    permits.issue(resumed={"node-trader": 100})

    eventually(lambda: agent.orders)


@pytest.mark.parametrize(
    ("target", "trades"),
    [
        (Target(Level.HALT, "group:signals"), True),
        (Target(Level.HALT, "agent:node-trader"), False),
        (Target(Level.REDUCE, "group:execution"), False),
    ],
)
def test_level_and_scope_count(
    permits: Daemon, trader: NodeAgent, target: Target, *, trades: bool
) -> None:
    permits.issue(halted=(target,))
    time.sleep(0.6)
    count = len(trader.orders)

    time.sleep(0.5)

    assert (len(trader.orders) > count) is trades
