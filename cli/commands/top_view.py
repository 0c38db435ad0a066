"""What `top` shows: agents or topics, in which order, through which filter. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from ..formatting import plural
from ..output import Column, Row
from .agent_rows import AGENT_COLUMNS, agent_state, in_order
from .event import TOPIC_COLUMNS

AGENT_ORDERS: Final = ("trouble", "id", "group", "beat")
TOPIC_ORDERS: Final = ("rate", "count", "type")
MAX_FILTER_CHARS: Final = 60
_ENTER, _ESCAPE, _BACK = "\r\n", "\x1b", "\x7f\b"


@dataclass(frozen=True)
class View:
    """What the keys have chosen."""

    topics: bool = False
    """Topics rather than agents."""
    order: int = 0
    """Number of the order; it goes round."""
    text: str = ""
    """Only rows that have this in them."""
    entering: bool = False
    """The next keys are the filter's."""
    frozen: bool = False
    """The picture stays."""

    @property
    def order_name(self) -> str:
        """Of `AGENT_ORDERS` or `TOPIC_ORDERS`."""
        orders = TOPIC_ORDERS if self.topics else AGENT_ORDERS
        return orders[self.order % len(orders)]

    def words(self, count: int | None) -> str:
        """The line below the table; None: what is shown has not been read yet."""
        name = "topic" if self.topics else "agent"
        what = f"{name}s not read yet," if count is None else plural(count, name)
        through = f", filter {self.text!r}" if self.text else ""
        frozen = ", frozen" if self.frozen else ""
        if self.entering:
            return f"filter: {self.text}_"
        return f"{what} by {self.order_name}{through}{frozen}   t s f space q"


def pressed(view: View, key: str) -> View | None:
    """The view after a key; None: the end. Keys without a meaning change nothing."""
    if view.entering:
        return _entered(view, key)
    changes: dict[str, dict[str, Any]] = {
        "t": {"topics": not view.topics, "order": 0},
        "s": {"order": view.order + 1},
        "f": {"entering": True},
        "/": {"entering": True},
        " ": {"frozen": not view.frozen},
        _ESCAPE: {"text": ""},
    }
    return None if key == "q" else replace(view, **changes.get(key, {}))


def _entered(view: View, key: str) -> View:
    if key in _ENTER:
        return replace(view, entering=False)
    if key == _ESCAPE:
        return replace(view, entering=False, text="")
    if key in _BACK:
        return replace(view, text=view.text[:-1])
    if key.isprintable() and len(view.text) < MAX_FILTER_CHARS:
        return replace(view, text=view.text + key)
    return view


def shown(view: View, data: Mapping[str, Any]) -> tuple[list[Row], Sequence[Column], str]:
    """Rows in their order, their columns, and the field that names one."""
    columns: Sequence[Column] = TOPIC_COLUMNS if view.topics else AGENT_COLUMNS
    name = "type" if view.topics else "id"
    rows = _topics(view, data["topics"] or ()) if view.topics else _agents(view, data["agents"])
    wanted = view.text.lower()
    return [row for row in rows if wanted in _searched(row, topics=view.topics)], columns, name


def _searched(row: Row, *, topics: bool) -> str:
    if topics:
        return str(row.get("type")).lower()
    return " ".join([agent_state(row), str(row.get("id")), str(row.get("agent_group"))]).lower()


def _agents(view: View, rows: Sequence[dict[str, Any]]) -> list[Row]:
    ordered: list[dict[str, Any]] = in_order(rows)
    if view.order_name == "id":
        ordered.sort(key=lambda row: str(row.get("id")))
    if view.order_name == "group":
        ordered.sort(key=lambda row: str(row.get("agent_group")))
    if view.order_name == "beat":
        ordered.sort(key=lambda row: -_number(row.get("seconds_since_beat")))
    return list(ordered)


def _topics(view: View, rows: Sequence[dict[str, Any]]) -> list[Row]:
    if view.order_name == "type":
        return sorted(rows, key=lambda row: str(row.get("type")))
    key = "per_minute" if view.order_name == "rate" else "count"
    return sorted(rows, key=lambda row: -_number(row.get(key)))


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
