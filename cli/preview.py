"""One line that says what is in an event. Pure."""

import json
import re
from collections.abc import Mapping
from typing import Any

from .formatting import printable

MAX_CHARS = 200
# What tells who and when stands in other columns; the rest is for machines.
_ELSEWHERE = frozenset(
    {"agent_id", "source", "timestamp", "seq", "boot", "correlation_id", "causation_id"}
    | {"traceparent", "parameters", "symbol_details", "pid", "type"}
)
# A heartbeat has many counters; `agent show` has them all.
_OF_BEATS = ("status", "group", "version", "error", "last_error")
# These say enough without their names, in this order.
_BARE = ("symbol", "status", "regime", "trend", "strategy", "action", "reason", "title")


def preview(event_type: str, payload: object) -> str:
    """The most telling fields: ``AAPL momentum BUY score=0.91``."""
    if event_type == "risk.killswitch":
        return _killswitch(payload)
    if event_type == "heartbeat" and isinstance(payload, Mapping):
        payload = {key: payload[key] for key in _OF_BEATS if payload.get(key)}
    if not isinstance(payload, Mapping):
        return _short(json.dumps(payload, ensure_ascii=False))
    bare = [str(payload[key]) for key in _BARE if isinstance(payload.get(key), str)]
    rest = [
        f"{key}={_value(value)}"
        for key, value in payload.items()
        if key not in _ELSEWHERE and not (key in _BARE and isinstance(value, str))
    ]
    return _short(" ".join([*bare, *rest]))


def _killswitch(payload: object) -> str:
    fields: Mapping[str, Any] = payload if isinstance(payload, Mapping) else {}
    released = fields.get("enabled") is False
    by = f" by {fields['triggered_by']}" if fields.get("triggered_by") else ""
    head = "RELEASED" if released else "HALT"
    return _short(f"{head}{by}: {fields.get('reason') or 'no reason given'}")


def _value(value: object) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False) if re.search(r"\s", value) else value
    if isinstance(value, float):
        return f"{value:.6g}"
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _short(text: str) -> str:
    text = printable(text)
    return text if len(text) <= MAX_CHARS else text[: MAX_CHARS - 1] + "…"
