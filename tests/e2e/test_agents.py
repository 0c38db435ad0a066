"""Agents as child processes of a whole daemon, as an operator sees them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from quiet_clock import quiet_s

pytestmark = [pytest.mark.subprocess, pytest.mark.slow, pytest.mark.timeout(300)]

SETTINGS = """
[redis]
url = "embedded"
[postgres]
url = "embedded"
[http]
port = 0
rate_limit_max = 1000000
[agents.talker]
command = ["sh", "-c", "echo begin $$; while :; do echo working; sleep 0.2; done"]
[agents.hungry]
command = ["sh", "-c", "exec sleep 1000"]
[agents.inside]
mode = "in_process"
class = "orchestrator.agents.samples.dev:DevAgent"
"""


def until(condition: Callable[[], object], limit_s: float = 30.0) -> None:
    end = quiet_s() + limit_s
    while not condition():
        assert quiet_s() < end, f"not within {limit_s:g} s"
        time.sleep(0.05)


def agent(daemon: Any, agent_id: str) -> dict[str, Any]:
    rows: list[dict[str, Any]] = daemon.get("/runtime/agents")["agents"]
    return next(row for row in rows if row["id"] == agent_id)


def orc(daemon: Any, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orchestrator", "--url", daemon.url, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def daemon(new_daemon: Any) -> Any:
    daemon = new_daemon(SETTINGS)
    daemon.start()
    until(lambda: agent(daemon, "talker")["pid"])
    return daemon


def test_an_operators_stop_survives_a_restart_of_the_daemon(daemon: Any) -> None:
    assert orc(daemon, "agent", "stop", "talker").returncode == 0
    assert agent(daemon, "talker")["state"] == "STOPPED"
    daemon.kill()
    daemon.start()

    row = agent(daemon, "talker")
    assert (row["state"], row["stopped_by_operator"], row["pid"]) == ("STOPPED", True, None)
    assert agent(daemon, "hungry")["state"] == "RUNNING"
    assert daemon.call("GET", "/ready")[0] == 200, "a stopped agent is no trouble of the daemon's"

    assert orc(daemon, "agent", "start", "talker").returncode == 0
    until(lambda: agent(daemon, "talker")["pid"])
    daemon.stop()
    daemon.start()
    until(lambda: agent(daemon, "talker")["pid"])


def test_what_it_printed_before_it_died_can_be_read(daemon: Any) -> None:
    pid = agent(daemon, "talker")["pid"]
    until(lambda: "working" in orc(daemon, "agent", "logs", "talker").stdout)
    os.kill(pid, signal.SIGKILL)
    until(lambda: agent(daemon, "talker")["pid"] not in (pid, None))

    answer = daemon.get("/runtime/agents/talker/logs?before_crash=true")
    assert (answer["last_exit"]["signal"], answer["last_exit"]["code"]) == ("SIGKILL", None)
    assert answer["lines"][0]["text"] == f"begin {pid}"
    assert answer["lines"][-1]["text"] == "working"
    said = orc(daemon, "agent", "logs", "talker", "--before-crash")
    assert f"begin {pid}" in said.stdout
    assert "SIGKILL" in said.stderr
    assert f'"line":"begin {pid}"' in daemon.log
    assert '"agent":"talker"' in daemon.log


def test_an_agent_inside_the_daemon_has_what_it_logs(daemon: Any) -> None:
    found = daemon.get("/runtime/agents/inside/logs")
    assert {line["stream"] for line in found["lines"]} <= {"log"}
    assert orc(daemon, "agent", "logs", "inside").returncode == 0
    assert daemon.call("GET", "/runtime/agents/inside/logs?before_crash=true")[0] == 409
    assert daemon.call("GET", "/runtime/agents/nobody/logs")[0] == 404
    assert orc(daemon, "agent", "logs", "nobody").returncode == 5


def test_what_it_uses_is_shown_and_measured(daemon: Any) -> None:
    until(lambda: (agent(daemon, "talker")["memory_bytes"] or 0) > 0)

    row = agent(daemon, "talker")
    assert row["processes"] >= 1
    assert row["cpu_percent"] >= 0
    assert daemon.metric("orchestrator_agent_memory_bytes") > 0
    assert daemon.metric("orchestrator_agent_up") == 2


def test_a_restart_gives_a_new_process(daemon: Any) -> None:
    former = agent(daemon, "hungry")["pid"]

    assert orc(daemon, "agent", "restart", "hungry").returncode == 0

    until(lambda: agent(daemon, "hungry")["pid"] not in (former, None))
    assert agent(daemon, "hungry")["last_exit"] is None, "somebody asked for it"
