import time
from typing import Any

import pytest
from orchestrator.agents import Agent, BadOptions
from orchestrator.agents.simulation import MemoryBus, VirtualClock
from orchestrator.agents.surroundings import (
    REAL,
    MachineClock,
    RedisBus,
    Surroundings,
    current,
    within,
)


def test_agents_made_within_a_block_run_in_its_surroundings() -> None:
    clock = VirtualClock()
    bus = MemoryBus(clock)
    with within(Surroundings(clock, lambda _url, _limit_s, _agent_id: bus, lambda: "boot-x")):
        inside = Agent()
    outside = Agent()

    inside.publish("risk.note", {})

    assert (inside.boot, inside.engine.clock) == ("boot-x", clock)
    assert bus.sent[0].payload["boot"] == "boot-x"
    assert (current(), outside.engine.clock) == (REAL, REAL.clock)


def test_the_machines_clock_does_not_run_backwards() -> None:
    clock = MachineClock()
    first = (clock.monotonic_s(), clock.steady_s())

    assert clock.monotonic_s() >= first[0]
    assert clock.steady_s() >= first[1]
    assert abs(clock.unix_s() - time.time()) < 60


def test_a_url_that_is_refused_is_refused_before_anything_connects() -> None:
    with pytest.raises(BadOptions):
        RedisBus("http://host", 1.0)


@pytest.mark.redis
def test_a_durable_message_is_in_stream_and_channel(bus: Any) -> None:
    sender = RedisBus(bus.url, 2.0)

    receivers = sender.send("strategy.x", b'{"n":1}', durable=True)
    bus.wait_for("strategy.x", n=1)

    assert receivers == 1
    assert bus._client.xlen("orchestrator:events") == 1
    assert sender.read_permit() == (None, -2)
    sender.close()
