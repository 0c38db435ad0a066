"""The stop as a JSON document: in latch, ``killswitch_status``, key ``orchestrator:killswitch``.

Its first fields are the contract's, for readers that know no sets; `read_document` goes by the
sets alone. ``digests`` and the like are left out where they are empty.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, TypeVar

from .digests import is_digest, kept_digests
from .json_object import clean_text, count_in, read_object, text_in, write_object
from .targets import MAX_NAME_BYTES, read_target
from .timestamps import unix_seconds
from .trips import NAME_CHARS, REASON_CHARS, Forgotten, Release, Stop, Trip, stop_of
from .ways import Way

FORMAT: Final = "stop/1"
"""In field ``format``: the document is ours, its sets count."""

_UNKNOWN: Final = "unknown"

Item = TypeVar("Item")


class Kind(StrEnum):
    """What a document is."""

    OURS = "ours"
    """Its sets are all there is to it; an object that only says ``enabled: false`` is like one
    with empty sets."""
    FOREIGN = "foreign"
    """Another program engages: ``enabled`` is true, and nothing of its sets is in force."""
    DAMAGED = "damaged"
    """Anything else. What can be read of its sets counts."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document as read."""

    kind: Kind
    stop: Stop
    """Its sets."""
    fields: Mapping[str, Any]
    """As written; empty if it is not an object."""


def write_document(stop: Stop, **extra: object) -> bytes:
    """The document; ``extra`` fields are for the writer's own use."""
    newest = stop.newest
    return write_object(
        {
            "enabled": stop.in_force,
            "reason": newest.reason if newest else None,
            "last_triggered": newest.at if newest else None,
            "triggered_by": newest.triggered_by if newest else None,
            "trip_id": newest.id if newest else None,
            "released_at": max((release.at for release in stop.releases), default=None),
            "level": newest.target.level if newest else None,
            "scope": newest.target.scope if newest else None,
            "trips": [trip_fields(trip) for trip in stop.trips],
            "format": FORMAT,
            "releases": [_release_fields(release) for release in stop.releases],
            "generation": stop.generation,
            "forgotten": stop.forgotten.total,
            "forgotten_until": stop.forgotten.until,
            "released_under": stop.released_under,
            "resumed": dict(stop.resumed),
            **extra,
        }
    )


def read_document(data: bytes | str, *, trusted: bool = True) -> Document:
    """Read a document of any origin.

    Args:
        data: JSON.
        trusted: anybody may write Redis: of a document from there the trips count, but neither
            releases nor what would make a later stop pass for an echo of one of ours.
    """
    fields = read_object(data)
    if fields is None:
        return Document(Kind.DAMAGED, Stop(), {})
    if fields.get("format") == FORMAT:
        return _sets(fields, trusted=trusted)
    if not isinstance(fields.get("enabled"), bool):
        return Document(Kind.DAMAGED, Stop(), fields)
    if count_in(fields, "revision") is not None:
        return _old_sets(fields, trusted=trusted)
    return Document(Kind.FOREIGN if fields["enabled"] else Kind.OURS, Stop(), fields)


def trip_fields(trip: Trip) -> dict[str, Any]:
    """A trip as the document lists it."""
    return public_fields(trip) | _filled(
        {"way": trip.way, "alias": trip.alias, "identity": trip.identity, "digests": trip.digests}
    )


def public_fields(trip: Trip) -> dict[str, Any]:
    """A trip as messages and answers list it."""
    return {
        "trip_id": trip.id,
        "reason": trip.reason,
        "triggered_by": trip.triggered_by,
        "at": trip.at,
        "level": trip.target.level,
        "scope": trip.target.scope,
    }


def read_trip(fields: object) -> Trip | None:
    """One listed trip; ``None`` without an id. Everything else degrades."""
    if not isinstance(fields, dict) or (name := text_in(fields, "trip_id")) is None:
        return None
    way = fields.get("way")
    return Trip(
        clean_text(name, NAME_CHARS),
        clean_text(text_in(fields, "reason") or _UNKNOWN, REASON_CHARS),
        clean_text(text_in(fields, "triggered_by") or _UNKNOWN, NAME_CHARS),
        clean_text(text_in(fields, "at") or _UNKNOWN, NAME_CHARS),
        read_target(fields.get("level"), fields.get("scope")),
        Way(way) if way in set(Way) else Way.REDIS,
        clean_text(text_in(fields, "alias") or "", NAME_CHARS),
        clean_text(text_in(fields, "identity") or "", NAME_CHARS),
        _digests(fields),
    )


