from datetime import UTC, datetime, timedelta, timezone

import pytest
from orchestrator.actors.events import (
    Event,
    channel_of,
    format_time,
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
