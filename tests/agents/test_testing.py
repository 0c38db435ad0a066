from pathlib import Path
from typing import Any

import msgspec
import pytest
from orchestrator.agents import (
    Agent,
    BusUnavailable,
    Event,
    Halt,
    Halted,
    Refused,
    TypedEvent,
    acts,
    every,
    on_event,
)
from orchestrator.agents.payloads import Candidate, Quote
from orchestrator.agents.samples.quotes import QuotesAgent
from orchestrator.agents.samples.regime import RegimeDetector
from orchestrator.agents.testing import Bench, replay

QUOTE, CANDIDATE = "data.market.AAPL.1m", "strategy.candidate"


class Strategy(Agent):
    """Suggests a trade at each quote, and counts what happens."""

    agent_id = "strategy-1"

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.notes: list[Any] = []

    def on_start(self) -> None:
        self.notes.append("start")

    @on_event("data.market.*", model=Quote)
    def on_quote(self, event: TypedEvent[Quote]) -> None:
        if event.payload.price > 1000:
            raise ValueError("too dear")
        self.publish(CANDIDATE, Candidate(event.payload.symbol, "BUY"))

    @on_event("strategy.*")
    def on_own(self, event: Event) -> None:
        self.notes.append(event.channel)

    @every(60)
    def tick(self) -> None:
        self.notes.append(self.engine.clock.unix_s())

    def on_killswitch(self, engaged: bool, message: dict[str, Any]) -> None:
        self.notes.append((engaged, message["reason"]))

    def on_stop(self) -> None:
        self.notes.append("stop")


class Trader(Agent):
    """Acts."""

    agent_id, group = "trader-1", "execution"

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.halts: list[str] = []

    @on_event(CANDIDATE)
    @acts
    def on_candidate(self, event: Event) -> None:
        self.publish("strategy.fill", {"symbol": event.payload["symbol"]})

    def on_halt(self, halt: Halt) -> None:
        self.halts.append(halt.why)


def quote(price: float = 190.0) -> dict[str, Any]:
    return {"symbol": "AAPL", "price": price}


# -- events ------------------------------------------------------------------------------


def test_what_is_delivered_has_been_handled_when_the_call_returns() -> None:
    bench = Bench()
    agent = bench.start(Strategy)

    bench.deliver(
        QUOTE,
        quote(),
    )

    (sent,) = bench.published()
    expected = {"symbol": "AAPL", "action": "BUY", "agent_id": "strategy-1", "seq": 1}
    assert expected.items() <= sent.payload.items()
    assert sent.payload["timestamp"] == "2026-01-01T00:00:00.000Z"
    assert agent.notes == ["start", CANDIDATE], "an agent hears itself, as on a real bus"


def test_what_was_published_is_found_by_channel_and_fields() -> None:
    bench = Bench()
    bench.start(Strategy)
    bench.deliver(QUOTE, Quote("AAPL", 190.0))
    bench.deliver("data.market.MSFT.1m", symbol="MSFT", price=420.0)

    assert len(bench.published("strategy.*")) == 2
    assert [one.payload["seq"] for one in bench.published(symbol="MSFT")] == [2]
    assert bench.published("risk.*") == bench.published(symbol="TSLA") == []


def test_causes_are_carried_as_on_a_real_bus() -> None:
    bench = Bench()
    bench.start(Strategy)

    bench.deliver(QUOTE, quote() | {"boot": "b", "seq": 7, "agent_id": "q"})

    (sent,) = bench.published(CANDIDATE)
    assert sent.payload["causation_id"] == f"b/q/{QUOTE}/7"


def test_agents_on_one_bench_hear_each_other() -> None:
    bench = Bench()
    bench.start(Strategy)
    bench.start(Trader)

    bench.deliver(QUOTE, quote())

    (candidate,), (fill,) = bench.published(CANDIDATE), bench.published("strategy.fill")
    assert candidate.payload["seq"] == 1
    assert fill.payload["causation_id"] == "boot-1/strategy-1/strategy.candidate/1"


# -- time --------------------------------------------------------------------------------


def test_timers_run_at_their_times_when_time_passes() -> None:
    bench = Bench()
    agent = bench.start(Strategy)
    begin_s = bench.clock.unix_s()

    bench.advance(59.9)
    assert agent.notes == ["start"]
    bench.advance(120.1)

    assert [note - begin_s for note in agent.notes[1:]] == [60, 120, 180]
    assert bench.clock.unix_s() == begin_s + 180


def test_heartbeats_come_by_themselves_and_are_no_messages() -> None:
    bench = Bench()
    agent = bench.start(Strategy, interval_s=5.0)
    bench.advance(12)

    assert bench.bus.beats["strategy-1"]["seq"] == 3
    assert bench.heartbeat(agent)["status"] == "active"
    assert bench.published() == []


# -- failures ----------------------------------------------------------------------------


def test_what_a_handler_raises_comes_out_of_the_call() -> None:
    bench = Bench()
    bench.start(Strategy)

    with pytest.raises(ValueError, match="too dear"):
        bench.deliver(QUOTE, quote(2000.0))
    with pytest.raises(Refused, match="price"):
        bench.deliver(QUOTE, quote(-1.0))
    bench.deliver(QUOTE, quote())


def test_on_request_failures_are_only_counted_as_in_production() -> None:
    bench = Bench(raises=False)
    agent = bench.start(Strategy)

    bench.deliver(QUOTE, quote(2000.0))
    bench.deliver(QUOTE, b"{")

    assert [str(error) for error in bench.errors] == ["too dear"]
    assert agent.dead_letters[0].reason == "ValueError: too dear"
    beat = bench.heartbeat(agent)
    assert (beat["status"], beat["errors"], beat["undecodable"]) == ("error", 1, 1)


