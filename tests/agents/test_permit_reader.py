"""An agent with a gate on a real server: what it may do, and how soon it says so."""

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from orchestrator.agents import Agent, Event, Halt, Halted, acts, deadman, every, on_event
from orchestrator.agents.gate import AgentGate
from orchestrator.agents.permit_reader import ANSWER_S, PermitReader
from orchestrator.agents.surroundings import RedisBus
from orchestrator.protocol.gate import Resume
from orchestrator.protocol.permit import KEY, READ_S, Permit, write_permit
from orchestrator.protocol.targets import Level, Permission, Target
from quiet_clock import quiet_s

pytestmark = [pytest.mark.redis, pytest.mark.timing]

BEAT = "heartbeat.trader"
PERMIT_S = 3.0
PROMISE_S = PERMIT_S + 0.5
SLACK_S = 2.0
"""For a machine that is busy; the bounds still tell a gate that shuts from one that waits."""


class Trader(Agent):
    """Sends an order whenever it may."""

    agent_id = "trader"
    group = "execution"
    interval_s = 60.0

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.orders: list[float] = []
        self.halts: list[tuple[float, Halt]] = []
        self.renewals: list[float] = []
        self.release = threading.Event()
        self.release.set()

    @every(0.02)
    @acts
    def trade(self) -> None:
        self.orders.append(time.monotonic())

    @on_event("data.market.*")
    def hold(self, _event: Event) -> None:
        self.release.clear()
        self.release.wait(20)

    @deadman(0.05)
    def renew(self) -> None:
        self.renewals.append(time.monotonic())

    def on_halt(self, halt: Halt) -> None:
        self.halts.append((time.monotonic(), halt))


class SelfResuming(Trader):
    resume = "on_permit"


@pytest.fixture
def trader(bus: Any, daemon: Any, running: Any, eventually: Any) -> Trader:
    """It trades."""
    daemon.renew()
    agent = SelfResuming(redis_url=bus.url)
    running(agent)
    eventually(lambda: len(agent.orders) > 2)
    bus.seen.clear()
    return agent


@pytest.fixture
def frozen(redis_server: Any) -> Iterator[Callable[[], None]]:
    """Freezes the server; it goes on at the end of the test."""
    pid = redis_server.embedded.pid()
    yield lambda: os.kill(pid, signal.SIGSTOP)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def last_order_after(agent: Trader, moment: float, wait_s: float) -> float:
    """Seconds from the moment to the last order, once no more may come."""
    time.sleep(max(0.0, moment + wait_s - time.monotonic()))
    count = len(agent.orders)
    time.sleep(0.5)
    assert len(agent.orders) == count, "it still trades"
    return agent.orders[-1] - moment


# -- drills --------------------------------------------------------------------------


def test_a_drill_is_said_back_at_once_and_halts_nobody(bus: Any, trader: Trader) -> None:
    count = len(trader.orders)

    bus.publish("risk.drill", {"drill": "01J"})

    beat = bus.wait_for(BEAT, drill="01J")
    assert (beat["gate"], beat["status"]) == ("open", "active")
    assert trader.halts == []
    assert trader.permission is Permission.ALLOWED
    end = time.monotonic() + 10
    while len(trader.orders) == count:
        assert time.monotonic() < end, "it trades no more"
        time.sleep(0.01)


def test_what_is_no_drill_is_not_answered(bus: Any, trader: Trader) -> None:
    bus.publish("risk.drill", b"no JSON")
    bus.publish("risk.drill", {"drill": 7})
    bus.publish("risk.drill", {"drill": "last"})

    bus.wait_for(BEAT, drill="last")

    assert {beat.get("drill") for beat in bus.payloads(BEAT)} <= {None, "last"}
    assert trader.halts == []


# -- shutting ------------------------------------------------------------------------


def test_without_a_permit_nothing_is_sent(bus: Any, running: Any) -> None:
    agent = Trader(redis_url=bus.url)
    running(agent)

    beat = bus.wait_for(BEAT, open_orders=0)

    expected = {"status": "halted", "gate": "shut", "generation": 0, "trip_id": None}
    assert expected.items() <= beat.items()
    assert agent.orders == agent.renewals == []
    assert [halt.why for _, halt in agent.halts] == ["no valid permit"]
    with pytest.raises(Halted, match="no valid permit"):
        agent.publish("strategy.order", {})
    agent.publish("risk.note", {})
    bus.wait_for("risk.note")
    assert bus.payloads("strategy.order") == []


