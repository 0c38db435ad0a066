"""``preflight``'s checks: what has to be true before trading begins."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ... import __version__
from ..client.rest import Client
from ..errors import Failure
from .check_results import CheckResult, critical, ok, unknown, warning


def preflight(client: Client, expected: Sequence[str]) -> Iterator[CheckResult]:
    """Ask a running daemon; only the first result if it does not answer.

    Args:
        client: Connection to it.
        expected: Ids of agents that have to be up, or ``group:NAME`` for a group's.
    """
    try:
        health = client.get("/health")
    except Failure as failure:
        yield critical("daemon", failure.cause or failure.message, "start it: `orchestrator run`")
        return
    yield _version(health)
    yield from _ready(client)
    yield _stop(client)
    yield from _agents(client, expected)


def _version(health: Mapping[str, Any]) -> CheckResult:
    said = f"{health.get('instance')} ({health.get('env')}), {health.get('version')}"
    if health.get("version") != __version__:
        return warning("daemon", f"{said}; this program is {__version__}", "use the same version")
    return ok("daemon", said)


def _ready(client: Client) -> Iterator[CheckResult]:
    try:
        checks = client.ask("GET", "/ready").body.get("checks") or {}
    except Failure as failure:
        yield unknown("ready", failure.message, failure.advice)
        return
    if not checks:
        yield unknown("ready", "no details without a token", "give one: `--token-file`")
    for name, check in checks.items():
        said = str(check.get("message") or "ok")
        if check.get("ok"):
            yield ok(name, said)
        else:
            yield critical(name, said, "see `orchestrator doctor`")


def _stop(client: Client) -> CheckResult:
    try:
        state = client.get("/risk/killswitch")
    except Failure as failure:
        return critical("trading", failure.message, failure.advice)
    if state.get("status") == "inactive":
        return ok("trading", "no stop is in force")
    said = f"{state.get('status')}: {state.get('reason') or state.get('message') or 'not said'}"
    return critical("trading", said, "see `orchestrator killswitch status`")


def _agents(client: Client, expected: Sequence[str]) -> Iterator[CheckResult]:
    try:
        rows = client.get("/health/agents")["agents"]
    except Failure as failure:
        yield critical("agents", failure.message, failure.advice)
        return
    for name in expected:
        group = name.removeprefix("group:") if name.startswith("group:") else None
        found = [
            row for row in rows if (row["agent_group"] == group if group else row["id"] == name)
        ]
        yield _expected(name, found)
    late = [str(row["id"]) for row in rows if row.get("liveness") == "late"]
    if late:
        yield warning("late agents", ", ".join(late[:5]), "see `orchestrator agent ls`")


def _expected(name: str, rows: Sequence[Mapping[str, Any]]) -> CheckResult:
    bad = [f"{row['id']} is {row.get('liveness')}" for row in rows if row.get("liveness") != "up"]
    if not rows:
        return critical(name, "never heard of", f"`orchestrator doctor agent {name}`")
    if bad:
        return critical(name, ", ".join(bad[:5]), "see `orchestrator agent ls`")
    return ok(name, "up" if len(rows) == 1 else f"{len(rows)} are up")
