from typing import Any

import pytest
from orchestrator import __version__
from orchestrator.cli.client.rest import Client
from orchestrator.cli.doctor.check_results import CheckResult, Level
from orchestrator.cli.doctor.preflight import preflight

from ..conftest import Double, double

__all__ = ["double"]

READY = {"status": "ok", "checks": {"redis": {"ok": True, "message": "subscribed"}}}


def agent(agent_id: str, liveness: str = "up", group: str = "signals") -> dict[str, Any]:
    return {"id": agent_id, "agent_group": group, "liveness": liveness}


@pytest.fixture
def healthy(double: Double) -> Double:
    double.answers = {
        "/health": (200, {"instance": "desk", "env": "live", "version": __version__}),
        "/ready": (200, READY),
        "/risk/killswitch": (200, {"status": "inactive"}),
        "/health/agents": (200, {"agents": [agent("a"), agent("b"), agent("x", group="risk")]}),
    }
    return double


def checked(double: Double, *expected: str) -> dict[str, CheckResult]:
    with Client(double.url, timeout_s=5) as client:
        return {result.name: result for result in preflight(client, expected)}


def test_a_desk_that_may_trade_is_well(healthy: Double) -> None:
    found = checked(healthy, "a", "group:signals")

    assert {one.level for one in found.values()} == {Level.OK}
    assert found["group:signals"].said == "2 are up"


@pytest.mark.parametrize(
    ("path", "answer", "name"),
    [
        ("/risk/killswitch", (200, {"status": "active", "reason": "r"}), "trading"),
        ("/risk/killswitch", (200, {"status": "unknown"}), "trading"),
        ("/risk/killswitch", (503, {"error": "x", "message": "y"}), "trading"),
        ("/ready", (503, {"checks": {"redis": {"ok": False, "message": "away"}}}), "redis"),
        ("/health/agents", (200, {"agents": [agent("a", "down")]}), "a"),
        ("/health/agents", (200, {"agents": []}), "a"),
        ("/health/agents", (503, {"error": "x", "message": "y"}), "agents"),
    ],
)
def test_one_fault_is_critical(healthy: Double, path: str, answer: Any, name: str) -> None:
    healthy.answers[path] = answer

    assert checked(healthy, "a")[name].level is Level.CRITICAL


def test_a_group_with_one_that_is_down_is_critical(healthy: Double) -> None:
    healthy.answers["/health/agents"] = (200, {"agents": [agent("a"), agent("b", "unknown")]})

    assert checked(healthy, "group:signals")["group:signals"].said == "b is unknown"


def test_another_version_late_agents_and_no_details_are_warnings(healthy: Double) -> None:
    healthy.answers["/health"] = (200, {"instance": "desk", "env": "live", "version": "0.0.1"})
    healthy.answers["/health/agents"] = (200, {"agents": [agent("a", "late")]})
    healthy.answers["/ready"] = (200, {"status": "ok", "checks": {}})

    found = checked(healthy)

    assert found["daemon"].level is found["late agents"].level is Level.WARNING
    assert found["ready"].level is Level.UNKNOWN


def test_without_a_daemon_nothing_else_is_asked() -> None:
    with Client("http://127.0.0.1:1", timeout_s=1) as client:
        (only,) = preflight(client, ["a"])

    assert (only.name, only.level) == ("daemon", Level.CRITICAL)
