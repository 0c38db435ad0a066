"""What a message on ``risk.killswitch`` says to an agent. Pure.

It can shut a gate and never opens one: only the permit does (contract, part 1).
"""

from typing import Any

import msgspec

from ..protocol.json_object import clean_text, read_object, text_in
from ..protocol.targets import STOP_ALL, Target, read_target
from ..protocol.trips import NAME_CHARS, REASON_CHARS

_RAW_CHARS = 4096
"""Characters passed on of a message that is not a JSON object."""


class Announcement(msgspec.Struct, frozen=True):
    """One message."""

    engaged: bool
    """False for ``"enabled": false`` alone: news, not a permission."""
    fields: dict[str, Any]
    """As published; ``{"raw": <text>}`` if it is not a JSON object."""
    targets: tuple[Target, ...] = ()
    """Whom it stops, and how hard; the other trips in force included."""
    trip_id: str | None = None
    """The newest trip."""
    reason: str | None = None
    """Why."""


def read_message(data: bytes) -> Announcement:
    """Read a message of any origin.

    Whatever is not a JSON object with ``enabled`` exactly ``false`` engages: halt/all, if it
    says nothing else.
    """
    fields = read_object(data)
    if fields is None:
        raw = data.decode(errors="replace")[:_RAW_CHARS]
        return Announcement(engaged=True, fields={"raw": raw}, targets=(STOP_ALL,))
    if fields.get("enabled") is False:
        return Announcement(engaged=False, fields=fields)
    return Announcement(
        engaged=True,
        fields=fields,
        targets=(read_target(fields.get("level"), fields.get("scope")), *_others(fields)),
        trip_id=_text(fields, "trip_id", NAME_CHARS),
        reason=_text(fields, "reason", REASON_CHARS),
    )


def _others(fields: dict[str, Any]) -> list[Target]:
    trips = fields.get("trips")
    listed = trips if isinstance(trips, list) else []
    return [read_target(t.get("level"), t.get("scope")) for t in listed if isinstance(t, dict)]


def _text(fields: dict[str, Any], name: str, limit: int) -> str | None:
    text = text_in(fields, name)
    return None if text is None else clean_text(text, limit)
