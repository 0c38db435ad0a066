"""Rules in a whole daemon, on real servers: an agent on the bus that goes too far."""

import json
from typing import Any

from orchestrator.killswitch.rules import flood as module

from ...http.conftest import Serve, Served, serve

__all__ = ["serve"]

FLOOD = {"kind": "messages", "messages": 5, "window_s": 60, "channels": ["strategy.*"]}


def publish(served: Served, channel: str, **fields: Any) -> None:
    with served.redis as client:
        client.publish(channel, json.dumps({"agent_id": "exec-1"} | fields))


def orders(served: Served, count: int) -> None:
    for number in range(count):
        publish(served, "strategy.order", number=number)


def events(served: Served) -> list[Any]:
    """Payloads about rules, oldest first."""
    found: list[Any] = served.get("/bus/events?type=risk.rule&order=asc").json["events"]
    return [event["payload"] for event in found]


def trips(served: Served) -> list[Any]:
    found: list[Any] = served.get("/risk/killswitch").json["trips"]
    return found


def metric(served: Served, name: str) -> float:
    text = served.get("/metrics").body.decode()
    [line] = [line for line in text.splitlines() if line.startswith(name)]
    return float(line.split()[-1])


def test_one_message_too_many_stops_everything_and_says_why(serve: Serve) -> None:
    served = serve(rules={"flood": FLOOD})
    orders(served, 5)
    served.wait_until(lambda: served.get("/bus/events?type=strategy.order").json["events"][4:])
    assert trips(served) == []

    orders(served, 1)

    served.wait_until(lambda: trips(served))
    [trip] = trips(served)
    assert trip["triggered_by"] == "rule:flood"
    assert (trip["level"], trip["scope"]) == ("halt", "all")
    assert trip["reason"].startswith("rule flood: exec-1 sent 6 messages within 60 s, more than 5")
    served.wait_until(lambda: events(served))
    [event] = events(served)
    assert (event["trip_id"], event["counted"], event["dry_run"]) == (trip["trip_id"], 6, False)
    served.wait_until(lambda: served.get("/audit").json["audit"])
    [row] = served.get("/audit").json["audit"]
    assert (row["action"], row["actor"]) == ("killswitch.engage", "rule:flood")
    assert (row["trip_id"], row["reason"]) == (trip["trip_id"], trip["reason"])
    assert metric(served, 'orchestrator_rule_violations_total{rule="flood"}') == 1
    with served.redis as client:
        served.wait_until(lambda: client.get("orchestrator:permit") is None)


def test_it_is_one_stop_however_many_follow_and_another_one_after_its_release(
    serve: Serve,
) -> None:
    served = serve(rules={"flood": FLOOD})
    orders(served, 200)
    served.wait_until(lambda: served.get("/rules").json["rules"][0]["trips"])
    orders(served, 200)
    [trip] = trips(served)
    release = {"reason": "known", "trip_id": trip["trip_id"]}

    assert served.post("/risk/killswitch/release", release).status == 200
    orders(served, 6)

    served.wait_until(lambda: trips(served))
    [again] = trips(served)
    assert again["trip_id"] != trip["trip_id"]


def test_a_dry_run_stops_nothing(serve: Serve) -> None:
    served = serve(rules={"flood": FLOOD | {"dry_run": True}})

    orders(served, 20)

    served.wait_until(lambda: events(served))
    [event] = events(served)
    assert (event["dry_run"], event["trip_id"], event["scope"]) == (True, None, "all")
    assert trips(served) == []
    assert served.get("/risk/killswitch").json["status"] == "inactive"


def test_an_agent_with_a_gate_that_acts_after_a_stop_of_its_own_stops_everybody(
    serve: Serve, monkeypatch: Any
) -> None:
    monkeypatch.setattr(module, "GRACE_MS", 0)
    served = serve(rules={"obey": {"kind": "acting"}})
    beat = {"group": "execution", "status": "active", "gate": "open"}
    publish(served, "heartbeat.exec-1", **beat)
    publish(served, "heartbeat.feed-1", agent_id="feed-1", group="ingestion", status="active")
    served.wait_until(lambda: len(served.get("/health/agents").json["agents"]) == 2)
    orders(served, 3)
    stop = {"reason": "one desk", "scope": "group:execution"}
    assert served.post("/risk/killswitch", stop).status == 200

    publish(served, "strategy.quote", agent_id="feed-1")
    served.wait_until(lambda: served.get("/bus/events?type=strategy.quote").json["events"])
    assert len(trips(served)) == 1
    orders(served, 1)

    served.wait_until(lambda: len(trips(served)) == 2)
    by_rule = trips(served)[-1]
    assert (by_rule["triggered_by"], by_rule["scope"]) == ("rule:obey", "all")
    assert "exec-1 acts after the stop" in by_rule["reason"]


def test_the_counts_outlive_the_actor(serve: Serve) -> None:
    served = serve(rules={"flood": FLOOD})
    orders(served, 5)
    served.wait_until(lambda: served.get("/bus/events?type=strategy.order").json["events"][4:])

    assert served.post("/runtime/actors/rules/restart").status == 202
    orders(served, 1)

    served.wait_until(lambda: trips(served))


def test_without_rules_there_is_no_actor_for_them(serve: Serve) -> None:
    served = serve()

    assert '"rules"' not in json.dumps(served.get("/runtime/actors").json)
    assert served.get("/rules").json["rules"] == []
