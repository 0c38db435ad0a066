"""The agents as the daemon hosts them: started, stopped and remembered together."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from orchestrator.daemon.hosted_agents import HostedAgents
from orchestrator.runtime import Address, DeadLetters, GetTree, start_actor, stop_actor
from orchestrator.settings import Settings
from quiet_clock import quiet_s

# Says that it has become deaf to SIGTERM, and stays.
DEAF = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1]).touch()
time.sleep(600)
"""


def hosted(folder: Path, agents: dict[str, Any]) -> HostedAgents:
    settings = Settings.model_validate({"agents": agents})
    return HostedAgents(
        settings,
        folder=folder,
        redis_url="redis://127.0.0.1:1/0",
        guard=None,
        dead_letters=DeadLetters(),
    )


def deaf(folder: Path, *names: str) -> dict[str, Any]:
    command = [sys.executable, "-c", DEAF]
    return {
        name: {"command": [*command, str(folder / f"{name}.deaf")], "shutdown_s": 1}
        for name in names
    }


@contextmanager
def running(agents: HostedAgents) -> Iterator[Address]:
    supervisor: Any = agents.child_spec(
        Address("agents"), lambda _limit_s: None, lambda _report: None
    ).factory()
    yield start_actor(supervisor, Address("agents"))
    stop_actor(supervisor)


def wait_for(condition: Any) -> None:
    limit = quiet_s() + 20
    while not condition():
        assert quiet_s() < limit
        time.sleep(0.01)


@pytest.mark.subprocess
def test_deaf_agents_are_stopped_together_not_one_after_another(tmp_path: Path) -> None:
    names = ["a", "b", "c", "d", "e", "f"]
    agents = hosted(tmp_path, deaf(tmp_path, *names))
    with running(agents):
        wait_for(lambda: all((tmp_path / f"{name}.deaf").exists() for name in names))
        pids = [record.pid for record in agents.processes.values()]
        assert all(psutil.pid_exists(pid) for pid in pids)
        begin, quiet_begin_s = time.monotonic(), quiet_s()

    assert time.monotonic() - begin >= 1
    assert quiet_s() - quiet_begin_s < 4, "each takes a second"
    assert not any(psutil.pid_exists(pid) for pid in pids)


@pytest.mark.subprocess
def test_what_an_operator_has_stopped_is_not_started(tmp_path: Path) -> None:
    agents = hosted(tmp_path, deaf(tmp_path, "a", "b"))
    agents.stopped.note("b", stopped=True)
    with running(agents) as address:
        rows = {row["name"]: row["state"] for row in address.ask(GetTree(), timeout_s=5)}

    assert rows == {"a": "RUNNING", "b": "STOPPED"}
    assert list(hosted(tmp_path, deaf(tmp_path, "b")).stopped) == ["b"]


def test_only_processes_have_a_record(tmp_path: Path) -> None:
    inside = {"class": "orchestrator.agents.samples.dev:DevAgent", "mode": "in_process"}
    agents = hosted(tmp_path, {"inside": inside, **deaf(tmp_path, "a")})

    assert agents.kinds == {"inside": "in_process", "a": "process"}
    assert list(agents.processes) == ["a"]
