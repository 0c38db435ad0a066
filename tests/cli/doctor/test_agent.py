import json
import threading
from datetime import UTC, datetime
from typing import Any

import pytest
import redis
from orchestrator.cli.client.rest import Client
from orchestrator.cli.doctor import agent as checks
from orchestrator.cli.doctor.agent import Heard, judge
from orchestrator.cli.doctor.check_results import CheckResult, Level
from orchestrator.protocol.timestamps import timestamp
from quiet_clock import quiet_s

from ..conftest import Double

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)


def heard(channel: str, payload: Any) -> Heard:
    text = payload if isinstance(payload, str) else json.dumps(payload)
    return Heard([(channel, text, NOW.timestamp())], seconds=11)


def worst(results: list[CheckResult]) -> CheckResult:
    order = [Level.OK, Level.UNKNOWN, Level.WARNING, Level.CRITICAL]
    return max(results, key=lambda result: order.index(result.level))


def test_a_good_heartbeat_is_all_well() -> None:
    beat = {"agent_id": "a-1", "status": "active", "timestamp": timestamp(NOW.timestamp())}

    assert worst(list(judge(heard("heartbeat.a-1", beat), "a-1"))).level is Level.OK


@pytest.mark.parametrize(
    ("channel", "payload", "said"),
    [
        ("heartbeat.a-1", "beep", "it is not a JSON object"),
        ("heartbeat.a-1", {"agent_id": "a-2"}, "agent_id in it is 'a-2'"),
        ("heartbeat.a-1", {"status": "offline"}, "it says of itself that it is offline"),
        ("heartbeat:a-1", {"agent_id": "a-1"}, "it beats on 'heartbeat:a-1', the wrong channel"),
        ("heartbeats", {"agent_id": "a-1"}, "it beats on 'heartbeats', the wrong channel"),
        ("heartbeat.A-1", {"agent_id": "A-1"}, "nothing from it in 11 s"),
        ("heartbeat.other", {}, "nothing from it in 11 s, but from 1 other"),
    ],
)
def test_each_mistake_is_named(channel: str, payload: Any, said: str) -> None:
    result = worst(list(judge(heard(channel, payload), "a-1")))

    assert result.level is Level.CRITICAL
    assert result.said.startswith(said)
    assert result.advice


@pytest.mark.parametrize(("instances", "level"), [(1, Level.OK), (2, Level.CRITICAL)])
def test_two_processes_under_one_id_are_said(double: Double, instances: int, level: Level) -> None:
    row = {"id": "a-1", "is_alive": True, "liveness": "up", "instances": instances}
    double.answers["/health/agents"] = (200, {"agents": [row]})
    double.answers["/ready"] = (200, {"checks": {"redis": {"ok": True}}})

    with Client(double.url, timeout_s=20) as client:
        result = worst(list(checks.check_registry(client, "a-1")))

    assert result.level is level
    assert (result.said == "2 processes beat under this id") is (instances == 2)


@pytest.mark.parametrize(("agent_id", "said"), [("a-1", True), ("b-1", False)])
def test_one_that_comes_and_goes_is_said(double: Double, agent_id: str, *, said: bool) -> None:
    rows = [{"id": name, "is_alive": True, "liveness": "up"} for name in ("a-1", "b-1")]
    double.answers["/health/agents"] = (200, {"agents": rows})
    double.answers["/bus/events"] = (200, {"events": [{"payload": {"id": "a-1", "count": 39}}]})
    double.answers["/ready"] = (200, {"checks": {"redis": {"ok": True}}})

    with Client(double.url, timeout_s=20) as client:
        results = list(checks.check_registry(client, agent_id))

    words = "it comes and goes: 39 changes in a minute"
    assert any(result.said == words for result in results) is said


def test_one_that_differs_in_case_is_suggested() -> None:
    result = worst(list(judge(heard("heartbeat.Prices-1", {}), "prices-1")))

    assert result.advice == "'Prices-1' beats: is that the one?"


def test_a_silent_bus_points_at_the_address() -> None:
    result = worst(list(judge(Heard(seconds=11), "a-1")))

    assert result.said.endswith("nor from anybody")
    assert "REDIS_URL" in result.advice


def test_a_clock_that_is_wrong_is_a_warning() -> None:
    beat = {"agent_id": "a-1", "timestamp": "2026-01-31T10:30:00Z"}

    result = worst(list(judge(heard("heartbeat.a-1", beat), "a-1")))

    assert result.level is Level.WARNING
    assert result.said.startswith("60 m ahead of this machine's")


@pytest.mark.parametrize(
    ("agent_id", "level"),
    [
        ("prices-1", Level.OK),
        ("prices 1", Level.WARNING),
        (" prices", Level.CRITICAL),
        ("", Level.CRITICAL),
        ("heartbeat.prices", Level.CRITICAL),
    ],
)
def test_ids_are_looked_at(agent_id: str, level: Level) -> None:
    (result,) = checks.check_id(agent_id)

    assert result.level is level


def test_a_pattern_must_fit_the_channel() -> None:
    (fits,) = checks.check_patterns("a", ["risk.*", "heartbeat.*"])
    (missing,) = checks.check_patterns("a", ["risk.*"])

    assert (fits.level, missing.level) == (Level.OK, Level.CRITICAL)


def test_a_timeout_below_two_beats_is_a_warning() -> None:
    (short,) = checks.check_timeout(5, "")
    (long,) = checks.check_timeout(300, "")

    assert (short.level, long.level) == (Level.WARNING, Level.OK)


@pytest.mark.redis
def test_listening_ends_after_two_beats_and_hears_odd_channels(redis_url: str) -> None:
    ended = threading.Event()

    def beat() -> None:
        with redis.Redis.from_url(redis_url) as client:
            while not ended.wait(0.01):
                client.publish("heartbeat:a-1", "{}")
                client.publish("heartbeat.a-1", '{"agent_id":"a-1"}')

    speaker = threading.Thread(target=beat)
    speaker.start()
    began = quiet_s()
    try:
        found = checks.listen(redis_url, "a-1", 30)
    finally:
        ended.set()
        speaker.join(10)

    assert quiet_s() - began < 20
    assert {channel for channel, _, _ in found.beats} >= {"heartbeat.a-1", "heartbeat:a-1"}


def test_an_absent_bus_is_said_so() -> None:
    (result,) = checks.check_bus("redis://127.0.0.1:1/0", "a-1", 0.1)

    assert (result.name, result.level) == ("bus", Level.CRITICAL)