def test_under_a_permit_it_says_so_and_acts(bus: Any, trader: Trader) -> None:
    assert trader.permission is Permission.ALLOWED
    assert trader.halts == []
    trader.publish("strategy.order", {})
    bus.wait_for("strategy.order")
    trader.engine.heart.beat()
    beat = bus.wait_for(BEAT)
    expected = {"status": "active", "gate": "open", "generation": 100, "trip_id": None}
    assert expected.items() <= beat.items()
    assert trader.renewals


def test_a_stop_is_acknowledged_at_once_and_nothing_is_sent_after(
    bus: Any, daemon: Any, trader: Trader
) -> None:
    began, quiet_began_s = time.monotonic(), quiet_s()
    daemon.stop("T1")

    bus.wait_for(BEAT, status="halted", trip_id="T1", gate="shut")
    bus.wait_for(BEAT, trip_id="T1", open_orders=0)
    took_s = quiet_s() - quiet_began_s
    assert took_s < 1.0 + SLACK_S, "a receipt is not left to the next heartbeat"
    assert last_order_after(trader, began, 0.5) < READ_S + SLACK_S
    [(_, halt)] = trader.halts
    assert (halt.trip_id, halt.reason) == ("T1", "loss limit")


def test_a_deleted_permit_stops_it_although_no_message_comes(
    bus: Any, daemon: Any, trader: Trader
) -> None:
    daemon.lapse()
    began = time.monotonic()
    redis.Redis.from_url(bus.url).delete(KEY)

    bus.wait_for(BEAT, status="halted", trip_id=None)

    assert last_order_after(trader, began, 0.5) < READ_S + 0.5, "not only when it has run out"


def test_a_permit_that_is_not_renewed_runs_out(bus: Any, daemon: Any, trader: Trader) -> None:
    daemon.lapse()
    began = time.monotonic()

    bus.wait_for(BEAT, status="halted")

    assert last_order_after(trader, began, PROMISE_S) < PROMISE_S
    last_renewal = trader.renewals[-1]
    time.sleep(0.2)
    assert trader.renewals[-1] == last_renewal, "the venue's own timer must fire"


def test_a_server_that_is_frozen_stops_it(
    trader: Trader, frozen: Callable[[], None], eventually: Any
) -> None:
    began = time.monotonic()
    frozen()

    assert last_order_after(trader, began, PROMISE_S) < PROMISE_S
    eventually(lambda: trader.halts)
    assert trader.halts[0][0] - began < PROMISE_S + SLACK_S, "on_halt needs no bus"


def test_a_server_that_is_killed_stops_it(trader: Trader, redis_server: Any) -> None:
    began = time.monotonic()
    redis_server.kill()

    assert last_order_after(trader, began, PROMISE_S) < PROMISE_S


def test_a_key_without_an_expiry_is_no_permit(bus: Any, daemon: Any, running: Any) -> None:
    daemon.issue(px=None)
    agent = Trader(redis_url=bus.url)
    running(agent)

    bus.wait_for(BEAT, status="halted", open_orders=0)
    assert agent.orders == []


def test_a_long_lived_key_that_nobody_renews_runs_out(
    daemon: Any, trader: Trader, eventually: Any
) -> None:
    daemon.lapse()
    daemon.issue(px=60_000, ttl_ms=200)

    eventually(lambda: trader.permission is Permission.HALT)
    time.sleep(2 * READ_S)
    assert trader.permission is Permission.HALT, "it was read again, and is the same"
    daemon.issue(px=60_000, ttl_ms=60_000)
    eventually(lambda: trader.permission is Permission.ALLOWED)


def test_a_halt_of_its_group_shuts_it_and_one_of_another_does_not(
    bus: Any, daemon: Any, trader: Trader, eventually: Any
) -> None:
    daemon.issue(halted=(Target(Level.HALT, "group:signals"),))
    time.sleep(2 * READ_S)
    assert trader.permission is Permission.ALLOWED

    daemon.issue(halted=(Target(Level.HALT, "group:execution"),))

    eventually(lambda: trader.permission is Permission.HALT)
    bus.wait_for(BEAT, status="halted")
    assert trader.halts[0][1].why == "the permit halts it"


def test_under_reduce_it_may_only_reduce(
    bus: Any, daemon: Any, trader: Trader, eventually: Any
) -> None:
    daemon.issue(halted=(Target(Level.REDUCE),))

    eventually(lambda: trader.permission is Permission.REDUCE)
    bus.wait_for(BEAT, gate="open", permission="reduce")
    with pytest.raises(Halted), trader.acting():
        pass
    with trader.acting(reduces=True):
        trader.publish("strategy.order", {})
    with pytest.raises(Halted):
        trader.publish("strategy.order", {})


