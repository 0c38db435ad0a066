import json
from typing import Any

import pytest
from orchestrator import cli
from orchestrator.cli.commands import agent_watch
from orchestrator.cli.commands.agent_watch import Seen, changes

from ..conftest import Double


def row(agent_id: str, liveness: str, status: str = "active", error: str | None = None) -> Any:
    return {"id": agent_id, "liveness": liveness, "status": status, "last_error": error}


def test_first_all_states_trouble_first_then_only_what_changes() -> None:
    seen: Seen = {}

    first = list(changes(seen, [row("a", "up"), row("b", "down", error="x")], ()))
    same = list(changes(seen, [row("a", "up"), row("b", "down")], ()))
    then = list(changes(seen, [row("a", "up", "halted")], ()))
    back = list(changes(seen, [row("a", "up"), row("b", "up")], ()))

    assert [(one["id"], one["state"], one["was"]) for one in first] == [
        ("b", "down", None),
        ("a", "up", None),
    ]
    assert first[0]["error"] == "x"
    assert same == []
    assert [(one["id"], one["state"], one["was"]) for one in then] == [
        ("a", "halted", "up"),
        ("b", "gone", "down"),
    ]
    assert [(one["id"], one["was"]) for one in back] == [("a", "halted"), ("b", "gone")]


def test_only_those_that_are_named() -> None:
    found = list(changes({}, [row("a", "up"), row("b", "up")], ("b",)))

    assert [one["id"] for one in found] == ["b"]


def test_it_ends_after_as_many_lines_as_asked(
    double: Double, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    double.answers["/health/agents"] = (200, {"agents": [row("a\x1b[2J", "up")]})
    down = (200, {"agents": [row("a\x1b[2J", "down", error="exit 139\n")]})

    def change(seconds: float) -> None:
        assert seconds == agent_watch.WATCH_S
        double.answers["/health/agents"] = down

    monkeypatch.setattr("orchestrator.cli.commands.agent_watch.time.sleep", change)

    code = cli.run(["--url", double.url, "agent", "watch", "--count", "2"])

    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert [line.split("  ", 1)[1] for line in lines] == [
        "up       a\\x1b[2J",
        "down     a\\x1b[2J  was up  exit 139\\x0a",
    ]
    assert lines[0][:2] == "20"


def test_for_programs_each_change_is_a_line_of_json(
    double: Double, capsys: pytest.CaptureFixture[str]
) -> None:
    double.answers["/health/agents"] = (200, {"agents": [row("a", "up")]})
    words = ["--url", double.url, "agent", "watch", "--count", "1"]

    assert cli.run([*words, "-o", "jsonl"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["id"], found["state"], found["was"]) == ("a", "up", None)
    assert cli.run([*words, "-o", "csv"]) == 2
