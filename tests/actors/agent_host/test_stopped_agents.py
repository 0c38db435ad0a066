"""What an operator has stopped."""

from pathlib import Path

import pytest
from orchestrator.actors.agent_host.stopped_agents import StoppedAgents


def test_what_is_stopped_stays_so_until_it_is_started(tmp_path: Path) -> None:
    path = tmp_path / "stopped-agents.json"
    StoppedAgents(path).note("b", stopped=True)
    StoppedAgents(path).note("a", stopped=True)

    assert list(StoppedAgents(path)) == ["a", "b"]
    assert "a" in StoppedAgents(path)
    StoppedAgents(path).note("a", stopped=False)

    assert list(StoppedAgents(path)) == ["b"]


@pytest.mark.parametrize("content", ["", "{", "{}", "null", '[1, "a"]'])
def test_a_file_that_says_nothing_stops_nobody_else(tmp_path: Path, content: str) -> None:
    path = tmp_path / "stopped-agents.json"
    path.write_text(content)

    assert set(StoppedAgents(path)) <= {"a"}


def test_a_disk_that_refuses_changes_nothing(tmp_path: Path) -> None:
    stopped = StoppedAgents(tmp_path / "missing" / "stopped-agents.json")

    with pytest.raises(OSError, match="No such file"):
        stopped.note("a", stopped=True)

    assert "a" not in stopped
