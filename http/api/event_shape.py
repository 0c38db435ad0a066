"""An event as REST shows it: a stored row, and its time a second time under its old name."""

import msgspec

from ...actors.events import Event
from ...sql.events.event_reader import EventRow


class EventShape(msgspec.Struct, frozen=True):
    """One event."""

    id: int
    """Ascending in the order of receipt, never reused."""
    type: str
    """The channel, or `heartbeat`."""
    payload: msgspec.Raw
    """The JSON as published."""
    ts: str | None
    """When it was read off the bus: UTC, ISO 8601 with milliseconds and `Z`."""
    timestamp: str | None
    """The same."""
    source: str | None
    """Who published it, if the message says so."""
    processed: bool
    """Whether a consumer has marked it."""


def shape_of(event: Event | EventRow) -> EventShape:
    """An event as REST shows it."""
    payload, ts = msgspec.Raw(event.payload), event.ts or None
    return EventShape(event.id, event.type, payload, ts, ts, event.source, event.processed)
