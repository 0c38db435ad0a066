from typing import Any

import pytest

from ..conftest import Serve, Served

AGENT = {"mode": "in_process", "class": "orchestrator.agents.samples.dev:DevAgent"}


def nodes(tree: Any) -> dict[str, Any]:
    found = {tree["name"]: tree}
    for child in tree["children"]:
        found |= nodes(child)
    return found


def actors(served: Served) -> dict[str, Any]:
    return nodes(served.get("/runtime/actors").json["tree"])


def test_the_tree_shows_every_actor(served: Served) -> None:
    found = actors(served)

    assert {"root", "persister", "redis-listener", "broadcaster", "http"} <= set(found)
    persister = found["persister"]
    assert persister["kind"] == "actor"
    assert persister["state"] == "RUNNING"
    assert persister["restarts"] == 0
    assert persister["mailbox"]["capacity"] > 0
    assert persister["processed"] >= 0
    assert persister["last_error"] is None
    assert persister["uptime_seconds"] > 0
    assert persister["children"] == []


def test_an_actor_is_restarted_on_demand(serve: Serve) -> None:
    served = serve()

    reply = served.post("/runtime/actors/broadcaster/restart")

    assert reply.status == 202
    assert reply.json["actor"]["name"] == "broadcaster"
    assert reply.json["actor"]["state"] == "RUNNING"
    assert actors(served)["broadcaster"]["restarts"] == 1


def test_the_server_answers_before_it_restarts_itself(serve: Serve) -> None:
    served = serve()

    reply = served.post("/runtime/actors/http/restart")

    assert reply.status == 202
    served.wait_until(lambda: actors(served)["http"]["restarts"] == 1)


@pytest.mark.parametrize("verb", ["start", "stop", "restart", "resume"])
def test_an_unknown_agent_is_404(served: Served, verb: str) -> None:
    assert served.post(f"/runtime/agents/nobody/{verb}").status == 404


@pytest.mark.parametrize("name", ["nobody", "x%20y", "%F0%9F%98%80"])
def test_an_unknown_actor_is_404(served: Served, name: str) -> None:
    assert served.post(f"/runtime/actors/{name}/restart").status == 404


def test_without_agents_none_are_listed(served: Served) -> None:
    assert served.get("/runtime/agents").json["agents"] == []


def told(served: Served, verb: str) -> dict[str, Any]:
    """The agent's row in the answer; what else is answered is shown in full."""
    reply = served.post(f"/runtime/agents/dev-1/{verb}")
    assert reply.status == 202, reply.body
    row: dict[str, Any] = reply.json["agent"]
    return row


def test_an_agent_is_stopped_started_and_restarted(serve: Serve) -> None:
    served = serve(agents={"dev-1": AGENT})

    (row,) = served.get("/runtime/agents").json["agents"]
    stopped = told(served, "stop")
    started = told(served, "start")
    restarted = told(served, "restart")

    assert (row["id"], row["state"]) == ("dev-1", "RUNNING")
    assert stopped["state"] == "STOPPED"
    assert started["state"] == "RUNNING"
    assert restarted["restarts"] == 1


def test_an_agent_resumes_only_once_the_killswitch_is_released(serve: Serve) -> None:
    served = serve(agents={"dev-1": AGENT})
    trip_id = served.post("/risk/killswitch", {"reason": "test"}).json["trip_id"]

    refused = served.post("/runtime/agents/dev-1/resume")
    served.post("/risk/killswitch/release", {"reason": "over", "trip_id": trip_id})
    resumed = told(served, "resume")

    assert refused.status == 409
    assert resumed["state"] == "RUNNING"


def test_dead_letters_are_listed_newest_first(serve: Serve) -> None:
    served = serve()
    kept = served.daemon._dead_letters
    kept.add("persister", {"x": 1}, "it failed")
    kept.add("broadcaster", {"x": 2}, "it failed too")

    reply = served.get("/runtime/dead-letters").json

    assert reply["total"] == 2
    first = reply["dead_letters"][0]
    assert (first["actor"], first["reason"]) == ("broadcaster", "it failed too")
    assert first["message"] == "{'x': 2}"
    assert first["at"].endswith("Z")
