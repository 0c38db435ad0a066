"""What bytes from bus, stream, row, key and files mean: a new trip, a known one, an echo. Pure.

Nothing here releases. What is broken stops more, never less: a message that cannot be read is
halt/all.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import blake2b
from typing import Any, Final

from ..protocol.document import Kind, read_document
from ..protocol.heartbeat import GateBeat
from ..protocol.json_object import clean_text, read_object, text_in
from ..protocol.targets import STOP_ALL, Target, read_target
from ..protocol.timestamps import timestamp
from ..protocol.trips import NAME_CHARS, REASON_CHARS, Stop, Trip
from ..protocol.ulid import new_ulid
from ..protocol.ways import Way
from .readings import Copy

MAX_STRANGERS: Final = 100
"""Trips in force that came by ways open to strangers; further ones join one of them."""

NewId = Callable[[float], str]
"""Makes an id, given Unix seconds."""


class Verdict(StrEnum):
    """What was decided."""

    NEW = "new"
    """A trip to be put in force."""
    JOINS = "joins"
    """It means a trip that is in force."""
    ECHO = "echo"
    """We published or read exactly this before."""
    FALSE = "false"
    """``enabled`` is ``false``: releases nothing; the stop in force is published again."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a message, a file or a document means."""

    verdict: Verdict
    """What was decided."""
    trip: Trip | None = None
    """The new trip, or the one in force that is meant."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where and when something came in."""

    way: Way
    """How."""
    unix_s: float
    """When."""
    source: str | None = None
    """Who, if the message does not say so."""
    new_id: NewId = new_ulid
    """Makes ids."""


def called(reason: str, by: str, target: Target, origin: Origin) -> Trip:
    """The trip of an authorised call: always a new one."""
    return Trip(
        origin.new_id(origin.unix_s),
        clean_text(reason, REASON_CHARS),
        clean_text(by, NAME_CHARS),
        timestamp(origin.unix_s),
        target,
        origin.way,
    )


def heard(payload: bytes, stop: Stop, origin: Origin) -> Decision:
    """A message on ``risk.killswitch``, or an entry of the stream for that channel.

    A message that names a trip joins it only if that trip stops as much: one that asks for more
    is a new trip.
    """
    if (known := stop.echo_of(payload)) is not None:
        return Decision(Verdict.ECHO, stop.find(known))
    fields = read_object(payload)
    if fields is not None and fields.get("enabled") is False:
        return Decision(Verdict.FALSE)
    fields = fields or {}
    named = clean_text(text_in(fields, "trip_id") or "", NAME_CHARS)
    target = read_target(fields.get("level"), fields.get("scope"))
    same = _meant(stop, named, target)
    if same is not None:
        return Decision(Verdict.JOINS, same)
    trip = called(
        text_in(fields, "reason") or f"no reason given ({origin.way})",
        text_in(fields, "triggered_by") or origin.source or origin.way,
        target,
        origin,
    )
    return within_bounds(replace(trip, alias=named), stop)


def heard_beat(agent: str, beat: GateBeat, stop: Stop, origin: Origin) -> Decision | None:
    """A heartbeat: ``halted`` by a trip that is unknown here, under this generation, engages it.

    Such a stop reached the agent and not the daemon. What it stops is not known: halt/all.
    """
    name = beat.trip_id
    if not beat.is_halted or name is None or beat.generation != stop.generation:
        return None
    if stop.named(name) is not None or stop.has_released(name):
        return None
    reason = f"{agent} has halted for a stop that had not come here"
    trip = called(reason, agent, STOP_ALL, replace(origin, way=Way.BEAT))
    return within_bounds(replace(trip, alias=name), stop)


