from typing import Any

import pytest
from orchestrator.http.api import runtime_routes

from ..conftest import Serve, Served


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


def test_a_restart_that_takes_long_is_answered_by_what_there_is_by_then(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve()
    monkeypatch.setattr(runtime_routes, "COMMAND_WAIT_S", 0.0)

    actor = served.post("/runtime/actors/broadcaster/restart").json["actor"]

    assert (actor["state"], actor["restarts"]) != ("RUNNING", 0)
    served.wait_until(lambda: actors(served)["broadcaster"]["restarts"] == 1)


def test_the_server_answers_before_it_restarts_itself(serve: Serve) -> None:
    served = serve()

    reply = served.post("/runtime/actors/http/restart")

    assert reply.status == 202
    served.wait_until(lambda: actors(served)["http"]["restarts"] == 1)


@pytest.mark.parametrize("name", ["nobody", "x%20y", "%F0%9F%98%80"])
def test_an_unknown_actor_is_404(served: Served, name: str) -> None:
    assert served.post(f"/runtime/actors/{name}/restart").status == 404


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
