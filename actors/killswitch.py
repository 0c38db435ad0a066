"""The killswitch's rules: trips, what engages and what releases (contract, part 1). Pure."""

from typing import Any, Final

import msgspec

from ..protocol.ulid import new_ulid
from ..runtime import Refusal

MAX_TRIPS: Final = 100
"""Trips in force that are kept one by one; more than these join the newest."""

REASON_LIMIT: Final = 500
"""Characters of a reason; one from the bus is cut here, one by HTTP is refused beyond."""


class WrongTrip(Refusal):
    """The trip to be released is not in force."""


class Trip(msgspec.Struct, frozen=True):
    """One emergency stop in force."""

    trip_id: str
    """Unique; a message that carries a known one is the same trip."""
    reason: str
    """Why, as the one who tripped it said."""
    triggered_by: str
    """Who."""
    at: str
    """When (UTC, ISO 8601)."""


class KillswitchState(msgspec.Struct, frozen=True):
    """Everything there is to know; what the latch and ``killswitch_status`` hold.

    The first three fields are the seed's; ``revision`` rises with each change and tells which of
    two copies is the newer one. Events are shown again after a crash, and an announcement of our
    own may come back late: what ``released_trips`` names has had its effect, and so has an event
    that is above ``last_event_id`` neither by its id nor by its time (both, since a stop that is
    overlooked is the worst that can happen here).
    """

    enabled: bool = False
    reason: str | None = None
    last_triggered: str | None = None
    triggered_by: str | None = None
    trip_id: str | None = None
    released_at: str | None = None
    released_by: str | None = None
    release_reason: str | None = None
    trips: tuple[Trip, ...] = ()
    released_trips: tuple[str, ...] = ()
    last_event_id: int = 0
    last_event_at: str = ""
    revision: int = 0

    def has_heard(self, event_id: int, at: str) -> bool:
        """Whether the event has had its effect."""
        return event_id <= self.last_event_id and at <= self.last_event_at

    def heard(self, event_id: int, at: str) -> "KillswitchState":
        """The state after an event has had its effect; no new revision."""
        return msgspec.structs.replace(
            self,
            last_event_id=max(event_id, self.last_event_id),
            last_event_at=max(at, self.last_event_at),
        )

    def trip(self, trip: Trip) -> "KillswitchState":
        """The state with ``trip`` in force; the same state if it is, or has been released."""
        if trip.trip_id in self.released_trips:
            return self
        if any(known.trip_id == trip.trip_id for known in self.trips):
            return self
        return msgspec.structs.replace(
            self,
            enabled=True,
            reason=trip.reason,
            last_triggered=trip.at,
            triggered_by=trip.triggered_by,
            trip_id=trip.trip_id,
            trips=(*self.trips, trip)[-MAX_TRIPS:],
            revision=self.revision + 1,
        )

    def release(self, trip_id: str, *, reason: str, by: str, at: str) -> "KillswitchState":
        """The state without that trip; still enabled while another one is in force.

        Raises:
            WrongTrip: It is not in force.
        """
        left = tuple(trip for trip in self.trips if trip.trip_id != trip_id)
        if len(left) == len(self.trips):
            raise WrongTrip(self._not_in_force(trip_id))
        newest = left[-1] if left else None
        return msgspec.structs.replace(
            self,
            enabled=bool(left),
            reason=newest.reason if newest else self.reason,
            trip_id=newest.trip_id if newest else self.trip_id,
            triggered_by=newest.triggered_by if newest else self.triggered_by,
            released_at=at,
            released_by=by,
            release_reason=reason,
            trips=left,
            released_trips=(*self.released_trips, trip_id)[-MAX_TRIPS:],
            revision=self.revision + 1,
        )

    def _not_in_force(self, trip_id: str) -> str:
        if not self.trips:
            return "the killswitch is not active, there is nothing to release"
        known = ", ".join(trip.trip_id for trip in self.trips)
        return f"trip {trip_id} is not in force; in force: {known}"


def bus_trip(payload: bytes, state: KillswitchState, *, source: str | None, at: str) -> Trip | None:
    """The trip that a message on ``risk.killswitch`` means, or ``None`` if it engages nothing.

    Whatever is not an object with ``enabled`` exactly ``false`` engages; one without a
    ``trip_id`` joins the trip in force, if there is one.
    """
    fields = _fields(payload)
    if fields.get("enabled") is False:
        return None
    trip_id = _text(fields.get("trip_id"))
    if trip_id is None and state.trips:
        return None
    return Trip(
        trip_id or new_ulid(),
        (_text(fields.get("reason")) or "no reason given on the bus")[:REASON_LIMIT],
        _text(fields.get("triggered_by")) or source or "bus",
        at,
    )


def bus_payload(*, enabled: bool, trip: Trip, seq: int, at: str) -> bytes:
    """The JSON that is published on ``risk.killswitch``."""
    return msgspec.json.encode(
        {
            "enabled": enabled,
            "reason": trip.reason,
            "timestamp": at,
            "triggered_by": trip.triggered_by,
            "trip_id": trip.trip_id,
            "level": "halt",
            "scope": "all",
            "seq": seq,
            "source": "orchestrator",
        }
    )


def read_state(value: bytes) -> KillswitchState:
    """Decode a stored state; one that another program wrote with the seed's fields alone is taken.

    Raises:
        ValueError: It says nothing that can be understood.
    """
    try:
        state = msgspec.json.decode(value, type=KillswitchState)
    except msgspec.ValidationError:
        fields = _fields(value)
        if not isinstance(fields.get("enabled"), bool):
            raise
        state = KillswitchState(
            enabled=bool(fields["enabled"]),
            reason=_text(fields.get("reason")),
            last_triggered=_text(fields.get("last_triggered")),
            triggered_by=_text(fields.get("triggered_by")),
        )
    if state.enabled and not state.trips:  # the seed's shape knows no trips
        when = state.last_triggered or "unknown"
        trip = Trip(
            state.trip_id or new_ulid(),
            state.reason or "unknown",
            state.triggered_by or "unknown",
            when,
        )
        return msgspec.structs.replace(state, trips=(trip,), trip_id=trip.trip_id)
    return state


def _fields(payload: bytes) -> dict[str, Any]:
    try:
        decoded = msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return {}
    return decoded if isinstance(decoded, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value.strip() else None
