import json
from typing import Any

import psycopg
import pytest
from orchestrator.killswitch import receipts
from orchestrator.protocol.ulid import new_ulid

from ..conftest import Serve, Served

PATH = "/risk/killswitch"


def engage(served: Served, reason: str = "manual test") -> Any:
    reply = served.post(PATH, {"reason": reason})
    assert reply.status == 200, reply.body
    return reply.json


def test_a_stop_is_in_force_stored_and_published(serve: Serve) -> None:
    served = serve()
    assert served.get(PATH).json["status"] == "inactive"
    served.wait_state_saved()
    with served.redis as bus, bus.pubsub() as subscription:
        subscription.subscribe("risk.killswitch")
        assert subscription.get_message(timeout=5)

        done = engage(served)

        message = None
        while message is None:
            message = subscription.get_message(timeout=5)
    assert done["status"] == "activated"
    assert done["reason"] == "manual test"
    assert done["message"]
    assert done["timestamp"].endswith("Z")
    assert done["already_active"] is False
    assert done["latched"] is True
    assert done["persisted"] is True
    assert done["published_to"] >= 1
    published = json.loads(message["data"])
    assert published["enabled"] is True
    assert published["trip_id"] == done["trip_id"]
    query = "/bus/events?type=risk.killswitch"
    served.wait_until(lambda: served.get(query).json["events"])
    [event] = served.get(query).json["events"]
    assert event["payload"]["trip_id"] == done["trip_id"]


def test_the_state_tells_who_and_why(serve: Serve) -> None:
    served = serve()
    done = engage(served)

    state = served.get(PATH).json

    assert state["status"] == "active"
    assert state["enabled"] is True
    assert state["reason"] == "manual test"
    assert state["triggered_by"] == "http:127.0.0.1"
    assert state["trip_id"] == done["trip_id"]
    assert state["last_triggered"].endswith("Z")
    assert [trip["trip_id"] for trip in state["trips"]] == [done["trip_id"]]
    assert set(state["agents"]) == {
        "acknowledged",
        "quiet",
        "pending",
        "unreachable",
        "without_gate",
    }
    assert (state["complete"], state["agents_known"]) == (False, False)
    assert "Not known yet who must" in state["message"]


def test_it_is_complete_once_agents_had_the_time_for_a_beat(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receipts, "KNOWN_AFTER_S", 0.5)
    served = serve()
    engage(served)

    served.wait_until(lambda: served.get(PATH).json["complete"])

    state = served.get(PATH).json
    assert state["agents_known"] is True
    assert "Not known yet" not in state["message"]


def test_a_second_stop_is_another_trip(serve: Serve) -> None:
    served = serve()
    first, second = engage(served, "one"), engage(served, "two")

    assert second["already_active"] is True
    assert second["trip_id"] != first["trip_id"]


def test_the_same_call_again_is_the_same_trip(serve: Serve) -> None:
    served, name = serve(), new_ulid()

    answers = [served.post(PATH, {"reason": "r", "trip_id": name}).json for _ in range(2)]
    odd = served.post(PATH, {"reason": "r", "trip_id": 7}).json

    assert [answer["trip_id"] for answer in answers] == [name, name]
    assert answers[1]["already_active"] is True
    assert odd["trip_id"] not in (name, 7)


def test_only_that_very_trip_is_released(serve: Serve) -> None:
    served = serve()
    first, second = engage(served, "one"), engage(served, "two")

    wrong = served.post(f"{PATH}/release", {"reason": "over", "trip_id": "01NOTATRIP"})
    still = served.post(f"{PATH}/release", {"reason": "over", "trip_id": first["trip_id"]})
    over = served.post(f"{PATH}/release", {"reason": "over", "trip_id": second["trip_id"]})

    assert wrong.status == 409
    assert (still.status, still.json["status"]) == (200, "active")
    assert (over.status, over.json["status"]) == (200, "inactive")
    assert over.json["enabled"] is False
    assert over.json["released_at"].endswith("Z")
    assert over.json["complete"] is True


def test_a_release_says_what_is_still_in_force(serve: Serve) -> None:
    served = serve()
    first, second = engage(served, "one"), engage(served, "two")

    over = {"reason": "over", "trip_id": first["trip_id"]}
    answer = served.post(f"{PATH}/release", over).json

    assert [trip["trip_id"] for trip in answer["trips"]] == [second["trip_id"]]
    query = "/bus/events?type=risk.killswitch"
    served.wait_until(lambda: len(served.get(query).json["events"]) == 3)
    [payload] = [
        event["payload"]
        for event in served.get(query).json["events"]
        if "released" in event["payload"]
    ]
    assert payload["enabled"] is True
    assert payload["released"] == {
        "trip_id": first["trip_id"],
        "reason": "over",
        "by": "http:127.0.0.1",
    }
    assert [trip["trip_id"] for trip in payload["trips"]] == [second["trip_id"]]


