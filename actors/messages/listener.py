"""Messages."""

import msgspec

from ...runtime import Address


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
    """Subscribers that got it, our own left out; ``None``: it was given up, or nobody knows."""


class GetBusStatus(msgspec.Struct, frozen=True):
    """Asks how the bus stands; answered by :class:`BusStatus` at once."""
