from typing import Any

import pytest
from orchestrator.agents import Refused
from orchestrator.agents.testing import Bench


def suggest(bench: Bench, action: str = "BUY", quantity: float = 10, price: float = 190) -> Any:
    parameters = {"quantity": quantity, "price": price}
    bench.deliver("strategy.candidate", symbol="AAPL", action=action, parameters=parameters)
    decisions = bench.published("risk.decision")
    return decisions[-1].payload if decisions else None


def test_what_is_within_the_limits_is_approved(bench: Bench, load: Any) -> None:
    bench.start(load("risk:RiskCheck"))

    decision = suggest(bench)

    expected = {"symbol": "AAPL", "action": "BUY", "quantity": 10, "approved": True, "reason": ""}
    assert expected.items() <= decision.items()


def test_positions_come_of_fills_and_are_limited_both_ways(bench: Bench, load: Any) -> None:
    bench.start(load("risk:RiskCheck"), options={"max_position": 25})
    for _ in range(2):
        bench.deliver("strategy.fill", symbol="AAPL", action="BUY", quantity=10)

    assert suggest(bench, "BUY")["reason"] == "a position of 30 is over 25"
    assert suggest(bench, "SELL")["approved"]
    assert suggest(bench, "SELL", 50)["reason"] == "a position of -30 is over 25"


@pytest.mark.parametrize(
    ("quantity", "price", "reason"),
    [
        (0, 190, "no quantity or no price"),
        (10, 0, "no quantity or no price"),
        (50, 9000, "450000 is over 100000"),
    ],
)
def test_an_order_that_is_none_or_too_large_is_refused(
    bench: Bench, load: Any, quantity: float, price: float, reason: str
) -> None:
    bench.start(load("risk:RiskCheck"))

    assert suggest(bench, "BUY", quantity, price)["reason"] == reason


def test_to_hold_needs_no_decision(bench: Bench, load: Any) -> None:
    bench.start(load("risk:RiskCheck"))

    assert suggest(bench, "HOLD") is None


def test_a_candidate_that_is_none_is_refused(bench: Bench, load: Any) -> None:
    bench.start(load("risk:RiskCheck"))

    with pytest.raises(Refused):
        suggest(bench, "buy")
