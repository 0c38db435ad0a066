"""Agents as the settings name them: inside the daemon and as child processes, on a real bus."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from bus_peers import Daemon
from orchestrator.actors.agent_host.actor import AgentHost
from orchestrator.actors.agent_host.child_spec import (
    AgentSettings,
    agent_child_spec,
    hosted,
    in_thread,
    process_command,
)
from orchestrator.agents import Agent, BadAgent
from orchestrator.agents.surroundings import within
from orchestrator.runtime import (
    Address,
    ChildSpec,
    GetTree,
    Restart,
    RestartLimits,
    Supervisor,
    start_actor,
    stop_actor,
)
from orchestrator.runtime.processes.record import ProcessRecord
from pydantic import ValidationError

from .conftest import Bus, until

pytestmark = pytest.mark.redis

DEV = "orchestrator.agents.samples.dev:DevAgent"


@pytest.fixture
def supervise() -> Iterator[Callable[..., Callable[[], dict[str, Any]]]]:
    """Supervises child specs as the daemon does; gives a function for the first one's row."""
    started: list[Supervisor] = []

    def start(*specs: ChildSpec) -> Callable[[], dict[str, Any]]:
        limits = RestartLimits(intensity=2, backoff_initial_s=0.01, backoff_max_s=0.02)
        supervisor, root = Supervisor(specs, limits=limits, escalate=False), Address("agents")
        started.append(supervisor)
        start_actor(supervisor, root)
        return lambda: dict(root.ask(GetTree(), timeout_s=60)[0])

    yield start
    for supervisor in started:
        stop_actor(supervisor, timeout_s=20)


def settings(**table: Any) -> AgentSettings:
    return AgentSettings.model_validate(table)


def spec_of(bus: Bus, agent_id: str, **table: Any) -> ChildSpec:
    return agent_child_spec(
        agent_id, settings(**table), redis_url=bus.url, environment=dict(os.environ)
    )


