import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest
from orchestrator.agents.samples.quotes import MAX_STEP, TIMEFRAMES, QuotesAgent, Walk, quote


def walk_of(steps: int, seed: int = 42) -> list[float]:
    walk = Walk(100.0, random.Random(seed))
    return [100.0, *(walk.step() for _ in range(steps))]


def test_the_same_seed_walks_the_same_way() -> None:
    assert walk_of(50) == walk_of(50)
    assert walk_of(50) != walk_of(50, seed=1)


def test_no_step_is_larger_than_two_percent() -> None:
    prices = walk_of(5000)

    steps = [abs(b / a - 1) for a, b in itertools.pairwise(prices)]
    assert 0.015 < max(steps) <= MAX_STEP + 1e-12


def test_in_a_week_the_price_stays_in_sight_of_its_base() -> None:
    prices = walk_of(7 * 24 * 60 * 30)

    assert min(prices) > 70
    assert max(prices) < 145


def test_bid_and_ask_lie_around_the_price() -> None:
    payload = quote("STLA", 14.0, "5m", random.Random(1))

    assert payload["bid"] < payload["price"] < payload["ask"]
    assert (payload["exchange"], payload["timeframe"]) == ("NYSE", "5m")


@pytest.mark.redis
def test_it_publishes_every_symbol_with_the_payload_of_the_contract(
    bus: Any, running: Callable[..., Any], eventually: Callable[..., None]
) -> None:
    running(QuotesAgent(redis_url=bus.url, options={"every_s": 0.05}))

    payload = bus.wait_for("data.market.AMZN.1m")
    assert set(payload) - {"seq", "boot"} == {
        "symbol",
        "price",
        "volume",
        "bid",
        "ask",
        "exchange",
        "timeframe",
        "source",
        "agent_id",
        "timestamp",
    }
    symbols = ("STLA", "TSLA", "AAPL", "NVDA", "MSFT", "GOOGL", "AMZN")
    wanted = {f"data.market.{symbol}.{frame}" for symbol in symbols for frame in TIMEFRAMES}
    eventually(lambda: wanted <= {channel for channel, _ in bus.seen})
    assert (payload["agent_id"], payload["source"]) == ("quotes-agent", "quotes-agent")
