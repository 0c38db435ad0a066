"""The table as an SVG: how far each figure is from its goal, on a logarithmic scale."""

import math
from html import escape
from pathlib import Path

from .report import RESULTS, Row

LINE = 30
LEFT = 360
WIDTH = 980
DECADES = 1.5


def draw(rows: list[Row]) -> Path:
    """One bar a row that has a goal; right of the middle line is better than it."""
    shown = [row for row in rows if row.goal is not None]
    height = LINE * (len(shown) + 2)
    middle = LEFT + (WIDTH - LEFT - 120) / 2
    bars = "".join(_bar(row, index, middle) for index, row in enumerate(shown))
    path = RESULTS / "bench.svg"
    RESULTS.mkdir(exist_ok=True)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        'font-family="system-ui,sans-serif" font-size="13">'
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>'
        f'<line x1="{middle}" x2="{middle}" y1="20" y2="{height - 20}" stroke="#888"/>'
        f'<text x="{middle}" y="14" text-anchor="middle" fill="#555">goal</text>{bars}</svg>\n'
    )
    return path


def _bar(row: Row, index: int, middle: float) -> str:
    y = LINE * (index + 1)
    length = _length(row) * (WIDTH - LEFT - 120) / 2 / DECADES
    colour = "#2a7d4f" if row.reached else "#b3261e"
    start, size = (middle, length) if length >= 0 else (middle + length, -length)
    sign = "≤" if row.at_most else "≥"
    label = f"{row.value:.3g} {row.unit} ({sign} {row.goal:g})"
    return (
        f'<text x="{LEFT - 10}" y="{y + 15}" text-anchor="end">{escape(row.name)}</text>'
        f'<rect x="{start:.1f}" y="{y + 3}" width="{max(size, 2):.1f}" height="16" rx="2" '
        f'fill="{colour}"/>'
        f'<text x="{WIDTH - 6}" y="{y + 15}" text-anchor="end" fill="#333">{escape(label)}</text>'
    )


def _length(row: Row) -> float:
    """Decades better than the goal, cut at the picture's edge; nothing lost is best."""
    assert row.goal is not None
    if row.value <= 0 or row.goal <= 0:
        return DECADES if row.reached else -DECADES
    ratio = row.goal / row.value if row.at_most else row.value / row.goal
    return max(-DECADES, min(DECADES, math.log10(ratio)))
