"""The stop: a set of trips and a set of releases, merged by union.

In force are the trips without a release. Union is idempotent, commutative and associative, so it
does not matter in which order copies meet, or how often. Standard library only: daemon, guard and
kit read the same state.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from .digests import has_digest, kept_digests, stamped_digest
from .targets import STOP_ALL, Permission, Target, strictest
from .timestamps import timestamp, unix_seconds
from .ulid import ulid_unix_s
from .ways import Way

REASON_CHARS: Final = 500
"""The contract's limit; longer reasons are cut."""
NAME_CHARS: Final = 100
"""Of an alias (contract) and of a name in ``triggered_by``."""
REMEMBERED_S: Final = 30 * 86_400.0
"""A release is kept at least so long; copies that are older may bring its trip back."""
MAX_RESUMED: Final = 1_000
"""Agents resumed by hand that are remembered; those of the lowest generations go first."""


@dataclass(frozen=True, slots=True)
class Trip:
    """One emergency stop."""

    id: str
    """Ours: a ULID."""
    reason: str
    """Why, 1 to 500 characters."""
    triggered_by: str
    """Who, up to 100 characters."""
    at: str
    """When (UTC, ISO 8601)."""
    target: Target = STOP_ALL
    """Level and scope."""
    way: Way = Way.HTTP
    """How it came."""
    alias: str = ""
    """The producer's own ``trip_id``, or the hash of damaged bytes; up to 100 characters."""
    identity: str = ""
    """Of the foreign row or trip file that it was read from: what has it is this trip, also when
    it is released."""
    digests: tuple[str, ...] = ()
    """Stamped hashes of bytes that we published about it, oldest first."""

    @property
    def order(self) -> tuple[str, str]:
        """Trips are listed by this, oldest first."""
        return self.at, self.id

    def join(self, other: "Trip") -> "Trip":
        """Two copies of one trip: the stricter target, the older words, all digests."""
        older = min(self, other, key=lambda trip: (trip.at, trip.words))
        return replace(
            older,
            target=self.target.join(other.target),
            alias=max(self.alias, other.alias),
            identity=max(self.identity, other.identity),
            digests=kept_digests(self.digests + other.digests),
        )

    @property
    def words(self) -> tuple[str, str, str]:
        """What it says for people."""
        return self.triggered_by, self.reason, self.way


@dataclass(frozen=True, slots=True)
class Release:
    """The end of one trip. Who released it and why is in the event and the audit."""

    trip_id: str
    """Which trip."""
    at: str
    """When (UTC, ISO 8601)."""
    alias: str = ""
    """The trip's: an agent that waits to be resumed may still name it."""
    identity: str = ""
    """The trip's."""
    digests: tuple[str, ...] = ()
    """The trip's, and those of what was published about the release."""

    def join(self, other: "Release") -> "Release":
        """Two copies of one release."""
        return Release(
            self.trip_id,
            max(self.at, other.at),
            max(self.alias, other.alias),
            max(self.identity, other.identity),
            kept_digests(self.digests + other.digests),
        )


class Forgotten(NamedTuple):
    """Releases that are no longer kept: they still count. The one with the later time wins."""

    until: str = ""
    """Every release up to this time is in ``total``, kept or not (a copy may still have it)."""
    total: int = 0
    """How many."""


NOTHING_FORGOTTEN: Final = Forgotten()


