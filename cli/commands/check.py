"""``check``: one question for a monitoring system, answered by exit code, line or metric."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, Final

import click

from ...protocol.printable import printable
from ..client.rest import Client
from ..errors import Failure
from ..formatting import duration, read_iso
from ..options import Invocation, command, pass_invocation
from ..output import JSON_VERSION
from .agent_rows import agent_state
from .status import SELFTEST

REGIME_S = (300.0, 900.0)
"""Age of the regime: warning, critical."""
DRILL_S = (30 * 86_400.0, 90 * 86_400.0)
"""Age of the last drill: warning, critical."""
NAMED = 4
"""Agents in trouble to name."""


class State(IntEnum):
    """Nagios's states; also the exit codes."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


_WORST_FIRST = (State.CRITICAL, State.UNKNOWN, State.WARNING, State.OK)


@dataclass(frozen=True)
class Checked:
    """The answer to one question."""

    state: State
    text: str
    """One line."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """For graphs; ages in seconds, times in milliseconds."""


def _bus(client: Client) -> Checked:
    return _part(client, "redis")


def _db(client: Client) -> Checked:
    found = [_part(client, "postgres"), _part(client, "journal")]
    figures = {name: value for one in found for name, value in one.figures.items()}
    return Checked(worst_of(found), "; ".join(one.text for one in found), figures)


def _part(client: Client, name: str) -> Checked:
    """One part of ``/ready``, whose 503 is an answer too."""
    checks = client.ask("GET", "/ready").body.get("checks")
    part = checks.get(name) if isinstance(checks, dict) else None
    if not isinstance(part, dict) or not isinstance(part.get("ok"), bool):
        return Checked(State.UNKNOWN, f"{name} unknown")
    said = str(part.get("message") or "")
    text = f"{name} {'ok' if part['ok'] else 'down'}" + (
        f": {said}" if said not in ("", "ok") else ""
    )
    latency_ms = part.get("latency_ms")
    figures = {f"{name}_ms": latency_ms} if isinstance(latency_ms, int | float) else {}
    return Checked(State.OK if part["ok"] else State.CRITICAL, text, figures)


_AGENT_STATES = {
    "up": State.OK,
    "stopped": State.OK,
    "late": State.WARNING,
    "halted": State.WARNING,
    "unknown": State.UNKNOWN,
}


REMOVED: Final = "removed"
"""The kind of an agent that was taken out of the settings: it is not missed."""


def _agents(client: Client) -> Checked:
    agents = client.get("/health/agents")["agents"]
    rows = [
        row for row in agents if row.get("agent_group") != SELFTEST and row.get("kind") != REMOVED
    ]
    states = [agent_state(row) for row in rows]
    bad = [
        f"{row['id']} {state}"
        for row, state in zip(rows, states, strict=True)
        if _AGENT_STATES.get(state, State.CRITICAL) is not State.OK
    ]
    worst = [Checked(_AGENT_STATES.get(state, State.CRITICAL), "") for state in states]
    figures: dict[str, float] = {name: states.count(name) for name in ("up", "late", "down")}
    ages = [row["seconds_since_beat"] for row in rows if row.get("seconds_since_beat") is not None]
    figures["oldest_beat_s"] = max(ages, default=0)
    more = f" and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
    text = ", ".join(bad[:NAMED]) + more if bad else f"{states.count('up')} agents up"
    return Checked(
        worst_of(worst) if rows else State.UNKNOWN, text if rows else "no agent", figures
    )


def _regime(client: Client) -> Checked:
    regime = client.get("/regime/state").get("regime")
    if not isinstance(regime, dict):
        return Checked(State.UNKNOWN, "no regime has been reported")
    when = regime.get("last_update") or regime.get("timestamp")
    return _aged(str(regime.get("regime")), when, REGIME_S)


def _killswitch(client: Client) -> Checked:
    state = client.get("/risk/killswitch")
    if state.get("status") == "inactive":
        return Checked(State.OK, "trading allowed everywhere")
    if state.get("status") != "active":
        return Checked(State.UNKNOWN, "the stop is unknown; agents treat this as one")
    levels = {str(trip.get("level")) for trip in state.get("trips") or []}
    is_reduced = levels == {"reduce"}
    text = f"{'reduced' if is_reduced else 'halted'}: {state.get('reason') or 'no reason given'}"
    return Checked(State.WARNING if is_reduced else State.CRITICAL, text)


def _drill_age(client: Client) -> Checked:
    drill = client.get("/risk/killswitch").get("drill")
    if not isinstance(drill, dict):
        return Checked(State.WARNING, "the stop was never drilled")
    found = _aged("last drill", drill.get("at"), DRILL_S)
    if drill.get("missed") and found.state is State.OK:
        return Checked(
            State.WARNING, f"{found.text}, {drill['missed']} did not answer", found.figures
        )
    return found


def _aged(name: str, when: object, limits_s: tuple[float, float]) -> Checked:
    moment = read_iso(when)
    if moment is None:
        return Checked(State.UNKNOWN, f"{name}, of an unknown time")
    age_s = max(0.0, (datetime.now(UTC) - moment).total_seconds())
    state = State(sum(age_s >= limit_s for limit_s in limits_s))
    return Checked(state, f"{name}, {duration(age_s)} ago", {"age_s": round(age_s, 1)})


CHECKS: dict[str, Callable[[Client], Checked]] = {
    "bus": _bus,
    "agents": _agents,
    "db": _db,
    "regime": _regime,
    "killswitch": _killswitch,
    "drill-age": _drill_age,
}


@command(
    "check",
    examples="""
        orc check
        orc check agents
        orc check all --format prometheus > /var/lib/node_exporter/orchestrator.prom
    """,
)
@click.argument("what", type=click.Choice(["all", *CHECKS]), default="all")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["nagios", "prometheus", "json"]),
    default="nagios",
    show_default=True,
    help="One line with figures, metrics, or an object.",
)
@pass_invocation
def check_command(invocation: Invocation, *, what: str, kind: str) -> int:
    """Check a running daemon, for a monitoring system.

    Exit codes as Nagios has them: 0 ok, 1 warning, 2 critical, 3 unknown (also if the daemon does
    not answer or refuses). The regime is old after 5 minutes (critical: 15), a drill after 30 days
    (critical: 90).
    """
    names = list(CHECKS) if what == "all" else [what]
    with Client.of(invocation) as client:
        found = {name: checked_of(client, name) for name in names}
    worst = worst_of(list(found.values()))
    if kind == "json" or invocation.screen.output == "json":
        invocation.screen.json(_document(worst, found))
    else:
        lines = _metrics(found) if kind == "prometheus" else _nagios(worst, found)
        for line in lines:
            invocation.screen.line(line)
    return int(worst)


def checked_of(client: Client, name: str) -> Checked:
    """One check; whatever keeps it from being answered is unknown, not good."""
    try:
        return CHECKS[name](client)
    except Failure as failure:
        cause = f": {failure.cause}" if failure.cause else ""
        return Checked(State.UNKNOWN, f"{failure.message}{cause}")


def worst_of(found: list[Checked]) -> State:
    """The worst state; unknown is worse than a warning. OK of none."""
    states = {one.state for one in found}
    return next((state for state in _WORST_FIRST if state in states), State.OK)


def _nagios(worst: State, found: Mapping[str, Checked]) -> list[str]:
    """The worst one's line with the figures of all, then (of several) a line each."""
    bad = next(name for name, one in found.items() if one.state is worst)
    figures = {
        (label if len(found) == 1 else f"{name}_{label}"): value
        for name, one in found.items()
        for label, value in one.figures.items()
    }
    values = " ".join(f"{label}={value:g}" for label, value in figures.items())
    said = found[bad].text if len(found) == 1 or worst is not State.OK else f"{len(found)} checks"
    first = f"{worst.name}: {_plain(said)}" + (f" | {values}" if values else "")
    more = [f"{name} {one.state.name}: {_plain(one.text)}" for name, one in found.items()]
    return [first, *(more if len(found) > 1 else [])]


def _plain(text: str) -> str:
    """Text that ends no line and begins no figures."""
    return printable(text).replace("|", "/")


def _metrics(found: Mapping[str, Checked]) -> list[str]:
    """Prometheus's text format."""
    lines = ["# TYPE orchestrator_check_state gauge"]
    lines += [
        f'orchestrator_check_state{{check="{name}"}} {one.state:d}' for name, one in found.items()
    ]
    lines.append("# TYPE orchestrator_check_value gauge")
    lines += [
        f'orchestrator_check_value{{check="{name}",value="{label}"}} {value:g}'
        for name, one in found.items()
        for label, value in one.figures.items()
    ]
    return lines


def _document(worst: State, found: Mapping[str, Checked]) -> dict[str, Any]:
    checks = [
        {"check": name, "state": one.state.name, "text": one.text, "figures": dict(one.figures)}
        for name, one in found.items()
    ]
    return {"version": JSON_VERSION, "kind": "check", "state": worst.name, "checks": checks}