# -- going on ------------------------------------------------------------------------


def test_it_goes_on_under_a_higher_generation(
    bus: Any, daemon: Any, trader: Trader, eventually: Any
) -> None:
    daemon.stop()
    bus.wait_for(BEAT, status="halted", open_orders=0)
    count = len(trader.orders)

    daemon.release()

    eventually(lambda: len(trader.orders) > count)
    bus.wait_for(BEAT, status="active", gate="open", generation=101)


def test_neither_false_nor_a_permit_of_its_generation_opens_it(
    bus: Any, daemon: Any, trader: Trader
) -> None:
    daemon.stop()
    bus.wait_for(BEAT, status="halted", open_orders=0)
    count = len(trader.orders)

    daemon.announce(enabled=False)
    daemon.renew()
    time.sleep(4 * READ_S)

    assert trader.permission is Permission.HALT
    assert len(trader.orders) == count


def test_one_that_resumes_by_hand_waits_to_be_named(
    bus: Any, daemon: Any, running: Any, eventually: Any
) -> None:
    daemon.renew()
    agent = Trader(redis_url=bus.url)
    running(agent)
    eventually(lambda: agent.orders)
    daemon.stop()
    bus.wait_for(BEAT, status="halted", open_orders=0)
    daemon.release()
    eventually(lambda: agent.engine.gate.beat(open_orders=0, busy=False).generation == 101)
    with pytest.raises(Halted, match="waiting to be resumed by hand"):
        agent.publish("strategy.order", {})

    daemon.issue(generation=102, resumed={"trader": 102})

    eventually(lambda: agent.permission is Permission.ALLOWED)


def test_a_stop_that_it_missed_is_seen_by_the_releases(
    bus: Any, daemon: Any, running: Any, eventually: Any
) -> None:
    daemon.renew()
    agent = Trader(redis_url=bus.url)
    running(agent)
    eventually(lambda: agent.orders)

    daemon.issue(generation=101, releases=1)

    eventually(lambda: agent.permission is Permission.HALT)
    bus.wait_for(BEAT, status="halted", generation=101)


@pytest.mark.usefixtures("trader")
def test_after_a_lapse_it_goes_on_by_itself(bus: Any, daemon: Any) -> None:
    daemon.lapse()
    bus.wait_for(BEAT, status="halted")

    daemon.renew()

    bus.wait_for(BEAT, status="active", gate="open", generation=100)


def test_one_that_starts_under_a_stop_does_not_act(bus: Any, daemon: Any, running: Any) -> None:
    daemon.stop("T1")
    agent = SelfResuming(redis_url=bus.url)
    running(agent)
    bus.wait_for(BEAT, status="halted", open_orders=0)

    daemon.announce(trip_id="T1")
    bus.wait_for(BEAT, status="halted", trip_id="T1")

    assert agent.orders == []
    assert len(agent.halts) == 1, "orders of a former run are cancelled"


# -- receipts ------------------------------------------------------------------------


def test_while_a_handler_runs_it_is_halted_but_not_quiet(
    bus: Any, daemon: Any, trader: Trader
) -> None:
    bus.publish("data.market.AAPL", {})
    bus.wait_for("data.market.AAPL")
    while trader.release.is_set():
        time.sleep(0.001)

    daemon.stop("T1")
    beat = bus.wait_for(BEAT, status="halted", trip_id="T1")
    time.sleep(2 * READ_S)
    receipts = bus.payloads(BEAT)
    trader.release.set()

    assert beat["open_orders"] is None
    assert all(said["open_orders"] is None for said in receipts)
    bus.wait_for(BEAT, trip_id="T1", open_orders=0)
    assert len(trader.halts) == 1


def test_open_orders_are_said_until_they_are_cancelled(
    bus: Any, daemon: Any, trader: Trader
) -> None:
    trader.open_orders = 2

    daemon.stop("T1")

    bus.wait_for(BEAT, status="halted", open_orders=2)
    trader.open_orders = 0
    bus.wait_for(BEAT, status="halted", open_orders=0)


def test_a_second_stop_gets_a_receipt_of_its_own(bus: Any, daemon: Any, trader: Trader) -> None:
    daemon.stop("T1")
    bus.wait_for(BEAT, trip_id="T1", open_orders=0)

    daemon.announce(trip_id="T2")

    bus.wait_for(BEAT, trip_id="T2", status="halted")
    assert len(trader.halts) == 1, "it has not opened in between"


