"""Every snippet of docs/agents.md runs as it stands there."""

import os
import re
import sys
import tomllib
from pathlib import Path

import pytest
from orchestrator.actors.agent_host.child_spec import AgentSettings

from .conftest import RunningDaemon, finished

pytestmark = pytest.mark.subprocess

GUIDE = Path(__file__).parents[2] / "docs" / "agents.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
LIMIT_S = 240.0

# `agent run` goes on for ever: it is put into the background, and has to be seen by the daemon.
SHELL = """
set -e
python() { [ "$1 $2" = "-m pip" ] || "$PYTHON" "$@"; }
orc() {
  if [ "$1 $2" != "agent run" ]; then "$PYTHON" -m orchestrator "$@"; return; fi
  "$PYTHON" -m orchestrator "$@" & AGENT=$!
  trap 'kill $AGENT; wait $AGENT' EXIT
  for _ in $(seq 900); do
    "$PYTHON" -m orchestrator agent ls --state up -o name | grep -qx "$SEEN" && return
    sleep 0.2
  done
  exit 9
}
"""


def snippets(language: str) -> list[str]:
    found = [text for kind, text in BLOCKS if kind == language]
    assert found
    return found


def test_there_is_no_snippet_of_a_language_that_nothing_runs() -> None:
    assert {kind for kind, _ in BLOCKS} == {"bash", "python", "toml"}


def test_the_python_snippets_run(tmp_path: Path) -> None:
    text = "\n\n".join(snippets("python"))
    (tmp_path / "test_guide.py").write_text(text)
    (tmp_path / "conftest.py").write_text(
        'pytest_plugins = ["orchestrator.agents.pytest_plugin"]\n'
    )

    words = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".")
    done = finished(sys.executable, *words, folder=tmp_path, limit_s=LIMIT_S)

    assert done.returncode == 0, done.stdout
    assert f"{len(re.findall(r'^def test_', text, re.MULTILINE))} passed" in done.stdout


@pytest.mark.timeout(LIMIT_S + 60)
def test_the_shell_snippets_run(daemon: RunningDaemon, tmp_path: Path) -> None:
    script, _of_node = snippets("bash")  # a Node project is tried by test_agent_new
    clone = tmp_path / "clone"
    (clone / ".venv/bin").mkdir(parents=True)
    (clone / ".venv/bin/activate").touch()

    done = finished(
        *("bash", "-c", SHELL + script),
        folder=clone,
        limit_s=LIMIT_S,
        PYTHON=sys.executable,
        SEEN="momentum-1",
        REDIS_URL=daemon.redis_url,
        ORCHESTRATOR_URL=daemon.url,
        XDG_STATE_HOME=str(tmp_path / "state"),
        PATH=os.environ["PATH"],
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_the_settings_are_settings() -> None:
    for text in snippets("toml"):
        for table in tomllib.loads(text)["agents"].values():
            AgentSettings.model_validate(table)
