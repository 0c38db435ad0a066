"""How far the daemon's own journal has been heard: what is shown again is not a new stop. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from ..actors.events import KILLSWITCH, REJECTED, Event
from ..actors.fields import WHOLE_BYTES, FieldReader
from ..protocol.json_object import count_in, read_object, text_in

TURN_BYTES: Final = 32 * 1024
"""Of messages heard between two yields: ten milliseconds, where they are made to be slow."""


@dataclass(frozen=True, slots=True)
class HeardEvents:
    """The newest event that has had its effect; it is in the latch.

    Events are shown again after a crash. One has had its effect if it is above this neither by its
    id nor by its time (both, since an overlooked stop is the worst that can happen here).
    """

    last_id: int = 0
    """The highest id."""
    last_at: str = ""
    """The latest time (UTC, ISO 8601)."""

    def __contains__(self, event: Event) -> bool:
        return event.id <= self.last_id and event.ts <= self.last_at

    def plus(self, event: Event) -> "HeardEvents":
        """After ``event``."""
        return HeardEvents(max(self.last_id, event.id), max(self.last_at, event.ts))

    def fields(self) -> dict[str, object]:
        """As the latch keeps it."""
        return {"last_event_id": self.last_id, "last_event_at": self.last_at}


def read_heard(documents: Iterable[bytes]) -> HeardEvents:
    """What the latch's documents say; the newest first, and that one counts."""
    for data in documents:
        fields = read_object(data) or {}
        last_id = count_in(fields, "last_event_id")
        if last_id is not None:
            return HeardEvents(last_id, text_in(fields, "last_event_at") or "")
    return HeardEvents()


class _Message(msgspec.Struct):
    """What is read of a stop's message."""

    enabled: object = None
    trip_id: object = None
    level: object = None
    scope: object = None
    reason: object = None
    triggered_by: object = None


_read_fields = FieldReader(_Message)


def read_message(payload: bytes) -> Mapping[str, Any] | None:
    """The fields of a stop's message, as `read_object` gives them, if it is not a large one.

    In a large one nothing is made of lists and objects, and of a repeated name the last counts.
    """
    if len(payload) > WHOLE_BYTES:
        return _read_fields.mapping(payload)
    return read_object(payload)


def in_turns(events: Iterable[Event], give_way: Callable[[], None]) -> Iterator[Event]:
    """The events; ``give_way`` is called between two of them after each ``TURN_BYTES``."""
    size_bytes = 0
    for event in events:
        if size_bytes > TURN_BYTES:
            size_bytes = 0
            give_way()
        yield event
        size_bytes += len(event.payload)


class _RejectedPayload(msgspec.Struct):
    channel: str | None = None


def concerns_stop(event: Event) -> bool:
    """Whether it came on ``risk.killswitch``, in whatever form."""
    if event.type == REJECTED:
        return msgspec.json.decode(event.payload, type=_RejectedPayload).channel == KILLSWITCH
    return event.type == KILLSWITCH