@pytest.mark.usefixtures("trader")
def test_a_quiet_agent_that_goes_on_listening_does_not_flood_the_bus(bus: Any, daemon: Any) -> None:
    daemon.stop("T1")
    bus.wait_for(BEAT, trip_id="T1", open_orders=0)
    count = len(bus.payloads(BEAT))

    time.sleep(4 * READ_S)

    assert len(bus.payloads(BEAT)) == count


class Clumsy(SelfResuming):
    """Its venue refuses once."""

    def on_halt(self, halt: Halt) -> None:
        super().on_halt(halt)
        if len(self.halts) == 1:
            raise OSError("the venue is away")


def test_a_cancelling_that_failed_is_tried_again_before_it_is_quiet(bus: Any, running: Any) -> None:
    agent = Clumsy(redis_url=bus.url)
    running(agent)

    bus.wait_for(BEAT, status="halted", open_orders=0)

    assert len(agent.halts) == 2


def test_a_flood_on_the_killswitchs_channel_does_not_keep_it_from_cancelling(
    bus: Any, trader: Trader
) -> None:
    bus.publish("data.market.AAPL", {})
    while trader.release.is_set():
        time.sleep(0.001)
    client = redis.Redis.from_url(bus.url)
    with client.pipeline(transaction=False) as flood:
        for number in range(3000):
            flood.publish("risk.killswitch", b'{"enabled": true, "trip_id": "%d"}' % number)
        flood.execute()
    time.sleep(READ_S)
    trader.release.set()

    bus.wait_for(BEAT, status="halted", trip_id="2999", open_orders=0)
    assert len(trader.halts) == 1
    assert len(bus.payloads(BEAT)) < 100


# -- starting and stopping -----------------------------------------------------------


class EagerStart(SelfResuming):
    """Publishes as it starts."""

    starts = 0

    def on_start(self) -> None:
        self.starts += 1
        self.publish("strategy.hello", {})


def test_a_start_that_may_not_publish_is_tried_again(bus: Any, daemon: Any, running: Any) -> None:
    agent = EagerStart(redis_url=bus.url)
    running(agent)
    bus.wait_for(BEAT, status="halted")

    daemon.renew()

    bus.wait_for("strategy.hello")
    assert agent.starts >= 2


def test_the_last_heartbeat_says_stopped(bus: Any, running: Any) -> None:
    agent = Trader(redis_url=bus.url)
    thread = running(agent)
    bus.wait_for(BEAT, open_orders=0)

    agent.stop()
    thread.join(5)

    assert bus.wait_for(BEAT, status="stopped")["gate"] == "shut"
    assert bus.payloads(BEAT)[-1]["status"] == "stopped"


# -- alone ---------------------------------------------------------------------------


def reader_of(url: str, gate: AgentGate) -> PermitReader:
    return PermitReader(
        RedisBus(url, ANSWER_S),
        gate,
        on_halt=lambda _halt: gate.halt_handled(),
        beat=lambda: gate.beat(open_orders=0, busy=False),
        send=lambda: True,
        log=logging.getLogger("test"),
    )


def test_a_server_that_says_nothing_holds_it_up_for_its_limit_only(
    mute_server: str, caplog: pytest.LogCaptureFixture
) -> None:
    gate = AgentGate("a", "execution", Resume.MANUAL)
    reader = reader_of(mute_server, gate)
    thread = threading.Thread(target=reader.run, daemon=True)
    thread.start()
    assert reader.looked.wait(ANSWER_S + SLACK_S)

    reader.stop()
    thread.join(ANSWER_S + SLACK_S)

    assert not thread.is_alive()
    assert caplog.text.count("the permit cannot be read") == 1


def test_value_and_pttl_come_in_one_round_trip_of_two_commands(bus: Any) -> None:
    client = redis.Redis.from_url(bus.url)
    client.set(KEY, write_permit(Permit(7, "i", "t")), px=3000)
    gate = AgentGate("a", "execution", Resume.MANUAL)
    reader = reader_of(bus.url, gate)
    reader._read()
    before = client.info("commandstats")

    reader._read()

    after = client.info("commandstats")
    reader.close()
    calls = {name: after[name]["calls"] - before.get(name, {"calls": 0})["calls"] for name in after}
    assert {name for name, count in calls.items() if count} == {
        "cmdstat_get",
        "cmdstat_pttl",
        "cmdstat_info",
    }
    assert gate.permission is Permission.ALLOWED
