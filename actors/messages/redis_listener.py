"""To the RedisListener and back: publications, and how the bus is doing.

The EventPersister sends :class:`Publish`; :class:`Published` goes to its ``reply_to`` (the
StateKeeper). The HTTP server asks :class:`GetBusStatus`. The durable stream has
:mod:`~.durable_stream`.
"""

import msgspec

from ...runtime import Address
from ...sql.events.stream_position import StreamPosition


class Publish(msgspec.Struct, frozen=True):
    """To the listener: put this on the bus."""

    channel: str
    """Where."""
    payload: bytes
    """JSON, as it is journalled."""
    reply_to: Address | None = None
    """Gets :class:`Published`."""
    tag: str = ""
    """Comes back in :class:`Published`."""


class Published(msgspec.Struct, frozen=True):
    """From the listener, when a :class:`Publish` is settled."""

    tag: str
    """Of the request."""
    receivers: int | None
    """Subscribers that got it, our own left out; ``None``: it was given up, or is unknown."""


class GetBusStatus(msgspec.Struct, frozen=True):
    """Asks how the bus is doing; answered by :class:`BusStatus` at once."""


class SubscriptionStatus(msgspec.Struct, frozen=True):
    """One subscribed connection. Counts are since the daemon's start."""

    name: str
    """``control`` or ``data``."""
    patterns: tuple[str, ...]
    """As the contract writes them."""
    connected: bool
    """Whether it is subscribed."""
    since: str
    """When that became so."""
    received: int
    """Messages; copies for several patterns count each."""
    connects: int
    """Subscriptions that succeeded."""
    cuts: int
    """Subscriptions that ended."""
    last_error: str | None
    """Why the last one ended, or the last attempt failed."""
    latency_ms: float | None
    """The last round trip of a ping, messages before its answer included."""
    not_master: str | None
    """Why the server it dialled is none for a bus; ``None`` at a master, and while it is away."""
    canary_age_s: float | None
    """Since the last canary came back by it; ``None``: none has since it is subscribed."""
    canary_refused: str | None
    """Why the server takes none: an account may not use their channel."""
    expects_canary: bool
    """Whether any is to come by it."""


class DurableStreamStatus(msgspec.Struct, frozen=True):
    """How reading the durable stream goes. Counts are since the daemon's start."""

    reading: bool
    """Whether its connection is up and the position to read from is known."""
    position: StreamPosition | None
    """How far it is read; None: unknown yet."""
    committed: StreamPosition | None
    """How far PostgreSQL has committed it."""
    entries: int
    """Entries read."""
    gaps: int
    """Losses found."""
    trimmed: int
    """Entries trimmed."""
    last_error: str | None
    """Why the last read failed, if one has."""
    read_age_s: float | None
    """Since it was last read to what was then its end, or a full page; ``None``: never."""


class BusStatus(msgspec.Struct, frozen=True):
    """How the bus is doing. Counts are since the daemon's start."""

    connected: bool
    """Whether all subscriptions are up."""
    since: str
    """When that became so."""
    subscriptions: tuple[SubscriptionStatus, ...]
    """``control``, then ``data``."""
    attempts: int
    """Connections tried."""
    last_error: str | None
    """The reason while not connected; holds no secret."""
    latency_ms: float | None
    """A ping's round trip on the control connection, seconds old at most while connected."""
    published: int
    """Messages published."""
    publish_failures: int
    """Attempts to connect or to publish that failed."""
    not_master: str | None
    """Why the server that is published to is none for a bus; ``None`` at a master."""
    stream: DurableStreamStatus
    """The durable stream."""
