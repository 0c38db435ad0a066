"""The durable stream (Redis Streams), between the RedisListener and the EventPersister.

The persister says where to read from (:class:`ReadStream`), the listener sends what it read
(:class:`PersistStream`), the persister answers with :class:`StreamProgress`.
"""

import msgspec

from ...sql.events.stream_position import StreamPosition
from ..events import NewEvent


class StreamItem(msgspec.Struct, frozen=True, gc=False):
    """One entry of the stream, or an event that the daemon reports about it."""

    position: StreamPosition | None
    """The position after this entry; None: a published copy whose entry never came."""
    channel: bytes = b""
    """The entry's field ``channel``."""
    payload: bytes = b""
    """Its field ``payload``."""
    fault: str | None = None
    """Why it violates the contract, if it does."""
    event: NewEvent | None = None
    """Instead of an entry: a ``bus.gap``."""


class PersistStream(msgspec.Struct, frozen=True):
    """To the persister: store what was read of the stream; never asked."""

    after: StreamPosition
    """Where this read began, which is where the message before it ended."""
    ts: str
    """When it was read."""
    items: tuple[StreamItem, ...]
    """In order; none: there was nothing new."""
    at_end: float = 0.0
    """When the stream was seen to end here, monotonic seconds; 0: it may hold more."""

    @property
    def end(self) -> StreamPosition:
        """The position after all items."""
        return (self.items[-1].position if self.items else None) or self.after


class ReadStream(msgspec.Struct, frozen=True):
    """To the listener: read on after this position; anything sent beyond it was not accepted."""

    position: StreamPosition
    """The position."""
    anew: bool = False
    """Also if reading has begun already."""


class StreamProgress(msgspec.Struct, frozen=True):
    """To the listener: how far what it sent has come."""

    journalled: StreamPosition
    """Up to here nothing has to be sent again."""
    committed: StreamPosition | None
    """Up to here the stream may be trimmed."""
