"""The original's clients, in their own language and libraries, against a real daemon unchanged."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
from e2e.conftest import DaemonProcess
from quiet_clock import quiet_s

HERE = Path(__file__).parent
LIMIT_S = 60

pytestmark = [
    pytest.mark.subprocess,
    pytest.mark.skipif(
        not shutil.which("node") or not (HERE.parent / "node_modules" / "ioredis").exists(),
        reason="Node or its packages are missing: run npm ci in tests/edge",
    ),
]


@contextmanager
def running(daemon: DaemonProcess, program: str) -> Iterator[IO[bytes]]:
    """A program of the original's; its standard output."""
    environment = os.environ | {
        "ORCHESTRATOR_URL": daemon.url,
        "REDIS_URL": str(daemon.told["redis"]),
    }
    process = subprocess.Popen(["node", HERE / program], env=environment, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield process.stdout
    finally:
        process.terminate()
        process.wait(timeout=LIMIT_S)


def eventually(daemon: DaemonProcess, path: str, field: str) -> list[dict[str, Any]]:
    """The rows at ``path``, once there are any."""
    limit = quiet_s() + LIMIT_S
    while not (found := daemon.get(path).get(field)):
        assert quiet_s() < limit, daemon.log
        time.sleep(0.1)
    rows: list[dict[str, Any]] = found
    return rows


def test_an_agent_by_ioredis_is_registered_and_heard(shared_daemon: DaemonProcess) -> None:
    with running(shared_daemon, "original_agent.cjs"):
        agents = eventually(shared_daemon, "/health/agents?group=signals", "agents")
        events = eventually(shared_daemon, "/bus/events?type=strategy.candidate", "events")

    assert [(row["id"], row["name"], row["status"], row["is_alive"]) for row in agents] == [
        ("your-agent-id", "Your Agent Name", "active", True)
    ]
    assert events[0]["source"] == "your-agent-id"
    assert events[0]["payload"]["confidence"] == 0.85


def test_the_four_panels_find_their_fields(shared_daemon: DaemonProcess) -> None:
    regime = {"regime": "stable", "trend": "bullish", "volatility": 0.01, "agent_id": "detector"}
    told = {"type": "quant.regime.state", "payload": regime}
    assert shared_daemon.call("POST", "/bus/events", told)[0] == 201
    eventually(shared_daemon, "/regime/state", "regime")
    with running(shared_daemon, "original_agent.cjs"):
        eventually(shared_daemon, "/health/agents?group=signals&alive=true", "agents")
        eventually(shared_daemon, "/bus/events?type=strategy.candidate", "events")
        with running(shared_daemon, "original_page.cjs") as page:
            read = json.loads(page.readline())
            event = {"type": "strategy.live", "payload": {"symbol": "TSLA"}}
            assert shared_daemon.call("POST", "/bus/events", event)[0] == 201
            live = json.loads(page.readline())

    assert read["AgentStatusGrid"]["is_alive"] is True
    assert read["AgentStatusGrid"]["active_agents"] >= 1
    assert read["EventBusMonitor"]["payload"]["symbol"] == "AAPL"
    assert 0 <= read["EventBusMonitor"]["age_ms"] < LIMIT_S * 1_000
    assert read["RegimeStatePanel"]["regime"] == "stable"
    assert read["KillswitchPanel"]["status"] == "activated"
    assert read["KillswitchPanel"]["reason"] == "manual test"
    assert live["data"] == {"symbol": "TSLA"}
