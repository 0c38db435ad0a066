import sys
from pathlib import Path
from typing import Any

import pytest
from orchestrator.actors.agent_host.child_spec import AgentSettings
from orchestrator.cli.offline.agent_programs import faults

pytestmark = pytest.mark.subprocess

SIGNALS = """
import msgspec
from orchestrator.agents import Agent

class Options(msgspec.Struct, forbid_unknown_fields=True):
    limit: int = 1

class Good(Agent):
    Options = Options

    def __init__(self, **settings):
        raise RuntimeError("an agent was made")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my_signals.py").write_text(SIGNALS)
    (tmp_path / "my_broken.py").write_text("import nowhere_to_be_found\n")
    (tmp_path / "my_program").write_text("#!/bin/sh\n")
    (tmp_path / "my_program").chmod(0o755)
    return tmp_path


def found(folder: Path, **table: Any) -> list[str]:
    table = {"cwd": folder} | table
    return list(faults({"a-1": AgentSettings.model_validate(table)}))


@pytest.mark.parametrize(
    "table",
    [
        {"class": "my_signals:Good", "options": {"limit": 3}},
        {"command": ["./my_program"]},
        {"command": [sys.executable, "x.py"]},
        {"command": ["mine"], "env": {"PATH": "."}},
    ],
)
def test_what_could_run_is_no_fault_and_nothing_is_run(folder: Path, table: dict[str, Any]) -> None:
    (folder / "mine").symlink_to("my_program")
    if "env" in table:
        table = table | {"env": {"PATH": str(folder)}}

    assert found(folder, **table) == []


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({"class": "my_signals:Godo"}, "agents.a-1: class my_signals:Godo: my_signals has no Godo"),
        (
            {"class": "my_broken:X"},
            "cannot import my_broken: No module named",
        ),
        ({"class": "my_signals:Options"}, "is no subclass of orchestrator.agents.Agent"),
        (
            {"class": "my_signals:Good", "options": {"limt": 3}},
            "unknown option limt; there is",
        ),
        ({"class": "my_signals:Good", "options": {"limit": "x"}}, "Expected `int`, got `str`"),
        ({"command": ["no-such-program-here"]}, "there is no program no-such-program-here"),
        ({"command": ["./my_signals.py"]}, "there is no program ./my_signals.py"),
        ({"command": ["x"], "cwd": "/nowhere/at/all"}, "cwd: there is no folder /nowhere/at/all"),
    ],
)
def test_what_could_not_is_said_with_its_reason(
    folder: Path, table: dict[str, Any], fault: str
) -> None:
    (line,) = found(folder, **table)

    assert fault in line
