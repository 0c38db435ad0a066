"""The command line of ``make chaos``: which faults are run."""

import sys

import pytest
from faults import chaos
from faults.rig import Outcome


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["chaos", *words])
    return chaos.main()


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, chaos.Run]]:
    names: list[tuple[str, chaos.Run]] = []

    def run_one(name: str, run: chaos.Run, seed: int) -> Outcome:
        del seed
        names.append((name, run))
        return Outcome(name, lost=int(name == "poison"))

    monkeypatch.setattr(chaos, "run_one", run_one)
    return names


@pytest.mark.parametrize("words", [["--help"], ["-h", "killed"]])
def test_help_runs_nothing(
    monkeypatch: pytest.MonkeyPatch, ran: list[object], words: list[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        run(monkeypatch, *words)

    assert end.value.code == 0
    assert ran == []


def test_a_name_that_is_none_is_refused_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, ran: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        run(monkeypatch, "redis", "killd")

    assert end.value.code == 2
    assert "no fault killd; there are killed, " in capsys.readouterr().err
    assert ran == []


def test_the_names_are_listed(
    monkeypatch: pytest.MonkeyPatch, ran: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--list", "--short") == 0
    assert capsys.readouterr().out.split() == list(chaos.SHORT)
    assert ran == []


def test_those_that_are_named_are_run_in_the_form_that_is_wanted(
    monkeypatch: pytest.MonkeyPatch, ran: list[object]
) -> None:
    assert run(monkeypatch, "redis", "hostile") == 0
    assert run(monkeypatch, "--short", "poison") == 1  # something was lost

    assert ran == [
        ("redis", chaos.FULL["redis"]),
        ("hostile", chaos.FULL["hostile"]),
        ("poison", chaos.SHORT["poison"]),
    ]
