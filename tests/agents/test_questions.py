import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from orchestrator.agents import (
    Agent,
    BadPayload,
    BusUnavailable,
    Event,
    Halted,
    NoAnswer,
    every,
    on_event,
)
from orchestrator.agents.testing import Bench

LIMIT = "risk.limit"


class Limits(Agent):
    """Answers how much may be bought."""

    agent_id = "limits-1"

    @on_event(LIMIT)
    def on_question(self, event: Event) -> None:
        if event.payload["symbol"] == "SLOW":
            return
        if event.payload["symbol"] == "BAD":
            raise ValueError("no such symbol")
        self.reply(event, {"limit": 50, "symbol": event.payload["symbol"]})


class Buyer(Agent):
    """Asks before it buys."""

    agent_id = "buyer-1"

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.answers: list[Any] = []

    @on_event("strategy.candidate")
    def on_candidate(self, event: Event) -> None:
        answer = self.ask(LIMIT, {"symbol": event.payload["symbol"]}, timeout_s=2)
        self.answers.append((answer.payload["limit"], answer.source))


class Executor(Limits):
    """Answers, also when it may not act."""

    agent_id, group = "executor-1", "execution"


@pytest.fixture
def bench() -> Bench:
    return Bench()


# -- on a bench ------------------------------------------------------------------------------------


def test_one_agent_asks_another_within_a_handler(bench: Bench) -> None:
    bench.start(Limits)
    buyer = bench.start(Buyer)

    bench.deliver("strategy.candidate", symbol="AAPL")

    assert buyer.answers == [(50, "limits-1")]
    (question,), (answer,) = bench.published(LIMIT), bench.published("reply.*")
    assert question.payload["reply_to"] == answer.channel
    assert answer.channel.rpartition(".")[0] == "reply.buyer-1"
    assert answer.channel.rpartition(".")[2].isdigit()
    assert "seq" not in answer.payload


def test_each_question_and_each_run_has_a_number_of_its_own(bench: Bench) -> None:
    bench.start(Limits)
    for _run in range(2):
        buyer = bench.start(Buyer)
        bench.deliver("strategy.candidate", symbol="AAPL")
        bench.deliver("strategy.candidate", symbol="TSLA")
        bench.stop(buyer)

    assert len({answer.channel for answer in bench.published("reply.*")}) == 4


def test_nobody_answers_in_time(bench: Bench) -> None:
    bench.start(Limits)
    asker = bench.start(Buyer)
    begun = bench.clock.unix_s()

    with pytest.raises(NoAnswer, match="not within 2 s"):
        bench.deliver("strategy.candidate", symbol="SLOW")

    assert bench.clock.unix_s() == begun + 2
    assert (asker.answers, len(asker.dead_letters)) == ([], 1)


def test_what_the_one_who_answers_raises_is_its_own(bench: Bench) -> None:
    answering = bench.start(Limits)
    bench.start(Buyer)

    with pytest.raises(ValueError, match="no such symbol"):
        bench.deliver("strategy.candidate", symbol="BAD")

    assert answering.dead_letters[0].reason == "ValueError: no such symbol"


def test_nobody_listens(bench: Bench) -> None:
    with pytest.raises(NoAnswer, match="no subscriber"):
        bench.start(Buyer).ask("my.limit", {}, 2)


def test_a_test_may_answer_itself(bench: Bench) -> None:
    buyer = bench.start(Buyer)
    bench.answer(LIMIT, lambda question: {"limit": len(question["symbol"]), "source": "test"})

    bench.deliver("strategy.candidate", symbol="AAPL")

    assert buyer.answers == [(4, "test")]


def test_time_passes_for_the_others_while_one_waits(bench: Bench) -> None:
    class Slow(Limits):
        pending: Event | None = None

        @on_event(LIMIT)
        def on_question(self, event: Event) -> None:
            self.pending = event

        @every(0.5)
        def answer(self) -> None:
            if self.pending is not None:
                self.reply(self.pending, {"limit": 1})

    bench.start(Slow)
    buyer, begun = bench.start(Buyer), bench.clock.unix_s()

    bench.deliver("strategy.candidate", symbol="AAPL")

    assert buyer.answers == [(1, "limits-1")]
    assert 0 < bench.clock.unix_s() - begun <= 0.5


