"""The stop's document in Redis: read, unite, write, as long as no other program is faster."""

from typing import Final

from ...protocol.document import Kind, read_document, write_document
from ...protocol.permit import KEY as PERMIT_KEY
from ...protocol.trips import Stop, Trip
from ..foreign import damaged, found_document
from ..intake import Decision, Origin
from ..lease import ABSENT, OTHER_TYPE, STOP_KEY, STORE
from ..readings import Copy
from .connection import Connection, Refused

MAX_TRIES: Final = 10
"""Others write once a second at most."""


def store(redis: Connection, trip: Trip, origin: Origin) -> None:
    """Unite ``trip`` into the key and delete the permit, in one script.

    Raises:
        OSError: the connection broke.
        Refused: the server refuses scripts, or the key was never left alone.
    """
    seen = ABSENT
    for _ in range(MAX_TRIES):
        document = united(seen, trip, origin)
        found = redis.call("EVAL", STORE, "2", STOP_KEY, PERMIT_KEY, seen, document, "1")
        if not found:
            return
        seen = found
    raise Refused("the key of the stop is written all the time")


def united(seen: bytes, trip: Trip, origin: Origin) -> bytes:
    """The document to write over ``seen``: all that it holds, and ``trip``.

    What another program wrote, or what is damaged, becomes a trip of its own, as the daemon would
    make it.
    """
    stop, decision = _read(seen, origin)
    if decision is not None and decision.trip is not None:
        stop = stop.with_trip(decision.trip)
    return write_document(stop.with_trip(trip))


def _read(seen: bytes, origin: Origin) -> tuple[Stop, Decision | None]:
    if seen == ABSENT:
        return Stop(), None
    if seen == OTHER_TYPE:
        return Stop(), damaged(Copy.REDIS, b"another type", Stop(), origin)
    found = read_document(seen[1:])
    if found.kind is Kind.OURS:
        return found.stop, None  # with its releases: the daemon goes by its own alone
    return found_document(Copy.REDIS, seen[1:], Stop(), origin)
