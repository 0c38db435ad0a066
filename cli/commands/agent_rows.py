"""Agents as the daemon lists them: their state in a word, their order, their columns."""

from collections.abc import Iterable
from typing import Any

from ..formatting import duration
from ..output import Column, Row, Screen

# Trouble comes first.
_ORDER = {"down": 0, "late": 1, "unknown": 2, "up": 3}


def agent_state(row: Row) -> str:
    """One word: its own status if that is bad, else its liveness."""
    liveness = str(row.get("liveness") or ("up" if row.get("is_alive") else "down"))
    status = str(row.get("status") or "")
    return status if status in ("error", "halted") and liveness != "down" else liveness


def show_beat(row: Row, screen: Screen) -> str:
    """How long ago it beat."""
    return screen.age(row.get("last_beat"), row.get("seconds_since_beat"))


def show_interval(row: Row, _: Screen) -> str:
    """How often it beats."""
    every_s = row.get("interval_s")
    return duration(every_s) if isinstance(every_s, int | float) else "-"


def _notes(row: Row) -> str:
    """Its last error, and what its id holds that looks like another."""
    id_note = row.get("id_note")
    several = row.get("instances") or 1
    notes = [
        several > 1 and f"{several} processes beat under this id",
        row.get("last_error"),
        id_note and f"its id {id_note}",
    ]
    return "; ".join(str(note) for note in notes if note) or "-"


AGENT_COLUMNS = (
    Column("STATE", "state", lambda row, _: agent_state(row), state=True),
    Column("ID", "id"),
    Column("GROUP", "agent_group"),
    Column("KIND", "kind"),
    Column("BEAT", "last_beat", show_beat, right=True),
    Column("EVERY", "interval_s", show_interval, right=True, wide=True),
    Column("STATUS", "status", wide=True),
    Column("VERSION", "version", wide=True),
    Column("NAME", "name", wide=True),
    Column("NOTE", "last_error", lambda row, _: _notes(row), shrinks=True),
)


def in_order(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Trouble first, then by id."""
    return sorted(rows, key=lambda row: (_ORDER.get(agent_state(row), 0), str(row.get("id"))))