def test_anything_but_a_reason_is_400(serve: Serve) -> None:
    served = serve()
    for body in ({}, {"reason": ""}, {"reason": "  \n"}, {"reason": 5}, {"reason": None}, []):
        reply = served.post(PATH, body)

        assert reply.status == 400, body
        assert reply.json["message"]
    assert served.get(PATH).json["status"] == "inactive"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b'{"reason": "a\\u0000b", "other": 1}', "a\ufffdb"),
        (b'{"reason": "a\xffb"}', "a\ufffdb"),
        (b'{"reason": "\\ud800"}', "?"),
        (b'{"reason": "' + b"x" * 600 + b'"}', "x" * 500),
    ],
)
def test_a_stop_degrades_and_is_not_refused(serve: Serve, raw: bytes, reason: str) -> None:
    served = serve()

    reply = served.call("POST", PATH, raw=raw, headers={"Content-Type": None})

    assert (reply.status, reply.json["reason"]) == (200, reason)


@pytest.mark.parametrize(
    ("target", "level", "scope"),
    [
        ({"level": "reduce", "scope": "group:g"}, "reduce", "group:g"),
        ({"level": "nonsense", "scope": "group:g"}, "halt", "all"),
        ({"level": "reduce", "scope": 7}, "halt", "all"),
    ],
)
def test_level_and_scope_are_those_asked_for_or_everything(
    serve: Serve, target: dict[str, Any], level: str, scope: str
) -> None:
    served = serve()

    done = served.post(PATH, {"reason": "x", **target}).json

    assert (done["level"], done["scope"]) == (level, scope)
    assert served.get(f"{PATH}/effective?agent=a").json["permission"] == level


def test_an_agent_that_nothing_concerns_may_act(serve: Serve) -> None:
    served = serve()
    served.post(PATH, {"reason": "x", "scope": "agent:b"})

    assert served.get(f"{PATH}/effective?agent=a").json["permission"] == "allowed"
    [trip] = served.get(f"{PATH}/effective?agent=b").json["trips"]
    assert trip["scope"] == "agent:b"


def test_a_release_needs_reason_and_trip(serve: Serve) -> None:
    served = serve()
    for body in ({"reason": "x"}, {"trip_id": "x"}, {"reason": " ", "trip_id": "x"}):
        assert served.post(f"{PATH}/release", body).status == 400, body


def test_500_characters_are_a_reason(serve: Serve) -> None:
    assert engage(serve(), "é" * 500)["status"] == "activated"


def test_a_stop_works_without_postgres_and_without_redis(
    serve: Serve, postgres_server: Any, redis_server: Any
) -> None:
    served = serve()
    postgres_server.kill()
    redis_server.kill()

    done = engage(served)

    assert done["latched"] is True
    assert done["persisted"] is False
    assert done["published_to"] == 0
    assert served.get(PATH).json["status"] == "active"
    redis_server.start()
    postgres_server.start()
    served.wait_until(
        lambda: (
            served.get("/ready").status == 200
            and served.get("/bus/events?type=risk.killswitch").json["events"]
        )
    )


def test_a_stop_is_never_limited(serve: Serve) -> None:
    served = serve(http={"rate_limit_max": 1})
    assert served.get("/state").status == 200
    assert served.get("/state").status == 429

    for _ in range(5):
        engage(served)
    assert served.get(PATH).status == 200


AGENT = {"mode": "in_process", "class": "orchestrator.agents.samples.dev:DevAgent"}


def test_a_drill_measures_real_gates_and_is_kept(serve: Serve) -> None:
    served = serve(agents={"dev-1": AGENT})
    assert served.get(PATH).json["drill"] is None
    assert served.get("/ready").json["checks"]["drill"]["warning"] is True
    gated = b'"gate":'
    served.wait_until(lambda: gated in served.get("/bus/events?type=heartbeat.dev-1").body)

    drill = served.post(f"{PATH}/drill").json["drill"]

    assert drill["answers"].keys() == {"dev-1"}
    assert (drill["slowest"], drill["missed"], drill["by"]) == ("dev-1", 0, "http:127.0.0.1")
    assert drill["slowest_ms"] > 0
    assert served.get(PATH).json["status"] == "inactive"
    assert served.get(PATH).json["drill"] == drill
    check = served.get("/ready").json["checks"]["drill"]
    assert (check["ok"], check["warning"]) == (True, False)
    [act] = served.get("/audit?action=killswitch.drill").json["audit"]
    assert act["receipts"]["answers_ms"] == drill["answers"]
    served.wait_until(lambda: served.get("/bus/events?type=risk.drill").json["events"])
    with psycopg.connect(served.daemon.pg_url, autocommit=True) as connection:
        query = "SELECT value ->> 'nonce' FROM orchestrator_state WHERE key = 'killswitch_drill'"
        served.wait_until(lambda: connection.execute(query).fetchone() == (drill["nonce"],))


def test_a_drill_under_a_stop_releases_nothing(serve: Serve) -> None:
    served = serve(agents={"dev-1": AGENT})
    engage(served)

    served.post(f"{PATH}/drill")

    assert served.get(PATH).json["status"] == "active"