def test_an_agent_that_may_not_act_answers_but_does_not_ask_on_a_channel_of_acting(
    bench: Bench,
) -> None:
    executor, buyer = bench.start(Executor), bench.start(Buyer)
    bench.halt()

    bench.deliver("strategy.candidate", symbol="AAPL")

    assert buyer.answers == [(50, "executor-1")]
    with pytest.raises(Halted):
        executor.ask("strategy.question", {}, 1)


def test_an_event_that_asks_nothing_is_not_answered(bench: Bench) -> None:
    agent = bench.start(Limits)
    forged = Event(LIMIT, {"symbol": "AAPL", "reply_to": "risk.killswitch"})

    assert agent.reply(forged, {}) == 0
    assert agent.reply(Event(LIMIT, {"reply_to": "reply." + "x" * 600}), {}) == 0
    assert bench.published() == []


def test_what_is_no_object_cannot_be_asked(bench: Bench) -> None:
    with pytest.raises(BadPayload, match="list"):
        bench.start(Buyer).ask(LIMIT, [1], 1)  # type: ignore[arg-type]


# -- on a real bus ---------------------------------------------------------------------------------


@pytest.mark.redis
def test_one_agent_asks_another_over_redis(
    bus: Any, running: Callable[[Agent], object], eventually: Callable[..., None]
) -> None:
    running(Limits(redis_url=bus.url))
    buyer = Buyer(redis_url=bus.url)
    running(buyer)

    for _candidate in range(3):
        bus.publish("strategy.candidate", {"symbol": "AAPL"})

    eventually(lambda: len(buyer.answers) == 3)
    assert set(buyer.answers) == {(50, "limits-1")}


@pytest.mark.redis
def test_many_ask_at_once_and_each_gets_its_own_answer(
    bus: Any, running: Callable[[Agent], object]
) -> None:
    running(Limits(redis_url=bus.url))
    asker = Buyer(redis_url=bus.url)
    got: list[bool] = []

    def ask(symbol: str) -> None:
        answers = [asker.ask(LIMIT, {"symbol": symbol}, 20) for _question in range(5)]
        got.extend(answer.payload["symbol"] == symbol for answer in answers)

    threads = [threading.Thread(target=ask, args=(f"S{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    asker.close()

    assert got == [True] * 40


@pytest.mark.redis
def test_over_redis_too_nobody_listens_or_answers(redis_url: str, bus: Any) -> None:
    asker = Buyer(redis_url=redis_url)

    with pytest.raises(NoAnswer, match=r"not within 0\.05 s"):
        asker.ask("my.limit", {}, 0.05)  # the bus of the test listens to all, and never answers
    bus.close()

    with pytest.raises(NoAnswer, match="no subscriber"):
        asker.ask("my.limit", {}, 5)
    asker.close()


@pytest.mark.redis
def test_a_stop_ends_the_wait(bus: Any, running: Callable[[Agent], threading.Thread]) -> None:
    buyer = Buyer(redis_url=bus.url)
    thread = running(buyer)
    bus.publish("strategy.candidate", {"symbol": "AAPL"})
    bus.wait_for(LIMIT, symbol="AAPL")

    buyer.stop()
    thread.join(10)

    assert not thread.is_alive()


def test_with_redis_away_it_cannot_be_asked() -> None:
    with pytest.raises(BusUnavailable):
        Buyer(redis_url="redis://127.0.0.1:1/0").ask(LIMIT, {}, 1)


@pytest.mark.redis
def test_an_answer_that_is_no_json_is_said_to_be_none(redis_url: str, bus: Any) -> None:
    asker = Buyer(redis_url=redis_url)

    def answer() -> None:
        bus.publish(bus.wait_for(LIMIT, symbol="AAPL")["reply_to"], b"{")

    thread = threading.Thread(target=answer)
    thread.start()
    with pytest.raises(BadPayload, match="no JSON"):
        asker.ask(LIMIT, {"symbol": "AAPL"}, 10)
    thread.join()
    asker.close()


# -- channels that nobody stores -------------------------------------------------------------------


def test_what_nobody_stores_is_said_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    agent = bench.start(Buyer)

    for channel in ("my.limit", "my.limit", "strategy.x", "my.other"):
        agent.publish(channel, {})

    said = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert [text.split(":")[0].rpartition(" ")[2] for text in said] == ["my.limit", "my.other"]
