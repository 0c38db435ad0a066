from typing import Any

import pytest
from orchestrator.agents import Refused
from orchestrator.agents.testing import Bench


def regime(**fields: Any) -> dict[str, Any]:
    details = {"volatility": 0.001, "trend_strength": 0.4, "mean_return": 0.001, "data_points": 9}
    symbols = {"AAPL": "bullish", "MSFT": "sideways", "TSLA": "bearish", "NVDA": "bullish"}
    return {
        "regime": "stable",
        "trend": "bullish",
        "volatility": 0.001,
        "symbols_analyzed": 4,
        "confidence": 0.8,
        "symbol_details": {
            symbol: {"regime": "stable", "trend": trend, **details}
            for symbol, trend in symbols.items()
        },
        **fields,
    }


def quoted(bench: Bench) -> None:
    for symbol, price in (("AAPL", 190.0), ("MSFT", 420.0), ("TSLA", 250.0)):
        bench.deliver(f"data.market.{symbol}.1m", symbol=symbol, price=price)


def test_each_symbol_with_a_trend_and_a_price_is_suggested(bench: Bench, load: Any) -> None:
    bench.start(load("signals:Signals"))
    quoted(bench)

    bench.deliver("quant.regime.state", regime())

    sent = [one.payload for one in bench.published("strategy.candidate")]
    assert [(one["symbol"], one["action"]) for one in sent] == [("AAPL", "BUY"), ("TSLA", "SELL")]
    assert sent[0]["parameters"] == {"price": 190.0, "quantity": 10}


@pytest.mark.parametrize("fields", [{"regime": "volatile"}, {"confidence": 0.1}])
def test_a_wild_or_doubtful_market_suggests_nothing(
    bench: Bench, load: Any, fields: dict[str, Any]
) -> None:
    bench.start(load("signals:Signals"))
    quoted(bench)

    bench.deliver("quant.regime.state", regime(**fields))

    assert bench.published() == []


def test_a_regime_that_is_none_is_refused(bench: Bench, load: Any) -> None:
    bench.start(load("signals:Signals"))

    with pytest.raises(Refused, match="Invalid enum value 'calm'"):
        bench.deliver("quant.regime.state", regime(regime="calm"))
