"""Text for people: numbers, durations, times, one-line summaries of events. Pure."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from ..protocol.printable import printable

THIN_SPACE = "\u2009"

_UNITS_S = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d|w)")
# Upper limit in seconds, the unit in seconds, its name, decimals. Limits lie where rounding would
# show one digit too many.
_STEPS = (
    (0.9995, 0.001, "ms", 0),
    (9.95, 1, "s", 1),
    (99.5, 1, "s", 0),
    (99.5 * 60, 60, "m", 0),
    (47.5 * 3_600, 3_600, "h", 0),
)
_MINUTE_S = 60
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")

SUMMARY_CHARS = 200
# Shown in other columns, or of no use to a reader.
_NOT_SHOWN = frozenset(
    {"agent_id", "source", "timestamp", "seq", "boot", "correlation_id", "causation_id"}
    | {"traceparent", "parameters", "symbol_details", "pid", "type"}
)
# A heartbeat has many counters; `agent show` lists them all.
_HEARTBEAT_FIELDS = ("status", "group", "version", "error", "last_error")
# Shown without their names, in this order.
_UNNAMED = ("symbol", "status", "regime", "trend", "strategy", "action", "reason", "title")


def duration(seconds: float) -> str:
    """One unit, three digits at most: ``31 ms``, ``7.4 s``, ``41 s``, ``4 m``, ``3 h``, ``6 d``."""
    for below_s, unit_s, unit, digits in _STEPS:
        if seconds < below_s:
            text = f"{max(0.0, seconds) / unit_s:.{digits}f}"
            return f"{text.removesuffix('.0')} {unit}"
    return f"{seconds / 86_400:.0f} d"


def uptime(seconds: float) -> str:
    """``12 s``, ``04:12`` (hours and minutes) or ``3d 04:12``."""
    if seconds < _MINUTE_S:
        return duration(seconds)
    days, rest = divmod(int(seconds), 86_400)
    clock = f"{rest // 3_600:02}:{rest % 3_600 // 60:02}"
    return f"{days}d {clock}" if days else clock


def number(value: float, *, thin: bool) -> str:
    """Digits, with thin spaces between groups of three for people."""
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"
    return text.replace(",", THIN_SPACE if thin else "")


def read_duration(text: str) -> float | None:
    """Seconds of ``500ms``, ``30s``, ``15m``, ``2h``, ``1h30m``; None if it is not a duration."""
    compact = text.strip().lower()
    parts = _DURATION.findall(compact)
    if not parts or _DURATION.sub("", compact).strip():
        return None
    return sum(float(amount) * _UNITS_S[unit] for amount, unit in parts)


def read_moment(text: str, now: datetime) -> datetime | None:
    """A time: a duration before now, ``09:30`` (UTC, the last one), or ISO 8601 (UTC if bare)."""
    ago_s = read_duration(text)
    if ago_s is not None:
        return now - timedelta(seconds=ago_s)
    if clock := _CLOCK.fullmatch(text.strip()):
        return _last_clock(clock, now)
    return read_iso(text)


def _last_clock(clock: re.Match[str], now: datetime) -> datetime | None:
    try:
        moment = now.replace(
            hour=int(clock[1]), minute=int(clock[2]), second=int(clock[3] or 0), microsecond=0
        )
    except ValueError:
        return None
    return moment if moment <= now else moment - timedelta(days=1)


def read_iso(text: object) -> datetime | None:
    """An ISO 8601 time, UTC if it names no zone; None if it is not one."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def clock_time(moment: datetime, now: datetime) -> str:
    """``10:02:11.482`` in the zone of ``now``; with the date in front when it is another day."""
    there = moment.astimezone(now.tzinfo)
    text = f"{there:%H:%M:%S}.{there.microsecond // 1_000:03}"
    return text if there.date() == now.date() else f"{there:%Y-%m-%d} {text}"


def plural(count: int, noun: str) -> str:
    """``1 event``, ``2 events``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def size_text(size_bytes: float) -> str:
    """``512 B``, ``1.4 kB``, ``23 MB``, ``41 GB``: thousands, three digits at most."""
    units = ("B", "kB", "MB", "GB", "TB")
    step = 0
    while size_bytes >= 999.5 and step < len(units) - 1:  # noqa: PLR2004 - where rounding shows four
        size_bytes /= 1000
        step += 1
    digits = 1 if step and size_bytes < 9.95 else 0  # noqa: PLR2004 - two digits
    return f"{size_bytes:.{digits}f} {units[step]}"


def event_summary(event_type: str, payload: object) -> str:
    """One line for a payload: ``AAPL momentum BUY score=0.91``, at most `SUMMARY_CHARS` long."""
    if event_type == "risk.killswitch":
        return _stop_summary(payload)
    if event_type == "heartbeat" and isinstance(payload, Mapping):
        payload = {key: payload[key] for key in _HEARTBEAT_FIELDS if payload.get(key)}
    if not isinstance(payload, Mapping):
        return _shortened(json.dumps(payload, ensure_ascii=False))
    unnamed = [str(payload[key]) for key in _UNNAMED if isinstance(payload.get(key), str)]
    rest = [
        f"{key}={_value(value)}"
        for key, value in payload.items()
        if key not in _NOT_SHOWN and not (key in _UNNAMED and isinstance(value, str))
    ]
    return _shortened(" ".join([*unnamed, *rest]))


def _stop_summary(payload: object) -> str:
    fields: Mapping[str, Any] = payload if isinstance(payload, Mapping) else {}
    released = fields.get("enabled") is False
    by = f" by {fields['triggered_by']}" if fields.get("triggered_by") else ""
    head = "RELEASED" if released else "HALT"
    return _shortened(f"{head}{by}: {fields.get('reason') or 'no reason given'}")


def _value(value: object) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False) if re.search(r"\s", value) else value
    if isinstance(value, float):
        return f"{value:.6g}"
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _shortened(text: str) -> str:
    text = printable(text)
    return text if len(text) <= SUMMARY_CHARS else text[: SUMMARY_CHARS - 1] + "…"
