from typing import Any

from orchestrator.agents.testing import Bench


def decide(bench: Bench, *, approved: bool = True, seq: int = 1) -> None:
    order = {"symbol": "AAPL", "action": "BUY", "quantity": 10, "price": 190.0}
    names = {"agent_id": "risk-1", "boot": "b", "seq": seq, "correlation_id": "c"}
    bench.deliver("risk.decision", order | names | {"approved": approved, "reason": ""})


def test_an_approved_order_is_sent_and_filled(bench: Bench, load: Any) -> None:
    bench.start(load("execution:PaperExecution"))

    decide(bench)
    bench.advance(0.5)

    (order,), (fill,) = bench.published("strategy.order"), bench.published("strategy.fill")
    assert order.payload["causation_id"] == "b/risk-1/risk.decision/1"
    assert fill.payload["causation_id"] == order.payload["id"]
    assert fill.payload["correlation_id"] == order.payload["correlation_id"] == "c"
    assert fill.payload["price"] == 190.0


def test_what_is_not_approved_is_not_sent(bench: Bench, load: Any) -> None:
    bench.start(load("execution:PaperExecution"))

    decide(bench, approved=False)

    assert bench.published("strategy.order") == []


def test_a_decision_that_comes_twice_is_one_order_at_the_venue(bench: Bench, load: Any) -> None:
    bench.start(load("execution:PaperExecution"))

    decide(bench)
    decide(bench)
    bench.advance(0.5)

    assert len(bench.published("strategy.fill")) == 1


def test_a_stop_cancels_what_works_and_is_answered(bench: Bench, load: Any) -> None:
    agent = bench.start(load("execution:PaperExecution"))
    decide(bench)
    assert bench.heartbeat(agent)["open_orders"] == 1

    bench.halt("loss limit")
    bench.advance(5)
    decide(bench, seq=2)

    beat = bench.heartbeat(agent)
    assert (beat["status"], beat["gate"], beat["open_orders"]) == ("halted", "shut", 0)
    assert bench.published("strategy.fill") == []
    assert len(bench.published("strategy.order")) == 1


def test_after_a_release_it_goes_on_when_a_person_says_so(bench: Bench, load: Any) -> None:
    agent = bench.start(load("execution:PaperExecution"))
    bench.halt("loss limit")
    bench.release()
    decide(bench)
    assert bench.published("strategy.order") == []

    bench.resume(agent)
    decide(bench, seq=2)

    assert len(bench.published("strategy.order")) == 1
