import io
import sys
from pathlib import Path

import click
import pytest
from orchestrator.cli.client import completion as completing
from orchestrator.cli.client.contexts import Context, Contexts, contexts_path
from orchestrator.cli.options import Invocation

from ...hostile import HOSTILE
from ..conftest import Double


def context(url: str) -> click.Context:
    return click.Context(click.Command("x"), obj=Invocation(url=url))


PARAMETER = click.Argument(["x"])


def test_agents_topics_and_keys_that_begin_so_are_offered(double: Double) -> None:
    double.answers["/health/agents"] = (200, {"agents": [{"id": "dev-1"}, {"id": "quotes-1"}]})
    double.answers["/bus/types"] = (200, {"types": [{"type": "risk.x"}, {"type": "data.y"}]})
    double.answers["/state"] = (200, {"state": [{"key": "regime_state"}]})

    there = context(double.url)
    agents = completing.complete_agents(there, PARAMETER, "d")
    topics = completing.complete_topics(there, PARAMETER, "risk")
    keys = completing.complete_state_keys(there, PARAMETER, "")

    assert [item.value for item in (*agents, *topics, *keys)] == ["dev-1", "risk.x", "regime_state"]


def test_without_a_daemon_there_is_nothing() -> None:
    assert completing.complete_agents(context("http://127.0.0.1:1"), PARAMETER, "") == []


def test_nothing_is_said_on_the_terminal_of_whoever_completes(
    double: Double, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    Contexts(contexts_path(), "a", {"a": Context(double.url, env="live")}).save()
    double.answers["/health/agents"] = (200, {"agents": [{"id": "dev-1"}]})
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    here = click.Context(click.Command("x"), obj=Invocation())

    assert [one.value for one in completing.complete_agents(here, PARAMETER, "")] == ["dev-1"]
    assert terminal.getvalue() == ""


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_only_names_that_a_shell_takes_as_they_are_are_offered(double: Double) -> None:
    rows = [{"id": name} for name in (*HOSTILE, "dev-1", "a.b:c", "~x", "a b", "a&b")]
    double.answers["/health/agents"] = (200, {"agents": rows})

    offered = completing.complete_agents(context(double.url), PARAMETER, "")

    plain = {item.value for item in offered}
    assert {"dev-1", "a.b:c"} <= plain
    assert not {name for name in plain if set(name) & set("$`;&|<>()'\"\\ *?[]{}~!#\n\t")}
    assert not {name for name in plain if name.startswith("-") or not name.isascii()}
