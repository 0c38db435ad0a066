from typing import Any

import pytest

from ..conftest import Serve, Served

AGENT = {"mode": "in_process", "class": "orchestrator.agents.samples.dev:DevAgent"}


@pytest.mark.parametrize("verb", ["start", "stop", "restart", "resume"])
def test_an_unknown_agent_is_404(served: Served, verb: str) -> None:
    assert served.post(f"/runtime/agents/nobody/{verb}").status == 404


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
