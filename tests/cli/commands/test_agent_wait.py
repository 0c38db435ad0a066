import json
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
import redis
from orchestrator.cli.commands.agent_wait import is_so

from ..conftest import Double, Orc, RunningDaemon, clean_environ


@pytest.mark.parametrize(
    ("liveness", "status", "states"),
    [
        ("up", "active", {"up"}),
        ("up", "error", {"up"}),
        ("up", "halted", {"up", "halted"}),
        ("late", "halted", {"halted"}),
        ("down", "halted", {"down"}),
        ("stopped", "inactive", {"down"}),
        ("late", "active", set()),
        ("unknown", "active", set()),
    ],
)
def test_what_an_agent_is(liveness: str, status: str, states: set[str]) -> None:
    row = {"liveness": liveness, "status": status}

    assert {word for word in ("up", "down", "halted") if is_so(row, word)} == states
    assert not is_so(None, "down")


@pytest.mark.subprocess
def test_it_returns_once_the_agent_has_come(daemon: RunningDaemon) -> None:
    command = [sys.executable, "-m", "orchestrator", "agent", "wait", "waited-1", "-o", "json"]
    environ = clean_environ(ORCHESTRATOR_URL=daemon.url)
    waiting = subprocess.Popen(
        command, env=environ, cwd=daemon.folder, stdout=subprocess.PIPE, text=True
    )
    time.sleep(1)  # so that it has looked once; it is right to be there before, too
    assert waiting.poll() is None

    with redis.Redis.from_url(daemon.redis_url) as bus:
        bus.publish("heartbeat.waited-1", json.dumps({"agent_id": "waited-1"}))
    out, _ = waiting.communicate(timeout=60)

    assert waiting.returncode == 0
    assert json.loads(out)["state"] == "up"


@pytest.mark.subprocess
def test_in_vain_it_says_how_the_agent_is(daemon: RunningDaemon) -> None:
    with redis.Redis.from_url(daemon.redis_url) as bus:
        bus.publish("heartbeat.waited-2", json.dumps({"agent_id": "waited-2"}))
    assert daemon.orc("agent", "wait", "waited-2", "--timeout", "30").code == 0

    words = ("agent", "wait", "waited-2", "nobody-1", "--for", "down", "--timeout", "0.1")
    done = daemon.orc(*words)

    assert done.code == 6
    assert "waited-2: up, active; nobody-1: never reported" in done.err


@pytest.mark.subprocess
def test_a_daemon_that_is_not_there_yet_is_waited_for(orc: Orc, double: Double) -> None:
    rows: dict[str, Any] = {"agents": [{"id": "a", "liveness": "up", "status": "active"}]}
    double.answers["/health/agents"] = (503, {"error": "not read"})
    come = threading.Timer(1.0, lambda: double.answers.update({"/health/agents": (200, rows)}))
    come.start()

    done = orc("--url", double.url, "agent", "wait", "a", "--timeout", "40")
    come.join()

    assert done.code == 0, done.err


@pytest.mark.subprocess
def test_one_who_may_not_look_does_not_wait(orc: Orc, double: Double) -> None:
    double.answers["/health/agents"] = (401, {"error": "Unauthorized"})

    assert orc("--url", double.url, "agent", "wait", "a", "--timeout", "600").code == 4


@pytest.mark.subprocess
def test_nobody_answers_until_the_end(orc: Orc) -> None:
    done = orc("--url", "http://127.0.0.1:1", "agent", "wait", "a", "--timeout", "0.1")

    assert done.code == 3
