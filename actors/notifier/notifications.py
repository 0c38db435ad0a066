"""What is notified, and how often (pure)."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ..events import KILLSWITCH, Event
from ..fields import FieldReader

TEXT_LIMIT: Final = 500
"""Characters of a text: pagers show less."""


class Notification(msgspec.Struct, frozen=True):
    """One message to people."""

    id: str
    """The same in each attempt, so that a receiver can tell a repetition."""
    type: str
    """That of the event; or ``store.lag``, ``disk.low``, ``notify.test``."""
    text: str
    """In words, one line."""
    ts: str
    """When it happened."""
    data: msgspec.Raw = msgspec.Raw(b"{}")
    """The event's payload."""
    event_id: int | None = None
    """The event's id."""
    suppressed: int = 0
    """Others of its type since the last notification of that type."""


def of_event(event: Event) -> Notification:
    """The notification of an event."""
    return Notification(
        id=f"event-{event.id}",
        type=event.type,
        text=_text_of(event)[:TEXT_LIMIT],
        ts=event.ts,
        data=msgspec.Raw(event.payload),
        event_id=event.id,
    )


class Throttle:
    """Lets one notification of a type through per interval, and counts the others.

    The stop's are never held back.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._last: dict[str, float] = {}
        self._held: dict[str, int] = {}

    def admit(self, notification: Notification, *, now: float) -> Notification | None:
        """The notification to send, if it is to be sent; it says how many were not."""
        kind = notification.type
        if kind != KILLSWITCH and now - self._last.get(kind, -self._interval_s) < self._interval_s:
            self._held[kind] = self._held.get(kind, 0) + 1
            return None
        self._last[kind] = now
        held = self._held.pop(kind, 0)
        return msgspec.structs.replace(notification, suppressed=held)


class Condition:
    """Something that holds or not: notified each time it begins to."""

    def __init__(self) -> None:
        self._holds = False

    def begins(self, *, holds: bool) -> bool:
        """Whether it holds now and did not before."""
        began = holds and not self._holds
        self._holds = holds
        return began


class _Said(msgspec.Struct):
    """What is read of an event's payload."""

    id: object = None
    agent_id: object = None
    cause: object = None
    reason: object = None
    last_error: object = None
    enabled: object = None
    level: object = None
    scope: object = None
    released: object = None
    triggered_by: object = None


_read_fields = FieldReader(_Said)


def _text_of(event: Event) -> str:
    fields = _read_fields.mapping(event.payload)
    if event.type == KILLSWITCH:
        return _stop(fields)
    about = fields.get("id") or fields.get("agent_id") or fields.get("cause") or ""
    reason = fields.get("reason") or fields.get("last_error") or ""
    said = ": ".join(str(part) for part in (about, reason) if part)
    return f"{event.type} {said}".strip()


def _stop(fields: Mapping[str, Any]) -> str:
    if fields.get("enabled") is False:
        return f"trading is allowed again: {fields.get('reason')}"
    where = f"{fields.get('level') or 'halt'}, {fields.get('scope') or 'all'}"
    released = fields.get("released")
    begin = "a stop was released, others are in force" if released else "STOP"
    return f"{begin} ({where}): {fields.get('reason')}, by {fields.get('triggered_by')}"