def test_a_bus_that_is_away_delays_the_start() -> None:
    class Eager(Strategy):
        def on_start(self) -> None:
            self.publish("strategy.hello", {})
            super().on_start()

    bench = Bench()
    bench.bus.is_away = True
    agent = bench.start(Eager)
    with pytest.raises(BusUnavailable):
        agent.publish("strategy.x", {})
    bench.bus.is_away = False
    bench.advance(1)

    assert agent.notes == ["start", "strategy.hello"]


def test_a_stopped_agent_has_ended_and_hears_nothing_more() -> None:
    bench = Bench()
    agent = bench.start(Strategy)

    bench.stop(agent)
    bench.deliver(QUOTE, quote())

    assert agent.notes == ["start", "stop"]
    assert bench.bus.beats["strategy-1"]["status"] == "stopped"
    assert bench.published() == []


# -- permission --------------------------------------------------------------------------


def test_under_a_stop_nothing_is_done_until_the_release_and_a_resume() -> None:
    bench = Bench()
    trader = bench.start(Trader)
    bench.deliver(CANDIDATE, symbol="A")

    bench.halt("loss limit")
    bench.deliver(CANDIDATE, symbol="B")
    halted = bench.heartbeat(trader)
    bench.release()
    bench.deliver(CANDIDATE, symbol="C")
    bench.resume(trader)
    bench.deliver(CANDIDATE, symbol="D")

    assert [one.payload["symbol"] for one in bench.published("strategy.fill")] == ["A", "D"]
    assert (halted["status"], halted["withheld"], halted["open_orders"]) == ("halted", 1, 0)
    assert len(trader.halts) == 1


def test_a_stop_of_another_group_and_a_reduction_are_as_in_production() -> None:
    bench = Bench()
    trader = bench.start(Trader)

    bench.halt(scope="group:signals")
    bench.deliver(CANDIDATE, symbol="A")
    bench.halt(level="reduce")
    bench.advance(0.25)
    with pytest.raises(Halted), trader.acting():
        pass
    with trader.acting(reduces=True):
        pass

    assert len(bench.published("strategy.fill")) == 1


def test_the_permit_can_be_absent_from_the_beginning_and_come() -> None:
    bench = Bench(permitted=False)
    trader = bench.start(Trader)
    bench.deliver(CANDIDATE, symbol="A")
    bench.permit(renewed=True)
    bench.deliver(CANDIDATE, symbol="B")
    bench.permit(renewed=False)

    assert [one.payload["symbol"] for one in bench.published("strategy.fill")] == ["B"]
    assert trader.halts == ["no valid permit", "no valid permit"]


def test_everyone_hears_of_a_stop() -> None:
    bench = Bench()
    agent = bench.start(Strategy)

    bench.halt("loss limit")

    assert agent.notes == ["start", (True, "loss limit")]


# -- history -----------------------------------------------------------------------------


def recorded(folder: Path, *events: dict[str, Any]) -> Path:
    path = folder / "events.jsonl"
    path.write_bytes(b"".join(msgspec.json.encode(event) + b"\n" for event in events))
    return path


def event(second: int, kind: str, payload: Any, source: str = "q") -> dict[str, Any]:
    ts = f"2026-03-04T09:{second // 60:02d}:{second % 60:02d}.000Z"
    return {"id": second, "type": kind, "payload": payload, "ts": ts, "source": source}


def test_history_runs_at_its_own_times(tmp_path: Path) -> None:
    path = recorded(
        tmp_path,
        event(0, QUOTE, quote()),
        event(1, "runtime.started", {}),
        event(2, CANDIDATE, {"own": "of then"}, "strategy-1"),
        event(130, QUOTE, quote()),
        event(131, QUOTE, {"price": "none"}),
    )

    bench = replay(path, Strategy)

    assert [one.payload["timestamp"][11:19] for one in bench.published()] == [
        "09:00:00",
        "09:02:10",
    ]
    assert len(bench.errors) == 1


def test_the_same_history_gives_the_same_bytes() -> None:
    feed = Bench()
    feed.start(QuotesAgent)
    events = []
    for _ in range(300):
        feed.advance(2)
    for number, sent in enumerate(feed.published("data.market.*")):
        ts = sent.payload["timestamp"]
        events.append({"id": number, "type": sent.channel, "payload": sent.payload, "ts": ts})

    first, second = (replay(events, RegimeDetector).published() for _ in range(2))

    assert len(first) > 30
    assert [one.body for one in first] == [one.body for one in second]


def test_recorded_stops_shut_and_open_the_gate(tmp_path: Path) -> None:
    path = recorded(
        tmp_path,
        event(0, CANDIDATE, {"symbol": "A"}),
        event(1, "risk.killswitch", {"enabled": True, "reason": "x"}, "orchestrator"),
        event(2, CANDIDATE, {"symbol": "B"}),
        event(3, "risk.killswitch", {"enabled": False}, "orchestrator"),
        event(4, CANDIDATE, {"symbol": "C"}),
    )

    class Resuming(Trader):
        resume = "on_permit"

    sent = replay(path, Resuming).published("strategy.fill")

    assert [one.payload["symbol"] for one in sent] == ["A", "C"]


def test_a_line_that_is_no_event_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text('{"type":"a","payload":1,"ts":"2026-03-04T09:00:00.000Z"}\n[1]\n')

    with pytest.raises(ValueError, match="line 2 is no event"):
        replay(path, Strategy)


def test_no_history_is_an_agent_that_has_only_started() -> None:
    assert replay([], Strategy).published() == []
