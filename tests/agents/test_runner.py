import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from orchestrator.agents.errors import BadAgent, BadOptions
from orchestrator.agents.runner import _bus_url, load_agent, main, read_option_texts
from orchestrator.agents.samples.dev import DevAgent
from quiet_clock import quiet_s

DEV = "orchestrator.agents.samples.dev:DevAgent"


class Alone:
    """Agents in processes of their own."""

    def __init__(self, url: str, folder: Path) -> None:
        self.environment = {**os.environ, "REDIS_URL": url}
        self.folder = folder
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator.agents.runner", *arguments],
            env=self.environment,
            cwd=self.folder,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process


@pytest.fixture
def alone(redis_url: str, tmp_path: Path) -> Iterator[Alone]:
    made = Alone(redis_url, tmp_path)
    yield made
    for process in made.started:
        process.kill()
        process.communicate(timeout=10)


def test_a_path_leads_to_its_class() -> None:
    assert load_agent(DEV) is DevAgent


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("no-colon", "not of the form module:Class"),
        (":Class", "not of the form module:Class"),
        ("nowhere.at_all:Class", "cannot import nowhere.at_all"),
        ("orchestrator.agents.samples.dev:Nobody", "has no Nobody"),
        ("orchestrator.agents.samples.dev:SYMBOLS", "no subclass of orchestrator.agents.Agent"),
        ("pathlib:Path", "no subclass of orchestrator.agents.Agent"),
    ],
)
def test_a_path_that_leads_nowhere_says_why(path: str, complaint: str) -> None:
    with pytest.raises(BadAgent, match=complaint):
        load_agent(path)


def test_options_are_read_as_json_where_they_are_json() -> None:
    texts = ["every_s=0.5", 'symbols=["A"]', "name=AAPL", '{"seed": 1}', "empty="]

    assert read_option_texts(texts) == {
        "every_s": 0.5,
        "symbols": ["A"],
        "name": "AAPL",
        "seed": 1,
        "empty": "",
    }


@pytest.mark.parametrize("text", ["no-value", "=1", "{broken"])
def test_an_option_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadOptions):
        read_option_texts([text])


def test_a_wrong_option_is_one_line_and_wrong_usage(capfd: pytest.CaptureFixture[str]) -> None:
    assert main([DEV, "--option", "evry_s=1"]) == 2

    assert capfd.readouterr().err == ("unknown option evry_s; there is symbols, every_s, seed\n")


@pytest.mark.redis
@pytest.mark.subprocess
def test_a_sample_runs_alone_and_ends_at_sigterm(bus: Any, daemon: Any, alone: Alone) -> None:
    process = alone.start(DEV, "--id", "dev-7", "--group", "g", "--option", "every_s=0.1")
    bus.wait_for("heartbeat.dev-7", limit_s=20, status="halted", group="g")
    daemon.renew()
    bus.wait_for("strategy.candidate", agent_id="dev-7")

    began = quiet_s()
    process.send_signal(signal.SIGTERM)
    code = process.wait(timeout=10)

    assert (code, quiet_s() - began < 2.0) == (0, True)
    bus.wait_for("heartbeat.dev-7", status="stopped")


@pytest.mark.redis
@pytest.mark.subprocess
def test_a_users_own_module_in_the_working_directory_is_found(bus: Any, alone: Alone) -> None:
    (alone.folder / "mine.py").write_text(
        "from orchestrator.agents import Agent\n\n\nclass Mine(Agent):\n    '''Mine.'''\n"
    )

    process = alone.start("mine:Mine")
    bus.wait_for("heartbeat.mine", limit_s=20, name="mine")

    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 0


@pytest.mark.redis
@pytest.mark.subprocess
def test_an_agent_that_does_not_start_exits_with_one(alone: Alone) -> None:
    (alone.folder / "mine.py").write_text(
        "from orchestrator.agents import Agent\n\n\nclass Mine(Agent):\n"
        "    def on_start(self):\n        raise RuntimeError('no licence')\n"
    )

    _, errors = alone.start("mine:Mine").communicate(timeout=20)

    assert alone.started[0].returncode == 1
    assert "RuntimeError: no licence" in errors


@pytest.mark.subprocess
def test_the_kit_needs_neither_gevent_nor_pykka() -> None:
    program = (
        "import json, sys, orchestrator.agents, orchestrator.agents.runner,"
        " orchestrator.agents.samples.dev, orchestrator.agents.samples.quotes,"
        " orchestrator.agents.samples.regime\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )

    modules = json.loads(subprocess.check_output([sys.executable, "-c", program], text=True))

    daemons = {"gevent", "greenlet", "pykka", "structlog", "psycopg", "bottle", "pydantic"}
    assert daemons.isdisjoint(modules)


def test_the_bus_may_be_named_by_a_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "url"
    file.write_text("redis://:s3cret@bus\n")
    file.chmod(0o604)

    assert _bus_url({"REDIS_URL_FILE": str(file)}) == "redis://:s3cret@bus"
    assert f"chmod o-rw {file}" in caplog.text
    assert "s3cret" not in caplog.text
    assert _bus_url({"REDIS_URL": "redis://plain"}) == "redis://plain"
    assert _bus_url({}) is None
    with pytest.raises(BadOptions, match="both set"):
        _bus_url({"REDIS_URL": "redis://plain", "REDIS_URL_FILE": str(file)})
