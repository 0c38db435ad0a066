"""Stops for tests: ids that can be read, and hypothesis strategies."""

from collections.abc import Callable
from itertools import count

from hypothesis import strategies as st
from orchestrator.protocol.targets import STOP_ALL, Level, Target
from orchestrator.protocol.trips import Forgotten, Release, Stop, Trip, stop_of
from orchestrator.protocol.ways import Way

AT = "2026-01-31T09:30:00.000Z"
LATER = "2026-01-31T09:30:01.000Z"

scopes = st.sampled_from(["all", "group:g", "group:h", "agent:a", "agent:b"])
targets = st.builds(Target, st.sampled_from(Level), scopes)
stamps = st.integers(0, 20).map(lambda number: f"{number:011x}{number:016x}")
digests = st.lists(stamps, max_size=6).map(tuple)
trips = st.builds(
    Trip,
    id=st.sampled_from(["A", "B", "C", "D"]),
    reason=st.sampled_from(["r1", "r2"]),
    triggered_by=st.sampled_from(["anna", "bob"]),
    at=st.sampled_from([AT, LATER]),
    target=targets,
    way=st.sampled_from(Way),
    alias=st.sampled_from(["", "x", "y"]),
    identity=st.sampled_from(["", "row:1:2"]),
    digests=digests,
)
releases = st.builds(
    Release,
    trip_id=st.sampled_from(["A", "B", "C", "D"]),
    at=st.sampled_from([AT, LATER]),
    alias=st.sampled_from(["", "x"]),
    identity=st.sampled_from(["", "row:1:2"]),
    digests=digests,
)
numbers = st.integers(0, 5)
forgotten = st.just(Forgotten()) | st.builds(Forgotten, st.sampled_from([AT, LATER]), numbers)
stops = st.builds(
    stop_of,
    st.lists(trips, max_size=5),
    st.lists(releases, max_size=4),
    numbers,
    forgotten=forgotten,
    released_under=st.just(0),
    resumed=st.lists(st.tuples(st.sampled_from(["a", "b"]), numbers)),
).flatmap(
    lambda known: st.integers(0, known.generation).map(
        lambda generation: known.union(Stop(released_under=generation))
    )
)


def trip(name: str = "A", **fields: object) -> Trip:
    """A trip by HTTP, halt/all unless said otherwise."""
    known = {"reason": "why", "triggered_by": "anna", "at": AT, "target": STOP_ALL}
    return Trip(name, **(known | fields))  # type: ignore[arg-type]


def stop(*names: str, released: tuple[str, ...] = ()) -> Stop:
    """A stop with these trips in force and those released."""
    every = [trip(name) for name in (*names, *released)]
    return stop_of(every, [Release(name, LATER) for name in released])


def ids(prefix: str = "N") -> Callable[[float], str]:
    """Makes N1, N2, …"""
    numbers = count(1)
    return lambda _unix_s: f"{prefix}{next(numbers)}"
