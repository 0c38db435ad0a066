from typing import Any

import msgspec
from orchestrator.actors.events import NewEvent
from orchestrator.actors.redis_listener.gaps import GapTracker

PATTERNS = {"control": ("risk.*",), "data": ("data.*", "news.*")}


def payloads(events: tuple[NewEvent, ...]) -> list[Any]:
    assert all(event.type == "bus.gap" for event in events)
    return [msgspec.json.decode(event.payload) for event in events]


def test_a_first_start_that_subscribes_at_once_missed_nothing() -> None:
    tracker = GapTracker(PATTERNS)

    assert tracker.subscribed("control", "10:00") == ()
    assert tracker.subscribed("data", "10:00") == ()


def test_a_cut_is_one_gap_with_its_own_patterns_however_many_attempts_failed() -> None:
    tracker = GapTracker(PATTERNS)
    tracker.subscribed("data", "10:00")
    for attempt in ("10:01", "10:02", "10:03"):
        tracker.lost("data", attempt)

    gaps = tracker.subscribed("data", "10:04")

    assert payloads(gaps) == [
        {
            "cause": "subscription",
            "from": "10:01",
            "to": "10:04",
            "patterns": ["data.*", "news.*"],
            "count": None,
        }
    ]
    assert tracker.subscribed("data", "10:05") == ()


def test_the_downtime_is_reported_once_when_all_are_subscribed() -> None:
    tracker = GapTracker(PATTERNS, down_since="09:00")

    assert tracker.subscribed("data", "10:00") == ()
    gaps = payloads(tracker.subscribed("control", "10:01"))

    assert [(gap["cause"], gap["from"], gap["to"]) for gap in gaps] == [
        ("downtime", "09:00", "10:01")
    ]
    assert gaps[0]["patterns"] == ["risk.*", "data.*", "news.*"]
    assert tracker.subscribed("control", "10:02") == ()


def test_the_downtime_covers_an_absent_server_at_the_start() -> None:
    tracker = GapTracker(PATTERNS, down_since="09:00")
    tracker.lost("control", "10:00")
    tracker.subscribed("data", "10:00")

    gaps = payloads(tracker.subscribed("control", "10:05"))

    assert [gap["cause"] for gap in gaps] == ["downtime"]


def test_an_absent_server_at_the_first_start_is_a_gap_since_the_start() -> None:
    tracker = GapTracker(PATTERNS)
    tracker.lost("control", "10:00")

    gaps = payloads(tracker.subscribed("control", "10:05"))

    assert [(gap["cause"], gap["from"]) for gap in gaps] == [("subscription", "10:00")]


def test_a_cut_before_the_other_subscription_was_up_is_reported_besides_the_downtime() -> None:
    tracker = GapTracker(PATTERNS, down_since="09:00")
    tracker.subscribed("control", "10:00")
    tracker.lost("control", "10:01")
    tracker.subscribed("data", "10:02")

    gaps = payloads(tracker.subscribed("control", "10:03"))

    assert [gap["cause"] for gap in gaps] == ["subscription"]
