"""``status``: an operator's questions, in their usual order."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from ...protocol.printable import printable
from ..client.flow import flow_of
from ..client.rest import Client
from ..errors import ExitCode, Failure
from ..formatting import duration, plural, uptime
from ..options import Invocation, command, env_styled, pass_invocation
from ..output import JSON_VERSION, Screen
from .agent_rows import agent_state
from .state import regime_lines

SELFTEST = "selftest"
"""The group of the self-test's own agent, which is not counted."""
NEEDED = ("bus", "agents", "db", "killswitch")
"""What `--check` asks."""
NAMED = 4
"""Number of agents in trouble to name; `agent ls` lists all."""
_LABEL_CHARS = 9
_USUAL = ("up", "late", "down")

Parts = dict[str, dict[str, Any] | None]


@command(
    "status",
    examples="""
        orc status
        orc status -o json | jq .killswitch.status
        orc status --check > /dev/null || echo "look at it"
    """,
)
@click.option("--check", is_flag=True, help="Exit code 1 for a warning, 2 if critical or unknown.")
@pass_invocation
def status_command(invocation: Invocation, *, check: bool) -> int:
    """Show an overview in six lines.

    Is trading allowed, is the information current, is an agent missing, what is the regime?
    """
    screen = invocation.screen
    with Client.of(invocation) as client:
        answer = client.ask("GET", "/health")
        parts: Parts = {
            "health": answer.body,
            "ready": _ready(client),
            "killswitch": _part(client, "/risk/killswitch"),
            "regime": _part(client, "/regime/state"),
            "agents": _part(client, "/health/agents"),
            "flow": dict(flow_of(client)),
        }
        code = _verdict(client) if check else ExitCode.DONE
    link_ms = answer.elapsed_s * 1_000
    if screen.output == "json":
        screen.json({"version": JSON_VERSION, "kind": "status", "link_ms": link_ms, **parts})
        return code
    row = {**parts, "instance": answer.body.get("instance"), "link_ms": link_ms}
    screen.record("status", row, lambda: _lines(parts, answer.elapsed_s, screen), "instance")
    return code


def _verdict(client: Client) -> int:
    """As `check` says of what trading needs; what is unknown is as bad as what is down."""
    from .check import checked_of, worst_of

    worst = worst_of([checked_of(client, name) for name in NEEDED])
    return min(int(worst), int(ExitCode.USAGE))


def _part(client: Client, path: str) -> dict[str, Any] | None:
    """One answer; None if it fails, so that the others are shown."""
    try:
        return client.get(path)
    except Failure as failure:
        if failure.exit_code == ExitCode.FORBIDDEN:
            raise
        return None


def _ready(client: Client) -> dict[str, Any] | None:
    """Readiness; a 503 is an answer too."""
    body = client.ask("GET", "/ready").body
    return body if isinstance(body.get("checks"), dict) else None


def _lines(parts: Parts, link_s: float, screen: Screen) -> list[str]:
    rows: list[tuple[str, Callable[[], str]]] = [
        ("TRADING", lambda: trading_words(parts, screen)),
        ("REGIME", lambda: _regime(parts["regime"], screen)),
        ("AGENTS", lambda: _agents(parts["agents"], screen)),
        ("BUS", lambda: _bus(parts, screen)),
        ("STORE", lambda: _store(parts, screen)),
        ("ACTORS", lambda: _check("", _checks(parts).get("actors"), screen)),
    ]
    body = [f"{screen.strong(f'{label:<{_LABEL_CHARS}}')}{text()}" for label, text in rows]
    return [head_words(parts["health"] or {}, link_s, screen), *body]


def head_words(health: Mapping[str, Any], link_s: float, screen: Screen) -> str:
    """``desk-a  LIVE   up 3 d   2.1.0   link ok 4 ms   2 live clients``."""
    name = printable(str(health.get("instance") or "orchestrator"))
    env = printable(str(health.get("env") or ""))
    up = health.get("uptime_seconds")
    facts = [
        f"{screen.strong(name)}  {env_styled(env)}",
        f"up {uptime(up)}" if isinstance(up, int | float) else "",
        str(health.get("version") or ""),
        f"link {screen.state('ok')} {duration(link_s)}",
        plural(health["websocket_clients"], "live client") if "websocket_clients" in health else "",
    ]
    return "   ".join(fact for fact in facts if fact)