def found_file(name: str, data: bytes, stop: Stop, origin: Origin) -> Decision:
    """A trip file: ``TRIP`` and ``killswitch`` by hand, ``TRIP.<ulid>`` by ``orc halt``.

    One with an id of its own is one trip for ever, so that it may be read twice; one made by
    hand means the trip that it made for as long as that is in force.

    Args:
        name: of the file.
        data: its beginning: a JSON object with fields as on the bus, or words.
        stop: what is known.
        origin: way and time.
    """
    own_id = clean_text(name.partition(".")[2], NAME_CHARS)
    identity, alias = (f"file:{own_id}", "") if own_id else ("", f"file:{name}")
    if (same := _identified(stop, identity)) is not None:
        return same
    fields = read_object(data)
    words = data.decode(errors="replace").strip() if fields is None else text_in(fields, "reason")
    fields = fields or {}
    trip = called(
        words or f"the file {name} was made",
        text_in(fields, "triggered_by") or origin.source or origin.way,
        read_target(fields.get("level"), fields.get("scope")),
        origin,
    )
    return _new_or_known(replace(trip, alias=alias, identity=identity), stop)


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
    known = stop.union(document.stop)
    if document.kind is Kind.OURS:
        return document.stop, None
    identity = row_identity(data, xmin) if copy is Copy.POSTGRES else ""
    if (same := _identified(known, identity)) is not None:
        return document.stop, same
    if document.kind is Kind.DAMAGED:
        return document.stop, damaged(copy, data, known, origin, identity=identity)
    alias = "" if identity else f"text:{_hash(data)}"
    trip = replace(_foreign(copy, document.fields, origin), alias=alias, identity=identity)
    return document.stop, _new_or_known(trip, known)


def damaged(copy: Copy, data: bytes, stop: Stop, origin: Origin, *, identity: str = "") -> Decision:
    """Bytes that are not what was written: a trip until a person has looked at it.

    The same bytes mean the same trip for as long as it is in force.
    """
    reason = f"the stop's copy ({copy}) is damaged: it may have held a stop"
    trip = called(reason, f"damage:{copy}", STOP_ALL, replace(origin, way=Way.DAMAGE))
    return _new_or_known(replace(trip, alias=f"damage:{_hash(data)}", identity=identity), stop)


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


def within_bounds(trip: Trip, stop: Stop) -> Decision:
    """A new trip, unless strangers have put too many in force: then it joins the oldest like it.

    Where none of those stops as much, it is put in force for all, so that few of these are
    needed; a trip of an authorised call is never joined to another.
    """
    strangers = [known for known in stop.trips if known.way.bounded]
    if not trip.way.bounded or len(strangers) < MAX_STRANGERS:
        return Decision(Verdict.NEW, trip)
    alike = [known for known in strangers if known.target == trip.target]
    wider = [known for known in strangers if known.target.covers(trip.target)]
    if alike or wider:
        return Decision(Verdict.JOINS, (alike or wider)[0])
    return Decision(Verdict.NEW, replace(trip, target=Target(trip.target.level)))


def _meant(stop: Stop, named: str, target: Target) -> Trip | None:
    newest_first = reversed(stop.trips)
    if not named:
        return next((trip for trip in newest_first if trip.target == target), None)
    same = (trip for trip in newest_first if named in (trip.id, trip.alias))
    return next((trip for trip in same if trip.target.covers(target)), None)


def _identified(stop: Stop, identity: str) -> Decision | None:
    if not identity:
        return None
    for trip in stop.trips:
        if trip.identity == identity:
            return Decision(Verdict.JOINS, trip)
    if any(release.identity == identity for release in stop.releases):
        return Decision(Verdict.ECHO)
    return None


def _new_or_known(trip: Trip, stop: Stop) -> Decision:
    """A trip of our own naming means the one that has its name, came its way, and stops as much.

    The name alone is not enough: on the bus anybody may use it as an alias.
    """
    for known in stop.trips:
        same = known.alias == trip.alias != "" and known.way is trip.way
        if same and known.target.covers(trip.target):
            return Decision(Verdict.JOINS, known)
    return within_bounds(trip, stop)


def _foreign(copy: Copy, fields: Mapping[str, Any], origin: Origin) -> Trip:
    return called(
        text_in(fields, "reason") or "no reason given",
        text_in(fields, "triggered_by") or copy,
        read_target(fields.get("level"), fields.get("scope")),
        replace(origin, way=Way.REDIS if copy is Copy.REDIS else Way.SQL),
    )


def _hash(data: bytes) -> str:
    return blake2b(data, digest_size=16).hexdigest()
