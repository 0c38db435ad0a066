import random
from collections.abc import Callable
from typing import Any

import pytest
from orchestrator.agents.samples.dev import HOLD_BELOW, SYMBOLS, DevAgent, draw_candidate


def draw(count: int) -> list[dict[str, Any]]:
    rng = random.Random(1)
    return [draw_candidate(rng, SYMBOLS) for _ in range(count)]


def test_the_same_seed_draws_the_same_candidates() -> None:
    assert draw(5) == draw(5)


def test_all_candidates_are_sane() -> None:
    for candidate in draw(500):
        assert candidate["symbol"] in SYMBOLS
        assert 0 <= candidate["score"] <= 1
        assert 0 <= candidate["confidence"] <= 1
        assert (candidate["action"] == "HOLD") == (candidate["score"] < HOLD_BELOW)
        assert candidate["parameters"]


@pytest.mark.redis
def test_it_publishes_the_payload_of_the_contract(
    bus: Any, daemon: Any, running: Callable[..., Any]
) -> None:
    daemon.renew()
    running(DevAgent(redis_url=bus.url, options={"every_s": 0.05}))

    candidate = bus.wait_for("strategy.candidate", seq=2)

    assert set(candidate) - {"seq", "boot"} == {
        "agent_id",
        "symbol",
        "strategy",
        "action",
        "score",
        "confidence",
        "parameters",
        "timestamp",
    }
    assert candidate["agent_id"] == "dev-agent"
    beat = bus.wait_for("heartbeat.dev-agent")
    assert (beat["name"], beat["group"]) == ("Development Agent", "development")


@pytest.mark.redis
def test_it_suggests_nothing_without_a_permit(bus: Any, running: Callable[..., Any]) -> None:
    running(DevAgent(redis_url=bus.url, interval_s=0.1, options={"every_s": 0.05}))

    beat = bus.wait_for("heartbeat.dev-agent", status="halted", open_orders=0, gate="shut")
    assert beat["errors"] == 0
    assert bus.payloads("strategy.candidate") == []
