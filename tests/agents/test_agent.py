import logging
import re
import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar

import msgspec
import pytest
import redis
from orchestrator.agents import (
    Agent,
    AgentError,
    BadAgent,
    BadOptions,
    BadPayload,
    BusUnavailable,
    Event,
    every,
    on_event,
)
from quiet_clock import quiet_s

pytestmark = pytest.mark.redis

MARKET, HEARTBEAT = "data.market.AAPL.1m", "heartbeat.probe"


class Probe(Agent):
    """Notes all that happens to it."""

    agent_id = "probe"
    group = "tests"

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.notes: list[Any] = []
        self.release = threading.Event()

    def on_start(self) -> None:
        self.notes.append("start")

    @on_event("data.market.*")
    @on_event("data.*")
    def on_price(self, event: Event) -> None:
        if event.payload == "fail":
            raise ValueError("no price")
        if event.payload == "hang":
            self.release.wait(30)
        if event.payload == "publish":
            raise BusUnavailable("strategy.x", OSError("gone"))
        self.notes.append((event.channel, event.payload))

    def on_killswitch(self, engaged: bool, message: dict[str, Any]) -> None:
        self.notes.append(("killswitch", engaged, message.get("reason")))

    def on_reconnect(self, away_s: float) -> None:
        self.notes.append(("reconnect", away_s > 0))

    def on_stop(self) -> None:
        self.notes.append("stop")


class Flaky(Probe):
    """Cannot publish when it first tries to start."""

    tries = 0

    def on_start(self) -> None:
        self.tries += 1
        if self.tries == 1:
            raise BusUnavailable("strategy.x", OSError("gone"))
        super().on_start()


class Broken(Probe):
    """Does not start."""

    def on_start(self) -> None:
        raise RuntimeError("no licence")


class Ticking(Probe):
    """Has timers."""

    @every(0.05)
    def tick(self) -> None:
        self.notes.append("tick")

    @every(1000, at_start=True)
    def once(self) -> None:
        self.notes.append("once")


class MyQuotesAgent(Agent):
    """Has settings, and no id of its own."""

    class Options(msgspec.Struct, forbid_unknown_fields=True):
        symbols: tuple[str, ...] = ("AAPL",)


# -- what it is ----------------------------------------------------------------------


def test_the_id_comes_from_the_class_and_the_name_from_the_id() -> None:
    agent = MyQuotesAgent()

    assert (agent.agent_id, agent.name, agent.group) == ("my-quotes-agent",) * 2 + ("unknown",)


def test_what_the_constructor_gets_wins_over_the_class() -> None:
    agent = Probe(agent_id="x", name="X", group="g", redis_url="redis://h/", interval_s=1)

    assert (agent.agent_id, agent.name, agent.group) == ("x", "X", "g")
    assert (agent.redis_url, agent.interval_s) == ("redis://h/", 1)


@pytest.mark.parametrize("agent_id", ["with space", "star*", "new\nline", "x" * 129])
def test_an_id_that_no_channel_could_have_is_refused(agent_id: str) -> None:
    with pytest.raises(BadAgent, match="cannot be an agent's id"):
        Probe(agent_id=agent_id)


def test_options_are_checked_against_the_class() -> None:
    assert MyQuotesAgent(options={"symbols": ["TSLA"]}).options.symbols == ("TSLA",)
    with pytest.raises(BadOptions, match="symbol;"):
        MyQuotesAgent(options={"symbol": "TSLA"})


# -- the heartbeat -------------------------------------------------------------------


def test_the_heartbeat_has_the_fields_of_the_contract(bus: Any, running: Any) -> None:
    running(Probe(redis_url=bus.url, name="The Probe"))

    beat = bus.wait_for(HEARTBEAT)

    assert {
        "agent_id": "probe",
        "name": "The Probe",
        "group": "tests",
        "status": "active",
        "interval_s": 5.0,
        "seq": 1,
    }.items() <= beat.items()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", beat["timestamp"])


def test_a_version_is_told_if_there_is_one(bus: Any, running: Any) -> None:
    agent = Probe(redis_url=bus.url)
    agent.version = "2.3"

    running(agent)

    assert bus.wait_for(HEARTBEAT)["version"] == "2.3"


def test_each_run_has_a_boot_of_its_own() -> None:
    assert Probe().boot != Probe().boot


def test_the_last_heartbeat_says_stopped(bus: Any, running: Any) -> None:
    agent = Probe(redis_url=bus.url)
    thread = running(agent)

    agent.stop()
    thread.join(5)

    bus.wait_for(HEARTBEAT, status="stopped")
    assert bus.payloads(HEARTBEAT)[-1]["status"] == "stopped"


# -- events --------------------------------------------------------------------------


