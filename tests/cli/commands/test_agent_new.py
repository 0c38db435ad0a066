"""A new agent's project: written, tested by its own test, and seen by a real daemon."""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ..conftest import Orc, RunningDaemon, clean_environ, finished

pytestmark = pytest.mark.subprocess

LIMIT_S = 90.0


@pytest.fixture(scope="module")
def node_modules() -> Path:
    """Where ioredis is, as the tests of examples have it."""
    found = Path(__file__).parents[2] / "e2e" / "node_modules"
    if not found.exists():
        pytest.skip("needs Node and ioredis (npm ci in tests/e2e)")
    return found


def row_of(daemon: RunningDaemon, agent_id: str) -> dict[str, Any] | None:
    with urllib.request.urlopen(f"{daemon.url}/health/agents", timeout=30) as answer:
        agents = json.load(answer)["agents"]
    return next((row for row in agents if row["id"] == agent_id), None)


@contextmanager
def beside(*command: str, folder: Path, redis_url: str) -> Iterator[None]:
    """A program that runs while the block does, and ends within 20 s of a SIGTERM."""
    environ = clean_environ(REDIS_URL=redis_url, XDG_STATE_HOME=str(folder / "state"))
    process = subprocess.Popen(command, cwd=folder, env=environ)
    try:
        yield
        assert process.poll() is None, "it has ended by itself"
        process.terminate()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait(10)


def appears(daemon: RunningDaemon, agent_id: str, **fields: Any) -> dict[str, Any]:
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        row = row_of(daemon, agent_id)
        if row is not None and fields.items() <= row.items():
            return row
        time.sleep(0.05)
    return pytest.fail(f"{agent_id} does not appear with {fields}: {row_of(daemon, agent_id)}")


def test_a_python_project_passes_its_test_and_appears_in_the_registry(
    orc: Orc, daemon: RunningDaemon, tmp_path: Path
) -> None:
    done = orc("agent", "new", "momentum-1")
    assert done.code == 0, done.err
    assert "orchestrator agent run momentum_1:Momentum1" in done.err
    folder = tmp_path / "momentum-1"

    words = ("-m", "pytest", "-q", "-p", "no:cacheprovider")
    tested = finished(sys.executable, *words, folder=folder, limit_s=LIMIT_S)
    assert tested.returncode == 0, tested.stdout
    assert "3 passed" in tested.stdout

    command = [sys.executable, "-m", "orchestrator", "agent", "run", "momentum_1:Momentum1"]
    with beside(*command, folder=folder, redis_url=daemon.redis_url):
        row = appears(daemon, "momentum-1", liveness="up", status="active")
    assert (row["agent_group"], row["name"]) == ("signals", "Momentum 1")
    appears(daemon, "momentum-1", status="inactive")


def test_a_node_project_passes_its_test_and_appears_in_the_registry(
    orc: Orc, daemon: RunningDaemon, tmp_path: Path, node_modules: Path
) -> None:
    words = ("agent", "new", "node-one", "--lang", "node", "--group", "execution", "-o", "json")
    done = orc(*words)
    assert done.code == 0, done.err
    folder = tmp_path / "node-one"
    (folder / "node_modules").symlink_to(node_modules)

    tested = finished("npm", "test", folder=folder, limit_s=LIMIT_S)
    assert tested.returncode == 0, tested.stdout
    assert "pass 2" in tested.stdout

    with beside("node", "agent.js", folder=folder, redis_url=daemon.redis_url):
        row = appears(daemon, "node-one", liveness="up")
    assert (row["agent_group"], row["name"]) == ("execution", "Node One")
    appears(daemon, "node-one", status="inactive")


def test_a_folder_with_something_in_it_is_left_alone(orc: Orc, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "agent.py").write_text("precious")

    done = orc("agent", "new", "momentum-1", "--into", "mine", "-o", "json")

    assert (done.code, json.loads(done.err)["error"]["code"]) == (1, "exists")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["agent.py"]


@pytest.mark.parametrize("name", ["Momentum", "1st", "../up", "a b", "test", "a--b", "x" * 61])
def test_a_name_that_cannot_be_one_writes_nothing(orc: Orc, tmp_path: Path, name: str) -> None:
    done = orc("agent", "new", name)

    assert done.code == 2
    assert list(tmp_path.iterdir()) == []
