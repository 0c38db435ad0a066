"""From the EventPersister to the Killswitch, StateKeeper, HeartbeatMonitor and Broadcaster."""

import msgspec

from ..events import Event


class EventsJournalled(msgspec.Struct, frozen=True):
    """To all four: a batch that can be shown; journalled, and stored soon."""

    events: tuple[Event, ...]
    """Ascending ids."""


class StopHeard(msgspec.Struct, frozen=True):
    """To the Killswitch: the published copy of a durable ``risk.killswitch``.

    The event itself follows with the stream's copy.
    """

    event: Event
    """The event, without an id."""


class StopFound(msgspec.Struct, frozen=True):
    """To the Killswitch: an old stop found in the journal; newer ones may precede it."""

    event: Event
    """The stop, or the ``bus.rejected`` stored in its place."""


class Surveyed(msgspec.Struct, frozen=True):
    """To the Killswitch: whether the journal that a start found is read; it may hold stops."""

    done: bool
    """Each ``StopFound`` has been sent; otherwise more may follow."""


class EventReplaced(msgspec.Struct, frozen=True):
    """To all four: PostgreSQL refused an event; its id now holds this ``bus.rejected``."""

    event: Event
    """The row at that id, as stored."""