def trading_words(parts: Parts, screen: Screen) -> str:
    """Whether trading is allowed, by ``killswitch`` and ``ready``; what is not known, as such."""
    state = parts["killswitch"]
    status = (state or {}).get("status")
    if state is None or status not in ("active", "inactive"):
        said = printable(str((state or {}).get("message") or "agents treat this as a stop"))
        return f"{screen.state('unknown')}   {said}"
    bus_ok = (_checks(parts).get("redis") or {}).get("ok")
    if status == "inactive" and bus_ok is False:
        return "no stop in force, but the bus is down: agents with a gate that get no permit halt"
    if status == "inactive" and bus_ok is None:
        return "no stop in force; whether the bus works is not known"
    if status == "inactive":
        return f"{screen.state('allowed')} everywhere   {drill_words(state, screen)}".rstrip()
    by = printable(str(state.get("triggered_by") or "unknown"))
    when = screen.age(state.get("last_triggered"))
    reason = printable(str(state.get("reason") or ""))
    return f"{_stop_words(state, screen)}   since {when} by {by}: {reason}"


def _stop_words(state: Mapping[str, Any], screen: Screen) -> str:
    """``HALT for all``, or ``REDUCE for group:execution``: the strictest level, and where."""
    trips = state.get("trips") or []
    halts = [trip for trip in trips if trip.get("level") != "reduce"]
    strictest = halts or trips
    scopes = ", ".join(sorted({printable(str(trip.get("scope") or "all")) for trip in strictest}))
    word = screen.state("REDUCE" if trips and not halts else "HALT")
    return f"{word} for {scopes}" if scopes else word


def drill_words(state: Mapping[str, Any], screen: Screen) -> str:
    """``last drill 6 d ago, slowest 0.41 s``, or ``last drill never``."""
    if "drill" not in state:  # a daemon of before
        return ""
    drill = state["drill"]
    if not isinstance(drill, dict):
        return "last drill never"
    age = screen.age(drill.get("at"))
    when = f"{age} ago" if screen.terminal and screen.time not in ("iso", "local") else age
    slowest_ms, missed = drill.get("slowest_ms"), drill.get("missed")
    slowest = f", slowest {duration(slowest_ms / 1_000)}" if slowest_ms is not None else ""
    return f"last drill {when}{slowest}{f', {missed} did not answer' if missed else ''}"


def _regime(answer: Mapping[str, Any] | None, screen: Screen) -> str:
    if answer is None:
        return screen.state("unknown")
    return regime_lines(answer.get("regime") or {}, screen)[0]


def _agents(answer: Mapping[str, Any] | None, screen: Screen) -> str:
    if answer is None:
        return screen.state("unknown")
    rows = [row for row in answer["agents"] if row.get("agent_group") != SELFTEST]
    states = [agent_state(row) for row in rows]
    others = sorted(set(states) - set(_USUAL))
    counts = [_count(states, state, screen) for state in (*_USUAL, *others)]
    bad = [
        f"{printable(str(row['id']))} {state}"
        for row, state in zip(rows, states, strict=True)
        if state != "up"
    ]
    more = f" and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
    return "   ".join([*counts, f"{', '.join(bad[:NAMED])}{more}" if bad else ""]).rstrip()


def _count(states: Sequence[str], state: str, screen: Screen) -> str:
    count = states.count(state)
    return f"{count} {screen.state(state) if count else state}"


def _checks(parts: Parts) -> Mapping[str, Any]:
    return (parts["ready"] or {}).get("checks") or {}


def _bus(parts: Parts, screen: Screen) -> str:
    """``Redis ok 2 ms   1 204 msg/s``."""
    redis = _check("Redis", _checks(parts).get("redis"), screen)
    rate = (parts["flow"] or {}).get("per_second")
    said = "rate unknown" if rate is None else f"{screen.number(round(rate, 1))} msg/s"
    return f"{redis}   {said}"


def _behind(parts: Parts, screen: Screen) -> str:
    """``12 events, 0.2 s behind``: what PostgreSQL does not have yet."""
    flow = parts["flow"] or {}
    events, seconds = flow.get("behind_events"), flow.get("behind_seconds")
    if events is None:
        return "behind by unknown"
    if not events:
        return "nothing behind"
    count = "1 event" if events == 1 else f"{screen.number(int(events))} events"
    return f"{count}{'' if seconds is None else f', {duration(seconds)}'} behind"


def _store(parts: Parts, screen: Screen) -> str:
    checks = _checks(parts)
    postgres = _check("PostgreSQL", checks.get("postgres"), screen)
    journal = _check("journal", checks.get("journal"), screen)
    return f"{postgres}   {journal}   {_behind(parts, screen)}"


def _check(title: str, check: Mapping[str, Any] | None, screen: Screen) -> str:
    """``Redis ok 2 ms``, or what is wrong."""
    head = f"{title} " if title else ""
    if not check or "ok" not in check:
        return f"{head}{screen.state('unknown')}"
    message = printable(str(check.get("message") or ""))
    if not check["ok"]:
        return f"{head}{screen.state('down')} {message}".rstrip()
    latency_ms = check.get("latency_ms")
    took = f" {duration(latency_ms / 1_000)}" if isinstance(latency_ms, int | float) else ""
    said = f"  {message}" if message and message != "ok" else ""
    return f"{head}{screen.state('ok')}{took}{said}"
