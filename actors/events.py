"""Events, and the rules by which a message on the bus becomes one (contract, part 1)."""

from typing import Final

import msgspec

from .payloads import Envelope

HEARTBEAT: Final = "heartbeat"
HEARTBEAT_PREFIX: Final = "heartbeat."
KILLSWITCH: Final = "risk.killswitch"
REGIME: Final = "quant.regime.state"
REJECTED: Final = "bus.rejected"
GAP: Final = "bus.gap"
DROPPED: Final = "bus.dropped"


class Event(msgspec.Struct, frozen=True, gc=False):
    """One event as it is stored and shown."""

    id: int
    """Ascending in the order of receipt, never reused."""
    type: str
    """The channel, or ``heartbeat``."""
    payload: bytes
    """JSON as published."""
    ts: str
    """When it was read off the socket: UTC, ISO 8601 with milliseconds and ``Z``."""
    source: str | None
    """The publisher, if the message says so."""
    processed: bool = False
    """Set by consumers through ``POST /bus/events/processed``."""
    channel: str | None = None
    """Where it came from, if its type does not say so: a heartbeat's channel, or the durable
    stream's key of a stop; not stored."""


class NewEvent(msgspec.Struct, frozen=True):
    """An event of the daemon itself, or a posted one: not journalled yet."""

    type: str
    """Its type, which is also its channel if it is published."""
    payload: bytes
    """JSON."""
    source: str | None = None
    """Takes precedence over the payload's own."""
    request_id: str | None = None
    """The id of the HTTP request that posted it, for the log."""
    envelope: Envelope | None = None
    """What examining the payload gave, where that was done already."""


def type_of(channel: str) -> str:
    """The stored type of a message on ``channel``."""
    return HEARTBEAT if channel.startswith(HEARTBEAT_PREFIX) else channel


def channel_of(event: Event) -> str:
    """The channel as WebSocket clients see it: the type, or ``heartbeat.<source>``."""
    if event.type == HEARTBEAT and event.source:
        return HEARTBEAT_PREFIX + event.source
    return event.type
