"""What a benchmark says: a row with a figure, what it is compared with, and the goal."""

import json
import os
import platform
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).with_name("results")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    """What was measured."""
    value: float
    """The figure; a ratio wherever there is something to compare with in the same run."""
    unit: str
    """``x`` for ratios, else ``ms``, ``lost``, …"""
    goal: float | None = None
    """What it should reach; ``None`` if it is only told."""
    at_most: bool = False
    """Whether the goal is an upper bound."""
    detail: str = ""
    """The figures behind it."""

    @property
    def reached(self) -> bool:
        """Whether the goal is met."""
        if self.goal is None:
            return True
        return self.value <= self.goal if self.at_most else self.value >= self.goal


def progress(text: str) -> None:
    """Say what goes on just now."""
    print(f"· {text}", file=sys.stderr, flush=True)


def print_table(rows: list[Row]) -> None:
    """The table, aligned."""
    width = max(len(row.name) for row in rows)
    for row in rows:
        print(f"{row.name:<{width}}  {_figure(row):>12}  {_goal(row):<14} {row.detail}")


def _figure(row: Row) -> str:
    text = f"{row.value:,.0f}" if row.value >= 1000 else f"{row.value:.3g}"
    return f"{text} {row.unit}"


def _goal(row: Row) -> str:
    if row.goal is None:
        return ""
    sign = "≤" if row.at_most else "≥"
    return f"{sign} {row.goal:g} {'ok' if row.reached else 'MISSED'}"


def save(rows: list[Row]) -> Path:
    """Write the rows as JSON beside the picture; returns the file."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "bench.json"
    machine = {"python": platform.python_version(), "cores": os.cpu_count(), "at": time.time()}
    path.write_text(
        json.dumps(
            {"machine": machine, "rows": [asdict(row) | {"reached": row.reached} for row in rows]},
            indent=1,
        )
    )
    return path
