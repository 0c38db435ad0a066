import json
from typing import Any

import psycopg
import pytest

from ..conftest import Serve, Served


def test_health_tells_who_serves(served: Served) -> None:
    reply = served.get("/health")

    assert reply.status == 200
    assert reply.json["status"] == "ok"
    assert reply.json["version"]
    assert reply.json["instance"]
    assert reply.json["env"]
    assert reply.json["uptime_seconds"] >= 0
    assert reply.json["websocket_clients"] == 0


def test_without_tokens_everybody_is_an_operator_without_a_name(served: Served) -> None:
    reply = served.get("/whoami")

    assert (reply.status, reply.json["role"], reply.json["name"]) == (200, "operator", None)


def test_head_answers_as_get_without_a_body(served: Served) -> None:
    reply = served.call("HEAD", "/health")

    assert reply.status == 200
    assert reply.body == b""
    assert int(reply.headers["Content-Length"]) > 0


def test_ready_names_every_part(served: Served) -> None:
    served.wait_until(lambda: served.get("/ready").json["checks"]["guard"]["ok"])

    reply = served.get("/ready")

    assert reply.status == 200
    assert reply.json["status"] == "ok"
    parts = {"redis", "postgres", "journal", "actors", "killswitch", "guard", "drill"}
    assert set(reply.json["checks"]) == parts
    assert all(check["ok"] for check in reply.json["checks"].values())
    assert reply.json["checks"]["postgres"]["latency_ms"] > 0


def test_ready_is_503_while_redis_is_away_and_health_stays_200(
    serve: Serve, redis_server: Any
) -> None:
    served = serve()

    redis_server.kill()
    served.wait_until(lambda: served.get("/ready").status == 503)

    reply = served.get("/ready")
    assert reply.json["checks"]["redis"]["ok"] is False
    assert reply.json["checks"]["redis"]["message"]
    assert served.get("/health").status == 200
    redis_server.start()
    served.wait_ready()


def test_refused_rows_are_seen_and_the_stop_among_them_is_not_ready(serve: Serve) -> None:
    served = serve()
    with psycopg.connect(served.daemon.pg_url, autocommit=True) as host:
        host.execute("ALTER TABLE agents ADD CONSTRAINT c UNIQUE (name)")
        host.execute(
            "ALTER TABLE orchestrator_state ADD CONSTRAINT c CHECK"
            " (key <> 'killswitch_status' OR value ->> 'reason' IS DISTINCT FROM 'no')"
        )
    with served.redis as bus:
        for agent_id in ("u-1", "u-2", "u-3"):
            name = "Twin" if agent_id != "u-3" else "Only"
            bus.publish(f"heartbeat.{agent_id}", json.dumps({"agent_id": agent_id, "name": name}))

    def stored() -> set[str]:
        with psycopg.connect(served.daemon.pg_url) as host:
            return {row[0] for row in host.execute("SELECT id FROM agents")}

    served.wait_until(lambda: "u-3" in stored() and len(stored()) == 2)
    served.wait_until(lambda: served.get("/ready").json["checks"]["postgres"]["warning"])
    ready = served.get("/ready")
    assert ready.status == 200
    assert "agents refuses 1" in ready.json["checks"]["postgres"]["message"]
    assert b'orchestrator_rows_refused_total{table="agents"}' in served.get("/metrics").body

    trip = served.post("/risk/killswitch", {"reason": "no"}).json
    served.wait_until(lambda: served.get("/ready").status == 503)
    assert (trip["latched"], trip["persisted"]) == (True, False)
    assert "refuses" in served.get("/ready").json["checks"]["killswitch"]["message"]


def test_an_agent_that_beats_is_listed(served: Served) -> None:
    served.wait_ready()
    beat = '{"agent_id":"q-1","name":"Quotes","group":"ingestion","status":"running"}'
    with served.redis as bus:
        bus.publish("heartbeat.q-1", beat)
    served.wait_until(lambda: served.get("/health/agents?group=ingestion").json["agents"])

    reply = served.get("/health/agents?group=ingestion")

    (row,) = reply.json["agents"]
    assert row["id"] == "q-1"
    assert row["name"] == "Quotes"
    assert row["agent_group"] == "ingestion"
    assert row["status"] == "active"
    assert row["is_alive"] is True
    assert row["seconds_since_beat"] >= 0
    assert row["last_error"] is None
    assert row["liveness"] == "up"
    assert row["kind"] == "external"
    assert row["last_beat"].endswith("Z")
    assert (reply.json["total_agents"], reply.json["active_agents"]) == (1, 1)


@pytest.mark.parametrize(
    "query", ["group=none", "status=error", "alive=false", "group=ingestion&alive=false"]
)
def test_filters_leave_others_out(served: Served, query: str) -> None:
    reply = served.get(f"/health/agents?{query}")

    assert reply.status == 200
    assert reply.json["agents"] == []
    assert reply.json["total_agents"] == 0


def test_a_filter_that_is_no_boolean_is_400_and_named(served: Served) -> None:
    reply = served.get("/health/agents?alive=maybe")

    assert reply.status == 400
    assert "alive" in reply.json["message"]
