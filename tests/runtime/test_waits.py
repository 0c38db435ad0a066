"""Nothing waits for an answer for ever, and no interval hangs on the wall clock."""

import ast
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from orchestrator.runtime import (
    Actor,
    Address,
    AskTimeout,
    ChildSpec,
    GetTree,
    RestartLimits,
    Supervisor,
    start_actor,
    stop_actor,
)
from quiet_clock import quiet_s

ROOT = Path(__file__).resolve().parents[2]
# cli's `ask` is an HTTP request, which has a limit of its own.
ROOMS = ("runtime", "actors", "http", "sql", ".")
# `window.ask` answers from memory, at once.
NO_WAITS = {"window"}


def sources(*rooms: str) -> Iterator[tuple[Path, ast.Module]]:
    for room in rooms:
        for path in sorted((ROOT / room).glob("*.py")):
            yield path, ast.parse(path.read_text())


def calls(tree: ast.AST) -> Iterator[tuple[ast.Call, str, str]]:
    """Each call of a method: the call, what it is called on, and its name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node, ast.unparse(node.func.value), node.func.attr


def test_no_question_is_asked_without_a_limit() -> None:
    unlimited = [
        f"{path.name}:{call.lineno}"
        for path, tree in sources(*ROOMS)
        for call, owner, method in calls(tree)
        if method == "ask"
        and owner.split(".")[-1] not in NO_WAITS
        and "timeout_s" not in {keyword.arg for keyword in call.keywords}
    ]

    assert unlimited == []


def test_no_future_and_no_reply_is_waited_for_without_a_limit() -> None:
    unlimited = [
        f"{path.name}:{call.lineno}"
        for path, tree in sources("runtime", "actors", "http", ".")
        for call, owner, method in calls(tree)
        if method == "get" and "future" in owner.lower() and not call.keywords
    ]

    assert unlimited == []


def test_the_runtime_computes_no_interval_from_the_wall_clock() -> None:
    found = [
        f"{path.name}:{node.lineno}"
        for path, tree in sources("runtime")
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare)
        or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub))
        if any((owner, method) == ("time", "time") for _call, owner, method in calls(node))
    ]

    assert found == []


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0])
def test_a_jump_of_the_clock_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    """Timers, limits, hangs, backoff: all go on as if nothing had been."""

    class Doer(Actor):
        def on_receive(self, message: Any) -> Any:
            return message(self) if callable(message) else message

    spec = ChildSpec(Address("a"), Doer)
    limits = RestartLimits(intensity=3, period_s=60, backoff_initial_s=0.05)
    supervisor = Supervisor([spec], limits=limits, hang_timeout_s=0.5)
    root = start_actor(supervisor)
    ticks: list[float] = []
    spec.address.ask(
        lambda doer: doer.every(0.05, lambda: ticks.append(time.monotonic())), timeout_s=1
    )
    real = time.time

    monkeypatch.setattr(time, "time", lambda: real() + jump_s)
    begin = quiet_s()
    with pytest.raises(AskTimeout):
        spec.address.ask(lambda _doer: gevent.sleep(0.2), timeout_s=0.05)
    waited_s = quiet_s() - begin
    gevent.sleep(0.5)
    row = root.ask(GetTree(), timeout_s=1)[0]

    assert waited_s < 0.2
    assert row["restarts"] == 0
    assert 5 <= len(ticks) <= 20
    assert 0 < row["uptime_seconds"] < 10
    stop_actor(supervisor)
