"""What is published on ``risk.killswitch`` (contract, part 1)."""

from dataclasses import dataclass
from typing import Final

from .document import public_fields
from .json_object import write_object
from .trips import Stop, Trip

CHANNEL: Final = "risk.killswitch"


@dataclass(frozen=True, slots=True)
class Ended:
    """A release as it is published."""

    trip: Trip
    """What it ended."""
    reason: str
    """Why."""
    by: str
    """Who."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """Who publishes, and when; makes each message's bytes its own."""

    at: str
    """Now (UTC, ISO 8601)."""
    seq: int
    """Rises by one with each message of this ``boot``."""
    boot: str
    """This run of the publisher."""
    source: str = "orchestrator"
    """The publisher."""


def announcement(
    stop: Stop,
    stamp: Stamp,
    *,
    trip: Trip | None = None,
    ended: Ended | None = None,
    durable: bool = False,
) -> bytes:
    """The JSON to publish: the stop in force, and a release if that is the occasion.

    ``enabled`` is true while any trip is in force. The fields that name one trip are those of
    ``trip``, by default the newest in force, and of the release once there is none.

    Args:
        stop: what is in force (after the release).
        stamp: who and when.
        trip: the one that the message is about.
        ended: the release that it is about.
        durable: whether the same bytes go into the durable stream.
    """
    named = trip or stop.newest
    words = {"reason": None, "triggered_by": None, "trip_id": None, "level": None, "scope": None}
    if named is not None:
        words = public_fields(named)
        del words["at"]
    elif ended is not None:
        words = public_fields(ended.trip) | {"reason": ended.reason, "triggered_by": ended.by}
        del words["at"]
    released = ended and {"trip_id": ended.trip.id, "reason": ended.reason, "by": ended.by}
    return write_object(
        {
            "enabled": stop.in_force,
            **words,
            "timestamp": stamp.at,
            "trips": [public_fields(known) for known in stop.trips],
            **({"released": released} if released else {}),
            "source": stamp.source,
            "boot": stamp.boot,
            "seq": stamp.seq,
            **({"durable": True} if durable else {}),
        }
    )