def test_an_agent_of_asyncio_is_refused_within_the_daemon(bus: Bus) -> None:
    table = {"mode": "in_process", "class": "orchestrator.agents:AsyncAgent"}
    host = spec_of(bus, "async-1", **table).factory()
    assert isinstance(host, AgentHost)

    with pytest.raises(BadAgent, match='it needs mode = "process"'):
        host._make_agent()


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({}, "either class"),
        ({"class": DEV, "command": ["x"]}, "either class"),
        ({"command": []}, "command"),
        ({"class": "no-colon"}, "class"),
        ({"mode": "in_process", "command": ["x"]}, "expected"),
        ({"mode": "in_process", "class": DEV, "env": {"A": "b"}}, "no env, cwd or max_memory"),
        ({"class": DEV, "gruop": "x"}, "gruop"),
        ({"class": DEV, "restart": "sometimes"}, "restart"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(table: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        settings(**table)


def test_a_class_runs_as_a_process_by_default() -> None:
    table = settings(
        **{"class": DEV}, name="Dev", group="g", interval_s=2.5, options={"every_s": 1.5}
    )

    command = process_command("dev-7", table, "redis://x", {"PATH": "/bin"})

    assert command.arguments == (
        *(sys.executable, "-m", "orchestrator.agents.runner", DEV),
        *("--id", "dev-7", "--name", "Dev", "--group", "g", "--interval", "2.5"),
        *("--option", '{"every_s": 1.5}'),
    )
    assert command.stop_timeout_s == 5.0


def test_a_process_gets_the_bus_and_none_of_our_secrets() -> None:
    table = settings(command=["node", "agent.js"], env={"SYMBOLS": "AAPL"}, cwd="/srv")
    ours = {"PATH": "/bin", "PG_URL": "secret", "ORCHESTRATOR_HTTP__PORT": "1", "REDIS_URL": "old"}
    ours |= {"REDIS_URL_FILE": "/run/secrets/bus", "PG_URL_FILE": "/run/secrets/db"}

    command = process_command("node-1", table, "redis://x", ours)

    assert command.arguments == ("node", "agent.js")
    assert command.folder == "/srv"
    assert command.environment == {
        "PATH": "/bin",
        "REDIS_URL": "redis://x",
        "ORCHESTRATOR_AGENT_ID": "node-1",
        "PYTHONUNBUFFERED": "1",
        "SYMBOLS": "AAPL",
    }


def test_the_child_spec_follows_the_table(bus: Bus) -> None:
    spec = spec_of(bus, "x", **{"class": DEV}, restart="transient", shutdown_s=7)

    assert (spec.name, spec.kind, spec.restart) == ("x", "process", Restart.TRANSIENT)
    assert isinstance(spec.shutdown_s, float)
    assert spec.shutdown_s > 7
    assert spec_of(bus, "y", **{"class": DEV}, mode="in_process").kind == "in_process"


# -- under supervision ---------------------------------------------------------------


def test_a_class_given_by_name_runs_inside(bus: Bus, supervise: Any) -> None:
    Daemon(bus.url).issue(px=60_000)
    row = supervise(
        spec_of(bus, "dev-7", **{"class": DEV}, mode="in_process", options={"every_s": 0.1})
    )

    bus.wait_for("strategy.candidate", agent_id="dev-7")
    assert bus.wait_for("heartbeat.dev-7", group="development")["pid"] == os.getpid()
    assert row()["state"] == "RUNNING"


@pytest.mark.parametrize("path", ["nowhere.at_all:Class", f"{DEV}s"])
def test_a_class_that_is_not_there_becomes_fatal_alone(bus: Bus, supervise: Any, path: str) -> None:
    row = supervise(
        spec_of(bus, "bad", **{"class": path}, mode="in_process"),
        spec_of(bus, "good", **{"class": DEV}, mode="in_process"),
    )

    until(lambda: row()["state"] == "FATAL")

    assert "BadAgent" in row()["last_error"]
    bus.wait_for("heartbeat.good")


@pytest.mark.subprocess
def test_the_same_class_runs_as_a_child_process(bus: Bus, supervise: Any) -> None:
    Daemon(bus.url).issue(px=60_000)
    row = supervise(spec_of(bus, "dev-7", **{"class": DEV}, group="g", options={"every_s": 0.1}))

    bus.wait_for("strategy.candidate", agent_id="dev-7")
    beat = bus.wait_for("heartbeat.dev-7", group="g", name="Development Agent")
    assert beat["pid"] != os.getpid()
    assert row()["kind"] == "process"


@pytest.mark.subprocess
def test_a_killed_process_is_started_anew_with_a_new_boot(bus: Bus, supervise: Any) -> None:
    row = supervise(spec_of(bus, "dev-7", **{"class": DEV}))
    first = bus.wait_for("heartbeat.dev-7")

    psutil.Process(first["pid"]).kill()

    until(lambda: row()["restarts"] == 1)
    until(lambda: heard_anew(bus, "heartbeat.dev-7")["boot"] != first["boot"])
    assert "was ended by SIGKILL" in row()["last_error"]


def heard_anew(bus: Bus, channel: str) -> Any:
    """A message that was still under way when its process was killed may be the first."""
    bus.seen.clear()
    return bus.wait_for(channel)


@pytest.mark.subprocess
def test_any_program_can_be_an_agent(bus: Bus, supervise: Any, tmp_path: Path) -> None:
    (tmp_path / "agent.py").write_text(
        "import json, os, redis, time\n"
        "agent_id = os.environ['ORCHESTRATOR_AGENT_ID']\n"
        "bus = redis.Redis.from_url(os.environ['REDIS_URL'])\n"
        "bus.publish(f'heartbeat.{agent_id}', json.dumps({'agent_id': agent_id}))\n"
        "print('beaten')\n"
        "time.sleep(60)\n"
    )
    record = ProcessRecord()
    table = settings(command=[sys.executable, "agent.py"], cwd=str(tmp_path))

    supervise(
        agent_child_spec(
            "plain", table, redis_url=bus.url, environment=dict(os.environ), record=record
        )
    )

    bus.wait_for("heartbeat.plain")
    until(lambda: [line.text for line in record.output.last()] == ["beaten"])


@pytest.mark.subprocess
def test_a_process_that_cannot_start_becomes_fatal_with_its_last_words(
    bus: Bus, supervise: Any
) -> None:
    row = supervise(spec_of(bus, "bad", **{"class": "nowhere.at_all:Class"}))

    until(lambda: row()["state"] == "FATAL")

    assert "exited with code 2: cannot import nowhere.at_all" in row()["last_error"]


def test_the_disk_is_written_by_a_thread_and_not_by_the_loop() -> None:
    assert in_thread(threading.get_native_id) != threading.get_native_id()


def test_state_is_kept_below_the_daemons_folder_unless_the_agent_says_else(tmp_path: Path) -> None:
    class Own(Agent):
        state_dir = tmp_path / "own"

    with within(hosted(tmp_path / "daemon")):
        for kind in (Agent, Own):
            agent = kind()
            agent.state.set("a", 1)
            agent.close()

    assert (tmp_path / "daemon" / "agent.json").read_bytes() == b'{"a":1}'
    assert (tmp_path / "own" / "own.json").exists()
