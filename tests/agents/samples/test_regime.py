import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchestrator.agents import Event
from orchestrator.agents.samples import regime as module
from orchestrator.agents.samples.quotes import QuotesAgent
from orchestrator.agents.samples.regime import (
    Reading,
    RegimeDetector,
    RegimeOptions,
    Windows,
    analyse,
    classify,
    judge,
    read_price,
    trend_of,
)

OPTIONS = RegimeOptions()


def reading(regime: str = "stable", **fields: Any) -> Reading:
    defaults = {
        "regime": regime,
        "trend": "sideways",
        "volatility": {"stable": 0.001, "neutral": 0.007, "volatile": 0.03}[regime],
        "trend_strength": 0.0,
        "mean_return": 0.0,
        "data_points": 20,
    }
    return Reading(**{**defaults, **fields})


@pytest.mark.parametrize(
    ("volatility", "regime"),
    [(0, "stable"), (0.0059, "stable"), (0.006, "neutral"), (0.013, "neutral"), (1, "volatile")],
)
def test_the_regime_follows_the_thresholds(volatility: float, regime: str) -> None:
    assert classify(volatility, OPTIONS) == regime


@pytest.mark.parametrize(
    ("strength", "trend"),
    [(0.3, "bullish"), (-0.3, "bearish"), (0.25, "sideways"), (0.0, "sideways")],
)
def test_the_trend_follows_the_threshold(strength: float, trend: str) -> None:
    assert trend_of(strength, 0.25) == trend


def test_prices_that_stand_still_are_stable_and_sideways() -> None:
    assert analyse([5.0, 5.0, 5.0], OPTIONS) == Reading("stable", "sideways", 0.0, 0.0, 0.0, 3)


def test_a_steady_rise_is_bullish_and_a_steady_fall_bearish() -> None:
    assert analyse([1.0, 2.0, 4.0], OPTIONS).trend == "bullish"
    assert analyse([4.0, 2.0, 1.0], OPTIONS).trend == "bearish"


def test_volatility_is_the_standard_deviation_of_returns() -> None:
    analysed = analyse([100.0, 110.0, 99.0], OPTIONS)

    assert (analysed.volatility, analysed.mean_return) == (0.1, 0.0)
    assert analysed.regime == "volatile"


def test_a_market_that_agrees_with_full_windows_is_certain() -> None:
    judged = judge({"A": reading(), "B": reading()}, OPTIONS)

    assert (judged["regime"], judged["confidence"], judged["symbols_analyzed"]) == ("stable", 1, 2)


def test_few_prices_and_disagreement_lower_the_confidence() -> None:
    few = judge({"A": reading(data_points=5)}, OPTIONS)
    torn = judge({"A": reading(), "B": reading("volatile")}, OPTIONS)

    assert few["confidence"] == 0.25
    assert torn["regime"] == "volatile"
    assert torn["confidence"] == 0.75


def test_the_market_has_a_trend_at_a_lower_threshold() -> None:
    judged = judge({"A": reading(trend_strength=0.15)}, OPTIONS)

    assert judged["trend"] == "bullish"


@given(
    st.dictionaries(
        st.text(min_size=1),
        st.lists(st.floats(0.01, 1e6), min_size=2, max_size=20),
        min_size=1,
        max_size=5,
    )
)
def test_any_prices_give_a_payload_that_is_json(prices: dict[str, list[float]]) -> None:
    judged = judge({symbol: analyse(p, OPTIONS) for symbol, p in prices.items()}, OPTIONS)

    assert 0 <= judged["confidence"] <= 1
    assert judged["regime"] in ("stable", "neutral", "volatile")
    assert judged["trend"] in ("bullish", "bearish", "sideways")
    json.dumps({key: value for key, value in judged.items() if key != "symbol_details"})


def test_only_the_last_prices_of_a_symbol_are_kept() -> None:
    windows = Windows(RegimeOptions(window=3))
    for price in (1.0, 2.0, 3.0, 3.0, 3.0):
        windows.add("A", price)

    assert windows.readings()["A"] == Reading("stable", "sideways", 0.0, 0.0, 0.0, 3)


def test_symbols_with_too_few_prices_are_left_out() -> None:
    windows = Windows(OPTIONS)
    for symbol, price in itertools.product("AB", (1.0, 2.0)):
        windows.add(symbol, price)
    assert windows.readings() == {}
    windows.add("A", 3.0)

    assert list(windows.readings()) == ["A"]
    assert not windows.all_ready()
    windows.add("B", 3.0)
    assert windows.all_ready()


def test_symbols_beyond_the_bound_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SYMBOLS", 1)
    windows = Windows(RegimeOptions(min_prices=2))
    for symbol, price in itertools.product("AB", (1.0, 2.0)):
        windows.add(symbol, price)

    assert list(windows.readings()) == ["A"]


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"symbol": "AAPL", "price": 5}, ("AAPL", 5)),
        ({"price": 5.5}, ("TSLA", 5.5)),
        ({"symbol": 7, "price": 5.5}, ("TSLA", 5.5)),
        ({"price": 0}, None),
        ({"price": "5"}, None),
        ({"price": True}, None),
        ({"price": float("inf")}, None),
        ({}, None),
        ([], None),
    ],
)
def test_only_sane_prices_are_read(payload: Any, expected: Any) -> None:
    assert read_price(Event("data.market.TSLA.1m", payload)) == expected


@pytest.mark.redis
def test_it_reports_as_soon_as_every_symbol_has_enough_prices(
    bus: Any, running: Callable[..., Any]
) -> None:
    running(RegimeDetector(redis_url=bus.url))

    running(QuotesAgent(redis_url=bus.url, options={"every_s": 0.05}))

    state = bus.wait_for("quant.regime.state")
    assert state["causation_id"].split("/")[2].startswith("data.market.")
    assert set(state) - {"seq", "boot", "correlation_id", "causation_id"} == {
        "agent_id",
        "regime",
        "trend",
        "volatility",
        "symbols_analyzed",
        "confidence",
        "timestamp",
        "symbol_details",
    }
    assert (state["symbols_analyzed"], state["agent_id"]) == (7, "regime-detector")
    assert state["confidence"] <= 0.15
    assert set(state["symbol_details"]["AAPL"]) == {
        "regime",
        "trend",
        "volatility",
        "trend_strength",
        "mean_return",
        "data_points",
    }
    assert state["symbol_details"]["AAPL"]["data_points"] == 3


@pytest.mark.redis
def test_prices_of_other_timeframes_do_not_count(bus: Any, running: Callable[..., Any]) -> None:
    running(RegimeDetector(redis_url=bus.url, options={"every_s": 0.2}))

    for price in range(1, 6):
        bus.publish("data.market.MSFT.5m", {"symbol": "MSFT", "price": price})
        bus.publish("data.market.AAPL.1m", {"symbol": "AAPL", "price": price})

    assert list(bus.wait_for("quant.regime.state", seq=2)["symbol_details"]) == ["AAPL"]
