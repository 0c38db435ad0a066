from datetime import UTC, datetime, timedelta

import pytest
from orchestrator.cli.offline.replay_rules import (
    ReplayClock,
    catching,
    channel_for,
    is_target,
    read_speed,
)

T0 = datetime(2026, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize("text", ["replay.monday", "replay.a.b-2", "replay.X_1"])
def test_history_goes_below_replay(text: str) -> None:
    assert is_target(text)


@pytest.mark.parametrize(
    "text",
    ["risk", "risk.replay", "heartbeat.x", "replay", "replay.", "replay.*", "replay.a b", ""],
)
def test_and_nowhere_else(text: str) -> None:
    assert not is_target(text)


def test_speeds_are_times_or_max() -> None:
    assert read_speed("1x") == 1
    assert read_speed("0.5x") == 0.5
    assert read_speed("max") == 0
    assert read_speed("0x") is read_speed("10") is read_speed("9999x") is None


def test_patterns_that_would_catch_the_replay_are_found() -> None:
    patterns = ["risk.*", "*", "re*", "replay.*", "replay.monday.risk.x", "*.signal", "replay.mon"]

    assert catching(patterns, "replay.monday") == ["*", "re*", "replay.*", patterns[4], "*.signal"]


def test_the_usual_patterns_catch_nothing() -> None:
    usual = ["risk.*", "heartbeat.*", "data.market.*", "news.signal.entity", "strategy.*"]

    assert catching(usual, "replay.monday") == []


def test_a_heartbeat_goes_where_its_channel_would_be() -> None:
    assert channel_for("replay.a", "heartbeat", "dev-1") == "replay.a.heartbeat.dev-1"
    assert channel_for("replay.a", "risk.killswitch", "dev-1") == "replay.a.risk.killswitch"


def test_events_are_due_as_far_apart_as_they_were() -> None:
    pace = ReplayClock(10, 100.0)

    assert pace.due_s(T0) == 100.0
    assert pace.due_s(T0 + timedelta(seconds=30)) == 103.0
    assert pace.due_s(T0 - timedelta(seconds=30)) == 100.0
    assert pace.due_s(None) == 100.0


def test_at_full_speed_all_is_due_at_once() -> None:
    pace = ReplayClock(0, 100.0)

    assert pace.due_s(T0) == pace.due_s(T0 + timedelta(days=1)) == 100.0