def test_events_are_handled_once_each_and_in_order(
    bus: Any, running: Any, eventually: Callable[..., None]
) -> None:
    agent = Probe(redis_url=bus.url)
    running(agent)

    for number in range(500):
        bus.publish(MARKET, {"n": number})

    eventually(lambda: len(agent.notes) >= 501)
    assert agent.notes == ["start", *((MARKET, {"n": number}) for number in range(500))]


def test_a_handler_that_raises_is_reported_and_the_next_event_is_handled(
    bus: Any, running: Any, eventually: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    agent = Probe(redis_url=bus.url)
    running(agent)

    bus.publish(MARKET, "fail")
    beat = bus.wait_for(HEARTBEAT, status="error")
    bus.publish(MARKET, "next")

    eventually(lambda: (MARKET, "next") in agent.notes)
    assert beat["last_error"] == "on_price: ValueError: no price"
    assert "ValueError: no price" in caplog.text
    assert "Traceback" in caplog.text


def test_after_a_success_the_heartbeat_is_active_again(bus: Any, running: Any) -> None:
    agent = Probe(redis_url=bus.url, interval_s=0.05)
    running(agent)
    bus.publish(MARKET, "fail")
    errors = bus.wait_for(HEARTBEAT, status="error")["seq"]

    bus.publish(MARKET, "fine")

    seq = bus.wait_for(HEARTBEAT, status="active", errors=1)["seq"]
    assert seq > errors


def test_the_author_can_report_an_error_and_clear_it(bus: Any, running: Any) -> None:
    agent = Probe(redis_url=bus.url, interval_s=0.05)
    running(agent)

    agent.report_error(OSError("feed is gone"))
    bus.wait_for(HEARTBEAT, status="error", last_error="OSError: feed is gone")
    agent.clear_error()

    bus.wait_for(HEARTBEAT, status="active", errors=1)


def test_a_handler_that_hangs_does_not_look_healthy_for_ever(bus: Any, running: Any) -> None:
    agent = Probe(redis_url=bus.url, interval_s=0.05)
    agent.engine.health._handler_limit_s = 0.2
    running(agent)

    bus.publish(MARKET, "hang")

    beat = bus.wait_for(HEARTBEAT, status="error")
    assert beat["last_error"].startswith("on_price has been running for")
    assert beat["busy_s"] >= 0.2, "to the millisecond: 0.2004 is said as 0.2"
    agent.release.set()
    bus.wait_for(HEARTBEAT, status="active", busy_s=0, handled=1)


def test_what_is_no_json_is_left_out_and_counted(bus: Any, running: Any) -> None:
    agent = Probe(redis_url=bus.url, interval_s=0.05)
    running(agent)

    bus.publish(MARKET, b"{")
    bus.publish(MARKET, b"\xff")

    bus.wait_for(HEARTBEAT, undecodable=2, status="active")


def test_a_publish_that_fails_in_a_handler_is_counted_and_no_fault_of_the_agent(
    bus: Any, running: Any, caplog: pytest.LogCaptureFixture
) -> None:
    running(Probe(redis_url=bus.url, interval_s=0.05))

    bus.publish(MARKET, "publish")

    bus.wait_for(HEARTBEAT, unpublished=1, status="active")
    assert "not published on strategy.x: gone" in caplog.text


def test_when_the_handlers_are_too_slow_the_oldest_market_data_goes(
    bus: Any, running: Any, eventually: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    class Small(Probe):
        queue_capacity = 3

    agent = Small(redis_url=bus.url, interval_s=0.05)
    running(agent)
    bus.publish(MARKET, "hang")
    eventually(lambda: agent.engine.health._running)

    for number in range(5):
        bus.publish(MARKET, number)

    bus.wait_for(HEARTBEAT, dropped=2, queued=3)
    agent.release.set()
    eventually(lambda: agent.notes[2:] == [(MARKET, 2), (MARKET, 3), (MARKET, 4)])
    assert "too slow: dropped a message on data.market.AAPL.1m" in caplog.text


def test_a_pattern_known_only_at_run_time_can_be_subscribed(
    bus: Any, running: Any, eventually: Callable[..., None]
) -> None:
    agent = Agent(agent_id="probe", redis_url=bus.url)
    seen: list[Event] = []
    agent.call_on("news.*", seen.append)
    running(agent)

    bus.publish("news.signal.entity", {"x": 1})

    eventually(lambda: seen)
    assert (seen[0].channel, seen[0].payload) == ("news.signal.entity", {"x": 1})
    with pytest.raises(AgentError, match="before the agent starts"):
        agent.call_on("risk.*", seen.append)


def test_a_pattern_known_at_run_time_has_few_stars_too() -> None:
    agent = Agent(agent_id="probe")

    with pytest.raises(ValueError, match="at most 16 stars"):
        agent.call_on("*a" * 17, print)


# -- timers --------------------------------------------------------------------------


def test_timers_run_after_the_start_and_again_and_again(
    bus: Any, running: Any, eventually: Callable[..., None]
) -> None:
    agent = Ticking(redis_url=bus.url)
    running(agent)

    eventually(lambda: len(agent.notes) >= 5)
    assert agent.notes[:5] == ["start", "once", "tick", "tick", "tick"]


def test_a_timer_can_be_set_in_on_start(
    bus: Any, running: Any, eventually: Callable[..., None]
) -> None:
    class Later(Probe):
        def on_start(self) -> None:
            self.call_every(0.01, lambda: self.notes.append("now"))

    agent = Later(redis_url=bus.url)
    running(agent)

    eventually(lambda: agent.notes[:2] == ["now", "now"])


# -- publishing ----------------------------------------------------------------------


def test_published_events_carry_their_ids(bus: Any) -> None:
    agent = Probe(redis_url=bus.url)

    receivers = agent.publish("strategy.x", {"n": 1}, correlation_id="c", causation_id="d")

    body = bus.wait_for("strategy.x")
    assert receivers == 1
    assert {
        "n": 1,
        "correlation_id": "c",
        "causation_id": "d",
        "agent_id": "probe",
        "seq": 1,
        "boot": agent.boot,
    }.items() <= body.items()


def test_publishing_what_is_no_object_is_refused() -> None:
    with pytest.raises(BadPayload):
        Probe().publish("strategy.x", ["list"])  # type: ignore[arg-type]


# -- the killswitch ------------------------------------------------------------------


def test_a_stop_and_a_release_are_told(
    bus: Any, running: Any, eventually: Callable[..., None]
) -> None:
    agent = Probe(redis_url=bus.url)
    running(agent)

    bus.publish("risk.killswitch", {"enabled": True, "reason": "r"})
    eventually(lambda: agent.notes[1:] == [("killswitch", True, "r")])
    bus.publish("risk.killswitch", {"enabled": False, "reason": "s"})

    eventually(lambda: agent.notes[2:] == [("killswitch", False, "s")])
    assert agent.permission == "allowed", "it has no gate"


def test_a_stop_overtakes_the_events_that_wait(
    bus: Any, running: Any, eventually: Callable[..., None]
) -> None:
    agent = Probe(redis_url=bus.url)
    running(agent)
    bus.publish(MARKET, "hang")
    eventually(lambda: agent.engine.health._running)
    bus.publish(MARKET, 1)

    bus.publish("risk.killswitch", b"stop!")

    eventually(lambda: len(agent.engine.queue) == 2)
    agent.release.set()
    eventually(lambda: len(agent.notes) == 4)
    assert agent.notes[1:] == [(MARKET, "hang"), ("killswitch", True, None), (MARKET, 1)]


# -- when Redis is away --------------------------------------------------------------


def test_it_waits_for_redis_at_the_start(
    redis_server: Any, running: Any, eventually: Callable[..., None]
) -> None:
    redis_server.kill()
    agent = Probe(redis_url=redis_server.url())
    running(agent, subscribed=False)
    eventually(lambda: agent.engine.subscriber and agent.engine.subscriber._lost_at)

    redis_server.start()

    eventually(lambda: agent.notes == ["start", ("reconnect", True)])


def test_it_comes_back_when_redis_was_killed(
    bus: Any,
    redis_server: Any,
    running: Any,
    eventually: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    agent = Probe(redis_url=bus.url, interval_s=0.2)
    running(agent)
    last_seq = bus.wait_for(HEARTBEAT)["seq"]

    redis_server.kill()
    with pytest.raises(BusUnavailable):
        agent.publish("strategy.x", {})
    redis_server.start()

    eventually(lambda: ("reconnect", True) in agent.notes, limit_s=20)
    bus.publish(MARKET, "again")
    eventually(lambda: (MARKET, "again") in agent.notes)
    eventually(lambda: bus.payloads(HEARTBEAT)[-1]["seq"] > last_seq)
    assert len([r for r in caplog.records if "the bus is away" in r.message]) == 1
    assert "the bus is back after" in caplog.text


def test_a_start_that_could_not_publish_is_tried_again(
    bus: Any, running: Any, eventually: Callable[..., None]
) -> None:
    agent = Flaky(redis_url=bus.url)
    running(agent)

    eventually(lambda: agent.notes == ["start"])
    assert agent.tries == 2


# -- the end -------------------------------------------------------------------------


def test_a_start_that_fails_is_told_and_ends_the_run(bus: Any) -> None:
    with pytest.raises(RuntimeError, match="no licence"):
        Broken(redis_url=bus.url).run()

    bus.wait_for(HEARTBEAT, status="error", last_error="on_start: RuntimeError: no licence")
    assert "stopped" not in {beat["status"] for beat in bus.payloads(HEARTBEAT)}


def test_on_stop_runs_last_and_once(bus: Any, running: Any) -> None:
    agent = Probe(redis_url=bus.url)
    thread = running(agent)
    bus.wait_for(HEARTBEAT)

    agent.stop()
    agent.stop()
    thread.join(5)

    assert agent.notes == ["start", "stop"]


def test_an_agent_can_stop_itself(bus: Any, running: Any) -> None:
    class Shot(Probe):
        def on_start(self) -> None:
            self.stop()

    thread = running(Shot(redis_url=bus.url), subscribed=False)
    thread.join(5)

    assert not thread.is_alive()


@pytest.mark.timing
def test_it_stops_within_two_seconds_even_if_a_handler_hangs(
    bus: Any, running: Any, eventually: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    agent = Probe(redis_url=bus.url)
    thread = running(agent)
    bus.publish(MARKET, "hang")
    eventually(lambda: agent.engine.health._running)

    began = quiet_s()
    agent.stop()
    thread.join(5)

    assert quiet_s() - began < 2.0
    assert "is left behind" in caplog.text
    bus.wait_for(HEARTBEAT, status="stopped")
    agent.release.set()


@pytest.mark.timing
def test_it_stops_within_two_seconds_when_redis_says_nothing(mute_server: str) -> None:
    agent = Probe(redis_url=mute_server)
    thread = threading.Thread(target=agent.run, daemon=True)
    thread.start()
    time.sleep(0.1)

    began = quiet_s()
    agent.stop()
    thread.join(5)

    assert quiet_s() - began < 2.2


def test_an_instance_runs_once() -> None:
    agent = Probe()
    agent.jobs()

    with pytest.raises(AgentError, match="has run already"):
        agent.jobs()


def test_it_logs_under_its_id(caplog: pytest.LogCaptureFixture) -> None:
    Probe().report_error("odd")

    assert [(record.name, record.levelno) for record in caplog.records] == [
        ("agent.probe", logging.ERROR)
    ]


def test_the_password_of_the_url_is_not_logged(
    running: Any, caplog: pytest.LogCaptureFixture, eventually: Callable[..., None]
) -> None:
    agent = Probe(redis_url="redis://user:secret@127.0.0.1:1/0")
    running(agent, subscribed=False)

    eventually(lambda: "the bus is away" in caplog.text)
    assert "secret" not in caplog.text


class WithClientError(Probe):
    """Its own Redis client fails, which is not the kit's affair."""

    Options: ClassVar[Any] = Probe.Options

    @on_event("news.*")
    def on_news(self, _event: Event) -> None:
        raise redis.ConnectionError("my own cache is away")


def test_a_redis_error_of_the_authors_own_is_a_failure(bus: Any, running: Any) -> None:
    running(WithClientError(redis_url=bus.url))

    bus.publish("news.x", {})

    bus.wait_for(HEARTBEAT, last_error="on_news: ConnectionError: my own cache is away")


def test_an_option_of_the_url_that_changes_nothing_is_said_once(
    bus: Any, running: Any, caplog: pytest.LogCaptureFixture
) -> None:
    running(Probe(redis_url=f"{bus.url}?family=4"))

    assert caplog.text.count("the Redis URL's family is ignored") == 1


# -- causes --------------------------------------------------------------------------


class Answering(Agent):
    """Answers each signal."""

    agent_id = "answering"

    @on_event("news.*")
    def on_news(self, event: Event) -> None:
        self.publish("strategy.answer", {"to": event.payload["n"]})

    @every(0.1)
    def suggest(self) -> None:
        self.publish("strategy.own", {})


def test_what_a_handler_publishes_says_what_caused_it(bus: Any, running: Any) -> None:
    running(Answering(redis_url=bus.url))

    bus.publish("news.a", {"n": 1, "source": "s", "boot": "b", "seq": 4, "traceparent": "00-1-2-0"})
    bus.publish("news.a", {"n": 2, "source": "s", "boot": "b", "seq": 5, "correlation_id": "c"})
    bus.publish("news.a", {"n": 3, "source": "s"})

    names = ("correlation_id", "causation_id", "traceparent")
    answers = [bus.wait_for("strategy.answer", to=number) for number in (1, 2, 3)]
    assert [[answer.get(name) for name in names] for answer in answers] == [
        ["b/s/news.a/4", "b/s/news.a/4", "00-1-2-0"],
        ["c", "b/s/news.a/5", None],
        [None, None, None],
    ]
    assert set(names).isdisjoint(bus.wait_for("strategy.own"))
