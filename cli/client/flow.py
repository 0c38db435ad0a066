"""How much comes in, and how far the database is behind: read off the daemon's own figures."""

import re
from typing import TypedDict

from ..errors import ExitCode, Failure
from .rest import Client


class Flow(TypedDict):
    """Figures; None: not known."""

    per_second: float | None
    """Events stored a second, over the last minutes."""
    behind_events: float | None
    """Events that PostgreSQL does not have yet."""
    behind_seconds: float | None
    """Age of the oldest of them."""


def flow_of(client: Client) -> Flow:
    """Ask for all; what fails is not known.

    Raises:
        Failure: the caller may not see them.
    """
    try:
        metrics = client.text("/metrics")
    except Failure as failure:
        metrics = _unless_forbidden(failure)
    return {
        "per_second": _per_second(client),
        "behind_events": figure(metrics, "orchestrator_journal_events"),
        "behind_seconds": figure(metrics, "orchestrator_persist_behind_seconds"),
    }


def figure(metrics: str, name: str) -> float | None:
    """A metric without labels in Prometheus's text; None: it is not there."""
    line = re.search(rf"^{re.escape(name)} (\S+)$", metrics, re.MULTILINE)
    try:
        return None if line is None else float(line[1])
    except ValueError:
        return None


def _per_second(client: Client) -> float | None:
    try:
        rows = client.get("/bus/types").get("types")
    except Failure as failure:
        _unless_forbidden(failure)
        return None
    if not isinstance(rows, list):
        return None
    rates = [row.get("per_minute") for row in rows]
    known = [float(rate) for rate in rates if isinstance(rate, int | float)]
    return sum(known) / 60.0 if len(known) == len(rates) else None


def _unless_forbidden(failure: Failure) -> str:
    if failure.exit_code == ExitCode.FORBIDDEN:
        raise failure
    return ""