def _sets(fields: dict[str, Any], *, trusted: bool) -> Document:
    trips, sound = _each(fields.get("trips"), read_trip)
    releases, also_sound = _each(fields.get("releases"), _read_release)
    numbers = [count_in(fields, name) for name in ("generation", "forgotten")]
    whole = sound and also_sound and None not in numbers
    generation, forgotten = (number or 0 for number in numbers)
    own = stop_of(
        trips,
        releases,
        generation,
        forgotten=Forgotten(_time_in(fields, "forgotten_until"), forgotten),
        released_under=_released_under(fields, generation, releases),
        resumed=_resumed(fields.get("resumed")),
    )
    stop = own if trusted else replace(_trips_alone(trips), generation=own.generation)
    if not whole or not isinstance(fields.get("enabled"), bool):
        return Document(Kind.DAMAGED, stop, fields)
    return Document(_kind(own, enabled=fields["enabled"]), stop, fields)


def _old_sets(fields: dict[str, Any], *, trusted: bool) -> Document:
    """The format with ``revision``, of before there were sets; read once, at an upgrade."""
    trips, sound = _each(fields.get("trips", []), read_trip)
    if fields["enabled"] and not trips:  # the seed's fields alone
        alone = read_trip(fields | {"at": fields.get("last_triggered")})
        trips = [alone] if alone is not None else []
    names, also_sound = _each(fields.get("released_trips", []), _read_old_release)
    at = clean_text(text_in(fields, "released_at") or _UNKNOWN, NAME_CHARS)
    own = stop_of(trips, [Release(name, at) for name in names])
    stop = own if trusted else _trips_alone(trips)
    kind = _kind(own, enabled=fields["enabled"]) if sound and also_sound else Kind.DAMAGED
    return Document(kind, stop, fields)


def _kind(own: Stop, *, enabled: bool) -> Kind:
    return Kind.FOREIGN if enabled and not own.in_force else Kind.OURS


def _trips_alone(trips: list[Trip]) -> Stop:
    return stop_of(replace(trip, identity="", digests=()) for trip in trips)


def _read_old_release(name: object) -> str | None:
    return clean_text(name, NAME_CHARS) if isinstance(name, str) else None


def _release_fields(release: Release) -> dict[str, Any]:
    return {"trip_id": release.trip_id, "at": release.at} | _filled(
        {"alias": release.alias, "identity": release.identity, "digests": release.digests}
    )


def _read_release(fields: object) -> Release | None:
    if not isinstance(fields, dict) or (name := text_in(fields, "trip_id")) is None:
        return None
    return Release(
        clean_text(name, NAME_CHARS),
        clean_text(text_in(fields, "at") or _UNKNOWN, NAME_CHARS),
        clean_text(text_in(fields, "alias") or "", NAME_CHARS),
        clean_text(text_in(fields, "identity") or "", NAME_CHARS),
        _digests(fields),
    )


def _time_in(fields: dict[str, Any], name: str) -> str:
    text = text_in(fields, name) or ""
    return "" if unix_seconds(text) is None else text


def _released_under(fields: dict[str, Any], generation: int, releases: list[Release]) -> int:
    """Where an earlier version did not write it, agents that wait have to be resumed again."""
    written = count_in(fields, "released_under")
    return min(written, generation) if written is not None else generation if releases else 0


def _resumed(items: object) -> list[tuple[str, int]]:
    named = items if isinstance(items, dict) else {}
    found = [(clean_text(name, MAX_NAME_BYTES), count_in(named, name)) for name in named]
    return [(name, generation) for name, generation in found if generation is not None]


def _digests(fields: dict[str, Any]) -> tuple[str, ...]:
    kept = fields.get("digests")
    every = kept if isinstance(kept, list) else []
    return kept_digests(text for text in every if isinstance(text, str) and is_digest(text))


def _each(items: object, read: Callable[[object], Item | None]) -> tuple[list[Item], bool]:
    """What can be read of a list, and whether that is all of it."""
    if not isinstance(items, list):
        return [], False
    found = [item for item in map(read, items) if item is not None]
    return found, len(found) == len(items)


def _filled(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}
