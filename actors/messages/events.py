"""Messages."""

import msgspec

from ..events import Event


class EventsJournalled(msgspec.Struct, frozen=True):
    """A batch that can be shown: journalled, stored soon. From the persister to its consumers."""

    events: tuple[Event, ...]
    """Ascending ids."""


class StopHeard(msgspec.Struct, frozen=True):
    """A durable ``risk.killswitch`` was published; the event will come of the stream's copy."""

    event: Event
    """It, without an id."""


class StopFound(msgspec.Struct, frozen=True):
    """A stop of long ago, which the journal held at the start; newer ones may have come before."""

    event: Event
    """It, or the ``bus.rejected`` that stands for it."""


class EventReplaced(msgspec.Struct, frozen=True):
    """PostgreSQL refused an event that was shown: its id now holds this ``bus.rejected``."""

    event: Event
    """The row at that id as it is stored."""
