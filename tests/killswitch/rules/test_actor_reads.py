"""Rules that are read each second, in a whole daemon on real servers."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ...http.conftest import Served, shared

RULES = {
    "quiet": {
        "kind": "silence",
        "silent_s": 1,
        "readings": 2,
        "groups": ["feeds"],
        "scope": "agent",
    },
    "rejects": {
        "kind": "errors",
        "errors": ["order.rejected"],
        "max_share": 0.5,
        "min_events": 4,
        "window_s": 600,
        "readings": 2,
        "scope": "agent:exec-1",
    },
}


@pytest.fixture(scope="module")
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    bus = {"data_patterns": ["order.*", "feed.*"]}
    with shared(request, tmp_path_factory, rules=RULES, bus=bus) as daemon:
        yield daemon


def publish(served: Served, channel: str, agent: str, **fields: Any) -> None:
    with served.redis as client:
        client.publish(channel, json.dumps({"agent_id": agent} | fields))


def row(served: Served, name: str) -> dict[str, Any]:
    rows: list[dict[str, Any]] = served.get("/rules").json["rules"]
    return next(row for row in rows if row["name"] == name)


def wait_trip(served: Served, name: str) -> dict[str, Any]:
    """The trip of a rule, once it has one."""
    served.wait_until(lambda: row(served, name)["trips"])
    found: list[dict[str, Any]] = served.get("/risk/killswitch").json["trips"]
    return next(trip for trip in found if trip["triggered_by"] == f"rule:{name}")


def events(served: Served, name: str) -> list[dict[str, Any]]:
    """Payloads about a rule, oldest first."""
    found = served.get("/bus/events?type=risk.rule&order=asc").json["events"]
    return [event["payload"] for event in found if event["payload"]["rule"] == name]


def actors(served: Served) -> set[str]:
    """Who is in the audit trail."""
    return {one["actor"] for one in served.get("/audit").json["audit"]}


def test_an_agent_that_beats_and_publishes_nothing_is_stopped_once_a_silence(
    served: Served,
) -> None:
    publish(served, "heartbeat.feed-1", "feed-1", group="feeds", status="active")

    trip = wait_trip(served, "quiet")

    assert (trip["level"], trip["scope"]) == ("halt", "agent:feed-1")
    assert trip["reason"].startswith("rule quiet: feed-1 published nothing for ")
    served.wait_until(lambda: events(served, "quiet"))
    [event] = events(served, "quiet")
    assert (event["trip_id"], event["group"], event["limit"]) == (trip["trip_id"], "feeds", 1)
    reading = row(served, "quiet")["reading"]
    assert (reading["state"], reading["agent_id"]) == ("over", "feed-1")
    assert reading["in_a_row"] >= 2

    release = {"reason": "known", "trip_id": trip["trip_id"]}
    assert served.post("/risk/killswitch/release", release).status == 200
    served.wait_until(lambda: row(served, "quiet")["reading"]["state"] == "unknown")
    assert "since before the release" in row(served, "quiet")["reading"]["words"]
    assert row(served, "quiet")["trips"] == []
    publish(served, "feed.tick", "feed-1")

    again = wait_trip(served, "quiet")
    assert again["trip_id"] != trip["trip_id"]


def test_too_great_a_share_of_errors_stops(served: Served) -> None:
    for channel in ("order.filled", *["order.rejected"] * 3):
        publish(served, channel, "exec-1")

    trip = wait_trip(served, "rejects")

    assert trip["scope"] == "agent:exec-1"
    assert trip["reason"] == (
        "rule rejects: exec-1: 3 of 4 messages within 600 s are errors, more than 50 %"
    )
    served.wait_until(lambda: events(served, "rejects"))
    [event] = events(served, "rejects")
    assert (event["counted"], event["limit"], event["channel"]) == (0.75, 0.5, "order.rejected")
    served.wait_until(lambda: "rule:rejects" in actors(served))
    text = served.get("/metrics").body.decode()
    assert 'orchestrator_rule_violations_total{rule="rejects"} 1.0' in text
