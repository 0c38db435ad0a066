"""What a copy says besides its sets: stops by other programs, and damage. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from hashlib import blake2b
from typing import Any

from ..protocol.document import Kind, read_document
from ..protocol.json_object import text_in
from ..protocol.permit import is_plausible
from ..protocol.targets import STOP_ALL, read_target
from ..protocol.trips import Stop, Trip
from ..protocol.ways import Way
from .intake import Decision, Origin, called, identified, new_or_known
from .readings import Copy


def found_document(
    copy: Copy, data: bytes, stop: Stop, origin: Origin, *, xmin: str = ""
) -> tuple[Stop, Decision | None]:
    """A document in one of the copies: its sets, and what it means besides, if anything.

    Another program's document is a trip of its own; so is one that cannot be understood, by
    ``damage:<copy>``.

    Args:
        copy: where it was found.
        data: the value's text.
        stop: what is known, this document's own sets included or not.
        origin: time and ids; the way follows from the copy.
        xmin: of the row.
    """
    document = read_document(data, trusted=copy is not Copy.REDIS)
    document = replace(document, stop=plausible(document.stop, origin.unix_s))
    known = stop.union(document.stop)
    if document.kind is Kind.OURS:
        return document.stop, None
    identity = row_identity(data, xmin) if copy is Copy.POSTGRES else ""
    if (same := identified(known, identity)) is not None:
        return document.stop, same
    if document.kind is Kind.DAMAGED:
        return document.stop, damaged(copy, data, known, origin, identity=identity)
    alias = "" if identity else f"text:{_hash(data)}"
    trip = replace(_foreign(copy, document.fields, origin), alias=alias, identity=identity)
    return document.stop, new_or_known(trip, known)


def plausible(stop: Stop, unix_s: float) -> Stop:
    """A copy's sets; a generation that was forged does not count: none could follow it."""
    if is_plausible(stop.generation, unix_s):
        return stop
    return replace(stop, generation=0, released_under=0)


def damaged(copy: Copy, data: bytes, stop: Stop, origin: Origin, *, identity: str = "") -> Decision:
    """Bytes that are not what was written: a trip until a person has looked at it.

    The same bytes mean the same trip for as long as it is in force.
    """
    reason = f"the stop's copy ({copy}) is damaged: it may have held a stop"
    trip = called(reason, f"damage:{copy}", STOP_ALL, replace(origin, way=Way.DAMAGE))
    return new_or_known(
        replace(trip, alias=f"damage:{copy}:{_hash(data)}", identity=identity), stop
    )


def row_identity(text: bytes, xmin: str) -> str:
    """What a row that others wrote is recognised by: its text and the transaction that wrote it."""
    return f"row:{_hash(text)}:{xmin}"


def is_written_again(stop: Stop, trip: Trip) -> bool:
    """Whether the row of ``trip`` had been read before with the same text: it is written again."""
    text, _, _ = trip.identity.rpartition(":")
    every = [known.identity for known in stop.trips]
    every += [known.identity for known in stop.releases]
    return text.startswith("row:") and any(
        identity.startswith(f"{text}:") and identity != trip.identity for identity in every
    )


def _foreign(copy: Copy, fields: Mapping[str, Any], origin: Origin) -> Trip:
    return called(
        text_in(fields, "reason") or "no reason given",
        text_in(fields, "triggered_by") or copy,
        read_target(fields.get("level"), fields.get("scope")),
        replace(origin, way=Way.REDIS if copy is Copy.REDIS else Way.SQL),
    )


def _hash(data: bytes) -> str:
    return blake2b(data, digest_size=16).hexdigest()
