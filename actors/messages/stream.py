"""What the listener and the persister tell one another of the durable stream."""

import msgspec

from ...sql.events.stream_position import StreamPosition
from ..events import NewEvent


class StreamItem(msgspec.Struct, frozen=True, gc=False):
    """One entry of the stream, or what the daemon has to say of it."""

    position: StreamPosition | None
    """How far the stream is read with this one; None: it is a published copy that the stream, which
    should have brought it, did not."""
    channel: bytes = b""
    """The entry's field ``channel``."""
    payload: bytes = b""
    """Its field ``payload``."""
    fault: str | None = None
    """Why it is none that the contract knows, if so."""
    event: NewEvent | None = None
    """Instead of an entry: a ``bus.gap``."""


class PersistStream(msgspec.Struct, frozen=True):
    """To the persister: store what was read of the stream; told, never asked."""

    after: StreamPosition
    """Where reading began: where what was told before ended."""
    ts: str
    """When it was read."""
    items: tuple[StreamItem, ...]
    """In order; none: there was nothing new."""
    at_end: float = 0.0
    """When the stream was found to hold nothing more than this, monotonic; 0: it may hold more."""

    @property
    def end(self) -> StreamPosition:
        """How far the stream is read with all of it."""
        return (self.items[-1].position if self.items else None) or self.after


class ReadStream(msgspec.Struct, frozen=True):
    """To the listener: go on behind this; what was told beyond it was not taken in."""

    position: StreamPosition
    """Where."""
    anew: bool = False
    """Also if it is being read already."""


class StreamProgress(msgspec.Struct, frozen=True):
    """To the listener: how far what it told has got."""

    journalled: StreamPosition
    """So far nothing has to be told again."""
    committed: StreamPosition | None
    """So far the stream may be trimmed."""
