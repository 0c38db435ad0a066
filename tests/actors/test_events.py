import pytest
from orchestrator.actors.events import (
    Event,
    channel_of,
    type_of,
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
    beat = Event(1, "heartbeat", b"{}", "2026-01-31T09:30:00.123Z", "a1")

    assert channel_of(beat) == "heartbeat.a1"
    assert channel_of(Event(1, "heartbeat", b"{}", "2026-01-31T09:30:00.123Z", None)) == "heartbeat"
    assert channel_of(Event(1, "risk.x", b"{}", "2026-01-31T09:30:00.123Z", "a1")) == "risk.x"
