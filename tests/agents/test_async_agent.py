"""Agents for asyncio: on a bench, and in a process of their own on a real server."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from orchestrator.agents import (
    Agent,
    AsyncAgent,
    BadAgent,
    Event,
    Halt,
    NoAnswer,
    TypedEvent,
    acts,
    deadman,
    every,
    on_event,
)
from orchestrator.agents.payloads import Quote
from orchestrator.agents.testing import Bench

QUOTE = "data.market.AAPL.1m"


class Trader(AsyncAgent):
    """Uses all that there is."""

    agent_id, needs_permit = "trader-1", True

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.notes: list[Any] = []

    async def on_start(self) -> None:
        await asyncio.sleep(1)
        self.notes.append("start")
        self.spawn(self.count())

    async def count(self) -> None:
        for number in range(3):
            await asyncio.sleep(10)
            await self.publish("strategy.count", {"n": number})
        raise ValueError("counted")

    @on_event("data.market.*", model=Quote)
    @acts
    async def on_quote(self, event: TypedEvent[Quote]) -> None:
        await asyncio.sleep(0.5)
        await self.publish("strategy.candidate", {"symbol": event.payload.symbol})

    @on_event("strategy.question")
    async def on_question(self, event: Event) -> None:
        limit = await self.ask("risk.limit", {}, timeout_s=2)
        self.notes.append(limit.payload["limit"])
        await self.reply(event, {"limit": limit.payload["limit"]})

    @on_event("strategy.plain")
    def on_plain(self, event: Event) -> None:
        self.notes.append(asyncio.get_running_loop() is not None and event.payload["n"])

    @every(60)
    async def tick(self) -> None:
        self.notes.append("tick")

    @deadman(60)
    async def renew(self) -> None:
        self.notes.append("renew")

    async def on_halt(self, halt: Halt) -> None:
        await asyncio.sleep(0)
        self.notes.append(halt.why)

    async def on_stop(self) -> None:
        await asyncio.sleep(0)
        self.notes.append("stop")


class Limits(AsyncAgent):
    """Answers, after a while."""

    agent_id = "limits-1"

    @on_event("risk.limit")
    async def on_question(self, event: Event) -> None:
        await asyncio.sleep(0.5)
        await self.reply(event, {"limit": 50})


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    for driven in list(made._driven):
        made.stop(driven.agent)


def test_handlers_timers_and_hooks_are_awaited_and_sleeping_takes_no_time(bench: Bench) -> None:
    begun = bench.clock.unix_s()
    trader = bench.start(Trader)
    assert bench.clock.unix_s() == begun + 1

    bench.deliver(QUOTE, symbol="AAPL", price=190.0, agent_id="q", boot="b", seq=1)
    bench.deliver("strategy.plain", n=7)
    bench.advance(60)
    bench.stop(trader)

    (candidate,) = bench.published("strategy.candidate")
    assert candidate.payload["causation_id"] == f"b/q/{QUOTE}/1"
    assert trader.notes == ["start", "renew", 7, "tick", "renew", "stop"]


def test_tasks_run_beside_the_handlers_and_their_failure_is_said(bench: Bench) -> None:
    trader = bench.start(Trader)

    bench.advance(15)
    assert [one.payload["n"] for one in bench.published("strategy.count")] == [0]
    bench.advance(30)

    assert [one.payload["n"] for one in bench.published("strategy.count")] == [0, 1, 2]
    assert bench.heartbeat(trader)["last_error"] == "ValueError: counted"


def test_what_a_task_publishes_reaches_agents_that_were_started_before(bench: Bench) -> None:
    class Listener(Agent):
        seen = 0

        @on_event("strategy.count")
        def on_count(self, _event: Event) -> None:
            self.seen += 1

    listener = bench.start(Listener)
    bench.start(Trader)

    bench.advance(10)

    assert listener.seen == 1


def test_a_shut_gate_keeps_a_coroutine_from_beginning(bench: Bench) -> None:
    trader = bench.start(Trader)
    bench.halt("test")

    bench.deliver(QUOTE, symbol="AAPL", price=190.0)
    bench.advance(120)

    assert bench.published("strategy.candidate") == []
    assert trader.notes[:2] == ["start", "renew"]
    assert trader.notes[2].startswith("waiting for a permit")
    assert trader.notes.count("renew") == 1


def test_one_loop_asks_another(bench: Bench) -> None:
    bench.start(Limits)
    trader = bench.start(Trader)

    bench.deliver("strategy.question", reply_to="reply.me.1")

    assert trader.notes[-1] == 50
    assert bench.published("reply.me.1", limit=50)


def test_nobody_answers(bench: Bench) -> None:
    bench.start(Trader)

    with pytest.raises(NoAnswer):
        bench.deliver("strategy.question", {"a": 1})


def test_what_the_kit_cannot_run_is_still_refused() -> None:
    async def lazy(_self: Any, _event: Event) -> Any:
        yield 1

    async def alone(_self: Any) -> None: ...

    for method, text in ((lazy, "has a yield"), (alone, r"called with \(self, event\)")):
        with pytest.raises(BadAgent, match=text):
            type("Bad", (AsyncAgent,), {"on_x": on_event("data.*")(method)})


PROGRAM = """
import asyncio, sys
from orchestrator.agents import AsyncAgent, Event, on_event

class Echo(AsyncAgent):
    agent_id = "echo-1"

    async def on_start(self):
        self.spawn(self.tick())

    async def tick(self):
        while True:
            await asyncio.sleep(0.01)
            await self.publish("strategy.tick", {})

    @on_event("strategy.question")
    async def on_question(self, event: Event):
        limit = await self.ask("risk.limit", {"n": event.payload["n"]}, 10)
        await self.publish("strategy.done", limit.payload)

    async def on_stop(self):
        await self.publish("strategy.bye", {})

Echo(redis_url=sys.argv[1]).run()
"""


@pytest.mark.redis
@pytest.mark.subprocess
def test_in_a_process_it_runs_asks_and_ends_in_time(bus: Any) -> None:
    program = subprocess.Popen([sys.executable, "-W", "error", "-c", PROGRAM, bus.url])
    try:
        bus.wait_for("strategy.tick", 60)
        bus.publish("strategy.question", {"n": 7, "boot": "b", "seq": 1, "source": "t"})
        question = bus.wait_for("risk.limit", n=7)
        bus.publish(question["reply_to"], {"limit": 50})

        done = bus.wait_for("strategy.done", limit=50)
        program.send_signal(signal.SIGTERM)
        assert program.wait(20) == 0
    finally:
        program.kill()
        program.wait(10)

    assert done["causation_id"] == "b/t/strategy.question/1"
    assert bus.payloads("strategy.bye")
    assert bus.payloads("heartbeat.echo-1")[-1]["status"] == "stopped"
