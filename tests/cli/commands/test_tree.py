from typing import Any

import pytest
from orchestrator.cli.commands.tree import flat

from ..conftest import RunningDaemon

TREE: dict[str, Any] = {
    "name": "root",
    "children": [
        {"name": "a", "children": []},
        {"name": "agents", "children": [{"name": "x", "children": []}]},
        {"name": "z", "children": []},
    ],
}


def test_each_actor_hangs_on_its_branch() -> None:
    rows = [row["branch"] + row["name"] for row in flat(TREE)]

    assert rows == ["root", "├─ a", "├─ agents", "│  └─ x", "└─ z"]


def test_each_actor_names_its_supervisor() -> None:
    parents = {row["name"]: row["parent"] for row in flat(TREE)}

    assert parents == {"root": None, "a": "root", "agents": "root", "x": "agents", "z": "root"}


@pytest.mark.subprocess
def test_the_tree_of_a_running_daemon(daemon: RunningDaemon) -> None:
    done = daemon.orc("tree")

    assert done.code == 0, done.err
    assert any("persister" in line and "RUNNING" in line for line in done.out.splitlines())
    assert "dev-agent" in done.out


@pytest.mark.subprocess
def test_the_tree_for_programs(daemon: RunningDaemon) -> None:
    done = daemon.orc("tree", "-o", "json")

    assert done.json["kind"] == "actors"
    assert done.json["tree"]["name"] == "root"


@pytest.mark.subprocess
def test_a_line_each_for_jq(daemon: RunningDaemon) -> None:
    done = daemon.orc("tree", "-o", "name")

    assert {"root", "persister", "agents", "dev-agent"} <= set(done.out.split())
