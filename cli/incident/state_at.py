"""What was so at a moment, from the newest events before it. Pure."""

from collections.abc import Iterable
from typing import Any, Final

from ..client.pages import Event

STOP: Final = "risk.killswitch"
REGIME: Final = "quant.regime.state"
AGENTS: Final = ("agent.online", "agent.offline", "agent.error")
RUNS: Final = ("runtime.started", "runtime.stopping")
TYPES: Final = (STOP, REGIME, *AGENTS, *RUNS)
"""Types that tell of a state."""


def state_at(newest: Iterable[Event]) -> dict[str, Any]:
    """The state that events tell of.

    Args:
        newest: Of `TYPES`, up to the moment, newest first.

    Returns:
        ``killswitch``, ``regime`` and ``daemon``: the event that tells it, ``None`` if there is
        none; ``agents``: by id, each one's newest change.
    """
    state: dict[str, Any] = {"killswitch": None, "regime": None, "daemon": None, "agents": {}}
    for event in newest:
        kind = str(event.get("type"))
        if kind in AGENTS:
            agent = _agent(event)
            state["agents"].setdefault(agent["id"], agent)
        else:
            name = "killswitch" if kind == STOP else "regime" if kind == REGIME else "daemon"
            state[name] = state[name] or event
    return state


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, str, str]]:
    """What is not the same: what it is, before, after; in words."""
    rows = [(name, words(before[name]), words(after[name])) for name in ("killswitch", "regime")]
    rows.append(("daemon", words(before["daemon"]), words(after["daemon"])))
    for agent_id in sorted({*before["agents"], *after["agents"]}):
        was, became = (side["agents"].get(agent_id, {}) for side in (before, after))
        row = (f"agent {agent_id}", str(was.get("state", "")), str(became.get("state", "")))
        rows.append(row)
    return [row for row in rows if row[1] != row[2]]


def words(event: Event | None) -> str:
    """One line of what an event says of a state."""
    if event is None:
        return "not known"
    payload = event.get("payload")
    fields = payload if isinstance(payload, dict) else {}
    if event.get("type") == STOP:
        stopped = fields.get("enabled") is not False
        said = f"stopped by {fields.get('triggered_by')}: {fields.get('reason')}"
        return said if stopped else "no stop in force"
    if event.get("type") == REGIME:
        return f"{fields.get('regime')} / {fields.get('trend')}"
    return str(event.get("type")).partition(".")[2]


def _agent(event: Event) -> dict[str, Any]:
    payload = event.get("payload")
    fields = payload if isinstance(payload, dict) else {}
    return {
        "id": str(fields.get("id") or event.get("source") or "?"),
        "state": str(event["type"]).partition(".")[2],
        "reason": fields.get("reason"),
        "since": event.get("ts"),
        "event": event.get("id"),
    }
