import json

import pytest
from orchestrator import cli
from orchestrator.cli import AREAS


def examples(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, str]]:
    assert cli.run(["examples", *words, "-o", "json"]) == 0
    found: list[dict[str, str]] = json.loads(capsys.readouterr().out)["items"]
    return found


def test_every_command_of_the_help_has_some(capsys: pytest.CaptureFixture[str]) -> None:
    rows = examples(capsys)

    names = [name for commands in AREAS.values() for name in commands]
    assert list(dict.fromkeys(row["command"] for row in rows)) == names
    assert all("orc " in row["example"] for row in rows)


def test_of_a_noun_its_verbs_too(capsys: pytest.CaptureFixture[str]) -> None:
    rows = examples(capsys, "token")

    assert {row["command"] for row in rows} == {
        *("token", "token ls", "token new", "token revoke"),
    }
    assert "orc token revoke anna" in [row["example"] for row in rows]


def test_of_an_area(capsys: pytest.CaptureFixture[str]) -> None:
    rows = examples(capsys, "At", "a", "glance")

    assert {row["command"].split()[0] for row in rows} == set(AREAS["At a glance"])


def test_for_people_they_stand_below_what_they_are_about(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.run(["examples", "reload"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("reload  Have the daemon read its settings again")
    assert lines[1] == "  orc reload"


def test_of_nothing_there_are_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["examples", "nonsense"]) == 5
    assert "the areas are run, at a glance" in capsys.readouterr().err
