"""What messages, heartbeats and trip files mean: a new trip, a known one, an echo. Pure.

Nothing here releases. What is broken stops more, never less: a message that cannot be read is
halt/all.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from ..protocol.heartbeat import GateBeat
from ..protocol.json_object import clean_text, read_object, text_in
from ..protocol.targets import STOP_ALL, Target, read_target
from ..protocol.timestamps import timestamp
from ..protocol.trips import NAME_CHARS, REASON_CHARS, Stop, Trip
from ..protocol.ulid import new_ulid, ulid_unix_s
from ..protocol.ways import Way

MAX_STRANGERS: Final = 100
"""Trips in force that came by ways open to strangers; further ones join one of them."""

DAEMON: Final = "orchestrator"
"""The ``source`` of a daemon's own messages."""

NewId = Callable[[float], str]
"""Makes an id, given Unix seconds."""

Read = Callable[[bytes], Mapping[str, Any] | None]
"""Reads a JSON object."""


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


def with_id(trip: Trip, wanted: str, stop: Stop) -> Trip:
    """The id that its maker has given to a trip, so that it is one by whatever ways it comes.

    A trip in force with that id which stops as much is the one that is meant.
    """
    known = stop.find(wanted)
    if known is not None and known.target.covers(trip.target):
        return known
    return (
        trip if ulid_unix_s(wanted) is None or _is_known(wanted, stop) else replace(trip, id=wanted)
    )


def heard(payload: bytes, stop: Stop, origin: Origin, read: Read = read_object) -> Decision:
    """A message on ``risk.killswitch``, or an entry of the stream for that channel.

    A message that names a trip joins it only if that trip stops as much: one that asks for more
    is a new trip.

    Args:
        payload: as published.
        stop: what is known.
        origin: way, time, sender.
        read: of the payload a JSON object's fields, or nothing.
    """
    if (known := stop.echo_of(payload)) is not None:
        return Decision(Verdict.ECHO, stop.find(known))
    fields = read(payload) or {}
    if fields.get("enabled") is False:
        return Decision(Verdict.FALSE)
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


def adopted(trip: Trip, stop: Stop, source: str | None) -> Trip:
    """A trip heard of another daemon on this bus keeps its id, so that both have the same one.

    It may be forged, and engages like any other; an id that is known here is never given again.
    """
    name = trip.alias
    if source != DAEMON or ulid_unix_s(name) is None or _is_known(name, stop):
        return trip
    return replace(trip, id=name, alias="")


def heard_beat(agent: str, beat: GateBeat, stop: Stop, origin: Origin) -> Decision | None:
    """A heartbeat: ``halted`` by a trip that is unknown here, under this generation, engages it.

    Such a stop reached the agent and not the daemon, or not yet. What it stops is not known:
    halt/all. An id of the form of ours is kept, so that it is one trip when it comes by itself.
    """
    name = beat.trip_id
    if not beat.is_halted or name is None or beat.generation != stop.generation:
        return None
    if _is_known(name, stop):
        return None
    reason = f"{agent} has halted for a stop that had not come here"
    trip = called(reason, agent, STOP_ALL, replace(origin, way=Way.BEAT))
    is_ours = ulid_unix_s(name) is not None
    return within_bounds(replace(trip, id=name) if is_ours else replace(trip, alias=name), stop)


def found_file(name: str, data: bytes, stop: Stop, origin: Origin) -> Decision:
    """A trip file: ``TRIP`` and ``killswitch`` by hand, ``TRIP.<ulid>`` by ``orc halt``.

    One with an id is the trip with that id, by whatever way that comes too; one made by hand means
    the trip that it made for as long as that is in force.

    Args:
        name: of the file.
        data: its beginning: a JSON object with fields as on the bus, or words.
        stop: what is known.
        origin: way and time.
    """
    own_id = clean_text(name.partition(".")[2], NAME_CHARS)
    identity, alias = (f"file:{own_id}", "") if own_id else ("", f"file:{name}")
    if (same := identified(stop, identity)) is not None:
        return same
    if stop.released(own_id) is not None:
        return Decision(Verdict.ECHO)
    fields = read_object(data)
    words = data.decode(errors="replace").strip() if fields is None else text_in(fields, "reason")
    fields = fields or {}
    trip = called(
        words or f"the file {name} was made",
        text_in(fields, "triggered_by") or origin.source or origin.way,
        read_target(fields.get("level"), fields.get("scope")),
        origin,
    )
    trip = with_id(replace(trip, alias=alias, identity=identity), own_id, stop)
    if trip == stop.find(own_id):
        return Decision(Verdict.JOINS, trip)
    return new_or_known(trip, stop)


def _is_known(name: str, stop: Stop) -> bool:
    return bool(stop.named(name)) or stop.has_released(name) or stop.may_have_forgotten(name)


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


def identified(stop: Stop, identity: str) -> Decision | None:
    """What an identity means that was read before; ``None`` if it is new (or empty)."""
    if not identity:
        return None
    for trip in stop.trips:
        if trip.identity == identity:
            return Decision(Verdict.JOINS, trip)
    if any(release.identity == identity for release in stop.releases):
        return Decision(Verdict.ECHO)
    return None


def new_or_known(trip: Trip, stop: Stop) -> Decision:
    """A trip of our own naming means the one that has its name, came its way, and stops as much.

    The name alone is not enough: on the bus anybody may use it as an alias.
    """
    for known in stop.trips:
        same = known.alias == trip.alias != "" and known.way is trip.way
        if same and known.target.covers(trip.target):
            return Decision(Verdict.JOINS, known)
    return within_bounds(trip, stop)
