from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchestrator.actors.events import (
    Event,
    TypeMatcher,
    channel_of,
    format_time,
    matches,
    type_of,
    utc_now,
)


@pytest.mark.parametrize(
    ("channel", "event_type"),
    [
        ("heartbeat.a1", "heartbeat"),
        ("heartbeat.a.b", "heartbeat"),
        ("heartbeat", "heartbeat"),
        ("data.market.AAPL.1m", "data.market.AAPL.1m"),
        ("heartbeats.x", "heartbeats.x"),
    ],
)
def test_the_type_is_the_channel_except_for_heartbeats(channel: str, event_type: str) -> None:
    assert type_of(channel) == event_type


def test_clients_see_a_heartbeats_source_in_its_channel() -> None:
    beat = Event(1, "heartbeat", b"{}", utc_now(), "a1")

    assert channel_of(beat) == "heartbeat.a1"
    assert channel_of(Event(1, "heartbeat", b"{}", utc_now(), None)) == "heartbeat"
    assert channel_of(Event(1, "risk.x", b"{}", utc_now(), "a1")) == "risk.x"


def test_times_are_utc_with_milliseconds() -> None:
    moment = datetime(2026, 1, 31, 11, 30, 0, 123_999, timezone(timedelta(hours=2)))

    assert format_time(moment) == "2026-01-31T09:30:00.123Z"
    assert abs(datetime.fromisoformat(utc_now()) - datetime.now(UTC)) < timedelta(seconds=5)


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("risk.*", "risk.killswitch", True),
        ("risk.*", "risk.a.b", True),
        ("risk.*", "risk", False),
        ("*", "", True),
        ("a.b", "a.b", True),
        ("a.b", "axb", False),
        ("a?[b]", "a?[b]", True),
        ("*.1m", "data.AAPL.1m", True),
        ("*\n*", "a\nb", True),
    ],
)
def test_only_the_star_is_special(pattern: str, text: str, fits: bool) -> None:
    assert matches(pattern, text) is fits


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_a_star_stands_for_any_run_of_characters(before: str, run: str, after: str) -> None:
    pattern = f"{before.replace('*', '')}*{after.replace('*', '')}"

    assert matches(pattern, pattern.replace("*", run))


def test_a_matcher_names_the_first_pattern_that_fits() -> None:
    matcher = TypeMatcher(["risk.kill*", "risk.*"])

    assert [matcher.first(n) for n in ("risk.killswitch", "risk.limit", "x")] == [
        "risk.kill*",
        "risk.*",
        None,
    ]
    assert matcher("risk.limit")
    assert not matcher("x")


def test_a_matcher_does_not_remember_names_for_ever() -> None:
    matcher = TypeMatcher(["*"])
    for number in range(10_005):
        matcher(str(number))

    assert len(matcher._first) <= 10_000