@dataclass(frozen=True, slots=True)
class Stop:
    """All trips and releases that are known; made by `stop_of`, which keeps it canonical."""

    trips: tuple[Trip, ...] = ()
    """In force, oldest first."""
    releases: tuple[Release, ...] = ()
    """In order of ids."""
    generation: int = 0
    """The permit's, the highest that was issued."""
    forgotten: Forgotten = NOTHING_FORGOTTEN
    """Releases that are no longer kept."""
    released_under: int = 0
    """The generation that the last release raised it to."""
    resumed: tuple[tuple[str, int], ...] = ()
    """Agents that a person has resumed since then, with the generation, in order of names."""

    @property
    def in_force(self) -> bool:
        """Whether anything is stopped."""
        return bool(self.trips)

    @property
    def stops_all(self) -> bool:
        """Whether halt/all is in force: no permit is issued."""
        return any(trip.target == STOP_ALL for trip in self.trips)

    @property
    def release_count(self) -> int:
        """The permit's ``releases``; never falls."""
        until, total = self.forgotten
        return total + sum(release.at > until for release in self.releases)

    @property
    def newest(self) -> Trip | None:
        """The trip that documents and messages name first."""
        return self.trips[-1] if self.trips else None

    def find(self, trip_id: str) -> Trip | None:
        """A trip in force by its id."""
        return next((trip for trip in self.trips if trip.id == trip_id), None)

    def named(self, name: str) -> Trip | None:
        """The newest trip in force with that id or alias."""
        newest_first = reversed(self.trips)
        return next((trip for trip in newest_first if name in (trip.id, trip.alias)), None)

    def has_released(self, name: str) -> bool:
        """Whether a trip with that id or alias is known to be released."""
        return any(name in (release.trip_id, release.alias) for release in self.releases)

    def may_have_forgotten(self, name: str) -> bool:
        """Whether it may be the id of a trip whose release is no longer kept."""
        made_at_s, until_s = ulid_unix_s(name), unix_seconds(self.forgotten.until)
        return made_at_s is not None and until_s is not None and made_at_s <= until_s

    def released(self, trip_id: str) -> Release | None:
        """The release of that trip."""
        return next((known for known in self.releases if known.trip_id == trip_id), None)

    def union(self, other: "Stop") -> "Stop":
        """All that either knows."""
        return stop_of(
            self.trips + other.trips,
            self.releases + other.releases,
            generation=max(self.generation, other.generation),
            forgotten=max(self.forgotten, other.forgotten),
            released_under=max(self.released_under, other.released_under),
            resumed=self.resumed + other.resumed,
        )

    def with_trip(self, trip: Trip) -> "Stop":
        """With one more trip; it is not in force if its release is known."""
        return self.union(Stop(trips=(trip,)))

    def with_release(self, trip_id: str, at: str, generation: int = 0) -> "Stop":
        """With that trip released; agents resumed by hand have to be resumed again.

        Args:
            trip_id: which one.
            at: when; later than all that was forgotten, even if the clock is behind that.
            generation: above all that were known before.
        """
        if at <= self.forgotten.until:
            at = timestamp((unix_seconds(self.forgotten.until) or 0.0) + 0.001)
        released = Stop((), (Release(trip_id, at),), generation, released_under=generation)
        return self.union(released)

    def with_resumed(self, agent: str) -> "Stop":
        """With that agent resumed by a person, under the present generation."""
        return self.union(Stop(resumed=((agent, self.generation),)))

    def with_generation(self, generation: int) -> "Stop":
        """With a higher generation; never a lower one."""
        return replace(self, generation=max(generation, self.generation))

    def with_published(self, trip_id: str, payload: bytes, unix_s: float) -> "Stop":
        """With the digest of what was published about a trip, in force or released."""
        digests = (stamped_digest(payload, unix_s),)
        trip, release = self.find(trip_id), self.released(trip_id)
        if trip is not None:
            return self.with_trip(replace(trip, digests=digests))
        if release is not None:
            return self.union(Stop(releases=(replace(release, digests=digests),)))
        return self

    def echo_of(self, payload: bytes) -> str | None:
        """The id of the trip about which we published exactly these bytes."""
        known = [(trip.id, trip.digests) for trip in self.trips]
        known += [(release.trip_id, release.digests) for release in self.releases]
        return next((name for name, kept in known if has_digest(kept, payload)), None)

    def forget(self, unix_s: float) -> "Stop":
        """Without the releases that are 30 days old; their count stays.

        To be called only while latch, row and key hold exactly this, and nothing else holds a
        trip of those releases (the guard's slots might): else that trip would come back.
        """
        limit = unix_s - REMEMBERED_S
        old = [release for release in self.releases if _before(release.at, limit)]
        if not old:
            return self
        until = max(self.forgotten.until, *(release.at for release in old))
        kept = tuple(release for release in self.releases if release not in old)
        later = sum(release.at > until for release in kept)
        forgotten = Forgotten(until, self.release_count - later)
        return replace(self, releases=kept, forgotten=forgotten)


def stop_of(  # noqa: PLR0913 the fields of Stop
    trips: Iterable[Trip] = (),
    releases: Iterable[Release] = (),
    generation: int = 0,
    *,
    forgotten: Forgotten = NOTHING_FORGOTTEN,
    released_under: int = 0,
    resumed: Iterable[tuple[str, int]] = (),
) -> Stop:
    """The canonical form: one of each id, no trip that is released, in order.

    What a released trip is recognised by goes to its release; its words are dropped.
    """
    ends: dict[str, Release] = {}
    for release in releases:
        known = ends.get(release.trip_id, release)
        ends[release.trip_id] = known.join(release)
    in_force: dict[str, Trip] = {}
    for trip in trips:
        if (end := ends.get(trip.id)) is not None:
            marks = Release(trip.id, end.at, trip.alias, trip.identity, trip.digests)
            ends[trip.id] = end.join(marks)
        else:
            in_force[trip.id] = in_force.get(trip.id, trip).join(trip)
    return Stop(
        tuple(sorted(in_force.values(), key=lambda trip: trip.order)),
        tuple(ends[name] for name in sorted(ends)),
        generation,
        forgotten,
        released_under,
        _resumed_since(released_under, resumed),
    )


def effective(stop: Stop, agent: str, group: str | None) -> Permission:
    """What an agent may do under the trips in force; ``group`` is ``None`` where it is unknown."""
    return strictest((trip.target for trip in stop.trips), agent, group)


def _resumed_since(
    released_under: int, resumed: Iterable[tuple[str, int]]
) -> tuple[tuple[str, int], ...]:
    newest: dict[str, int] = {}
    for agent, generation in resumed:
        if generation >= released_under:
            newest[agent] = max(generation, newest.get(agent, 0))
    by_generation = sorted(newest.items(), key=lambda item: (item[1], item[0]))
    return tuple(sorted(by_generation[-MAX_RESUMED:]))


def _before(at: str, limit_s: float) -> bool:
    when = unix_seconds(at)
    return when is not None and when < limit_s
