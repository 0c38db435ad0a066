"""The audit trail over REST: a whole daemon with tokens."""

import hashlib
from typing import Any

from ..conftest import Reply, Serve, Served

TOKENS = {"anna": "operator", "tom": "tripper", "vic": "viewer"}
AGENT = {"mode": "in_process", "class": "orchestrator.agents.samples.dev:DevAgent"}


def serving(serve: Serve, **sections: Any) -> Served:
    tokens = [
        {"name": name, "role": role, "sha256": hashlib.sha256(name.encode()).hexdigest()}
        for name, role in TOKENS.items()
    ]
    return serve(http={"auth": {"tokens": tokens}}, token="anna", **sections)  # noqa: S106


def call(served: Served, token: str | None, path: str, body: Any = None) -> Reply:
    headers = {"Authorization": token and f"Bearer {token}"}
    return served.call("GET" if body is None else "POST", path, body, headers=headers)


def audit(served: Served, query: str = "") -> list[Any]:
    """Oldest first."""
    reply = served.get(f"/audit{query}")
    assert reply.status == 200, reply.body
    rows: list[Any] = reply.json["audit"]
    return rows[::-1]


def test_a_stop_and_its_release_are_there_with_who_and_from_where(serve: Serve) -> None:
    served = serving(serve)
    trip_id = call(served, "tom", "/risk/killswitch", {"reason": "fat finger"}).json["trip_id"]
    release = {"reason": "over", "trip_id": trip_id}
    assert call(served, "anna", "/risk/killswitch/release", release).status == 200

    engaged, released = audit(served)

    assert (engaged["action"], engaged["outcome"]) == ("killswitch.engage", "done")
    assert (engaged["actor"], engaged["role"]) == ("tom", "tripper")
    assert engaged["address"] == "127.0.0.1"
    assert (engaged["from"], engaged["to"]) == ("allowed", "halt all")
    assert (engaged["reason"], engaged["trip_id"]) == ("fat finger", trip_id)
    assert (released["action"], released["actor"]) == ("killswitch.release", "anna")
    assert (released["from"], released["to"], released["reason"]) == ("halt all", "allowed", "over")
    assert released["request_id"]


def test_a_refused_release_is_there_with_name_and_why(serve: Serve) -> None:
    served = serving(serve)
    body = {"reason": "let me", "trip_id": "01J"}

    assert call(served, "tom", "/risk/killswitch/release", body).status == 403
    assert call(served, "anna", "/risk/killswitch/release", body).status == 409
    assert call(served, "anna", "/risk/killswitch", {"reason": " "}).status == 400

    role, other, blank = audit(served)
    assert {row["outcome"] for row in (role, other, blank)} == {"refused"}
    assert (role["actor"], role["action"]) == ("tom", "killswitch.release")
    assert role["detail"].startswith("403 POST /risk/killswitch/release")
    assert (other["trip_id"], other["reason"]) == ("01J", "let me")
    assert blank["action"] == "killswitch.engage"


def test_without_a_good_token_there_is_one_row_with_a_count(serve: Serve) -> None:
    served = serving(serve)
    body = {"reason": "x", "trip_id": "y"}
    for token in (None, "guess", "guess", None):
        assert call(served, token, "/risk/killswitch/release", body).status == 401
    assert call(served, "guess", "/state").status == 401
    assert call(served, None, "/state").status == 401  # no attempt at anything

    for row in served.daemon.stop.audit._throttle.due(float("inf")):
        served.daemon.stop.audit._add(row)

    rows = audit(served, "?action=unauthorized")
    assert sum(row["count"] for row in rows) == 5
    assert {row["address"] for row in rows} == {"127.0.0.1"}
    assert {row["actor"] for row in rows} == {None}
    assert len(rows) <= 2


def test_what_operators_do_with_agents_and_actors_is_there(serve: Serve) -> None:
    served = serving(serve, agents={"dev-1": AGENT})
    for verb in ("stop", "start", "restart"):
        assert served.post(f"/runtime/agents/dev-1/{verb}").status == 202
    assert served.post("/runtime/actors/pruner/restart").status == 202
    assert served.post("/runtime/agents/nobody/stop").status == 404

    rows = audit(served)

    assert [(row["action"], row["target"], row["outcome"]) for row in rows] == [
        ("agent.stop", "dev-1", "done"),
        ("agent.start", "dev-1", "done"),
        ("agent.restart", "dev-1", "done"),
        ("actor.restart", "pruner", "done"),
        ("agent.stop", "nobody", "refused"),
    ]
    assert [(row["from"], row["to"]) for row in rows[:2]] == [
        ("RUNNING", "STOPPED"),
        ("STOPPED", "RUNNING"),
    ]


def test_only_operators_read_it_and_pages_go_backwards(serve: Serve) -> None:
    served = serving(serve)
    for _ in range(3):
        served.post("/runtime/actors/pruner/restart")

    refused = call(served, "vic", "/audit")
    first = served.get("/audit?limit=2&action=actor.restart").json
    rest = served.get(f"/audit?action=actor.restart&before={first['audit'][-1]['id']}").json

    assert refused.status == 403
    assert (len(first["audit"]), first["has_more"]) == (2, True)
    assert (len(rest["audit"]), rest["has_more"], rest["pending"]) == (1, False, 0)
    assert served.get("/audit?limit=0").status == 400


def test_without_postgresql_it_says_so_and_loses_nothing(
    serve: Serve, postgres_server: Any
) -> None:
    served = serving(serve)
    postgres_server.stop()
    try:
        assert served.post("/runtime/actors/pruner/restart").status == 202
        assert served.get("/audit").status == 503
    finally:
        postgres_server.start()

    served.wait_until(lambda: served.get("/audit").status == 200)
    served.wait_until(lambda: served.get("/audit").json["pending"] == 0)

    assert [row["action"] for row in audit(served)] == ["actor.restart"]
