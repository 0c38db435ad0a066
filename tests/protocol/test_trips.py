from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchestrator.protocol import trips as module
from orchestrator.protocol.targets import Level, Permission, Target
from orchestrator.protocol.timestamps import timestamp
from orchestrator.protocol.trips import (
    REMEMBERED_S,
    Forgotten,
    Release,
    Stop,
    Trip,
    effective,
    stop_of,
)
from orchestrator.protocol.ulid import new_ulid
from stops import AT, LATER, stop, stops, trip
from stops import releases as any_release
from stops import trips as any_trip

NOW = 1_769_851_800.0


@given(stops, stops, stops)
def test_union_is_a_semilattice(a: Stop, b: Stop, c: Stop) -> None:
    assert a.union(a) == a
    assert a.union(b) == b.union(a)
    assert a.union(b).union(c) == a.union(b.union(c))
    assert a.union(Stop()) == a


@given(stops, stops)
def test_union_forgets_no_trip_and_no_release(a: Stop, b: Stop) -> None:
    both = a.union(b)
    tripped = {known.id for known in (*a.trips, *b.trips)}
    ended = {known.trip_id for known in (*a.releases, *b.releases)}

    assert {known.trip_id for known in both.releases} == ended
    assert {known.id for known in both.trips} == tripped - ended
    assert both.generation == max(a.generation, b.generation)
    assert both.released_under == max(a.released_under, b.released_under)
    if a.forgotten == b.forgotten:
        assert both.release_count >= max(a.release_count, b.release_count)


@given(any_trip, any_trip, any_trip)
def test_copies_of_a_trip_join_in_any_order(a: Trip, b: Trip, c: Trip) -> None:
    a, b, c = (replace(known, id="A") for known in (a, b, c))

    assert a.join(b) == b.join(a)
    assert a.join(b).join(c) == a.join(b.join(c))
    assert a.join(b).target == a.target.join(b.target)
    assert a.join(b).at == min(a.at, b.at)
    assert a.join(b).alias == max(a.alias, b.alias)
    assert a.join(b).identity == max(a.identity, b.identity)


@given(any_release, any_release, any_release)
def test_copies_of_a_release_join_in_any_order(a: Release, b: Release, c: Release) -> None:
    a, b, c = (replace(known, trip_id="A") for known in (a, b, c))

    assert a.join(b) == b.join(a)
    assert a.join(b).join(c) == a.join(b.join(c))
    assert a.join(b).at == max(a.at, b.at)
    assert a.join(b).alias == max(a.alias, b.alias)
    assert a.join(b).identity == max(a.identity, b.identity)


def test_of_two_copies_the_older_words_are_kept() -> None:
    older, newer = trip(reason="z", at=AT), trip(reason="a", at=LATER)

    assert newer.join(older).reason == "z"
    assert trip(triggered_by="b").join(trip(triggered_by="a")).triggered_by == "a"
    assert trip().words == ("anna", "why", "http")


def test_a_trip_is_in_force_until_its_release() -> None:
    tripped = Stop().with_trip(trip("A")).with_trip(trip("B"))
    released = tripped.with_release("A", LATER)

    assert (tripped.in_force, [known.id for known in tripped.trips]) == (True, ["A", "B"])
    assert [known.id for known in released.trips] == ["B"]
    assert not released.with_release("B", LATER).in_force
    assert released.with_trip(trip("A")) == released


def test_a_release_that_is_known_first_counts_as_well() -> None:
    early = Stop().with_release("A", LATER)

    assert early.with_trip(trip("A")).trips == ()
    assert early.released("A") == Release("A", LATER)
    assert early.released("B") is None


def test_trips_are_in_order_of_time_then_id() -> None:
    several = stop_of([trip("B", at=LATER), trip("C", at=AT), trip("A", at=LATER)])

    assert [known.id for known in several.trips] == ["C", "A", "B"]
    assert several.newest == trip("B", at=LATER)
    assert Stop().newest is None


def test_halt_for_all_is_in_force_only_if_one_trip_says_both() -> None:
    halt_some = trip("A", target=Target(Level.HALT, "group:g"))
    reduce_all = trip("B", target=Target(Level.REDUCE))

    assert not stop_of([halt_some, reduce_all]).stops_all
    assert stop_of([halt_some, reduce_all, trip("C")]).stops_all


def test_a_trip_is_found_by_id_and_named_by_id_or_alias() -> None:
    old, new = trip("A", alias="x"), trip("B", alias="x", at=LATER)
    both = stop_of([old, new, trip("C", at=AT)])

    assert both.find("A") == old
    assert both.find("x") is None
    assert both.named("x") == new
    assert both.named("A") == old
    assert both.named("nothing") is None


def test_a_released_trip_is_still_recognised_by_id_and_alias() -> None:
    gone = stop_of([trip("A", alias="x")]).with_release("A", LATER)

    assert gone.has_released("A")
    assert gone.has_released("x")
    assert not gone.has_released("B")
    assert gone.named("A") is None


def test_what_a_trip_is_recognised_by_goes_to_its_release() -> None:
    marked = trip("A", alias="x", identity="row:1:2", digests=("d",))

    assert stop_of([marked], [Release("A", LATER)]) == Stop(
        releases=(Release("A", LATER, "x", "row:1:2", ("d",)),)
    )


def test_the_generation_only_rises() -> None:
    assert Stop().with_generation(5).with_generation(3).generation == 5
    assert stop("A").with_generation(5).trips == stop("A").trips


def test_what_was_published_about_a_trip_is_an_echo_before_and_after_its_release() -> None:
    published = stop("A", "B").with_published("A", b"one", NOW)
    released = published.with_release("A", LATER).with_published("A", b"two", NOW + 1)

    assert published.echo_of(b"one") == "A"
    assert published.echo_of(b"one ") is None
    assert published.find("B") == trip("B")
    assert (released.echo_of(b"one"), released.echo_of(b"two")) == ("A", "A")
    assert released.trips == stop("B").trips


def test_publishing_about_a_trip_that_is_not_known_changes_nothing() -> None:
    assert stop("A").with_published("Z", b"one", NOW) == stop("A")


def test_only_a_few_digests_of_a_trip_are_kept() -> None:
    known = stop("A")
    for number in range(10):
        known = known.with_published("A", b"%d" % number, NOW + number)

    echoes = [number for number in range(10) if known.echo_of(b"%d" % number)]
    assert echoes == [0, 7, 8, 9]


def aged(days: float) -> Stop:
    return Stop().with_release("A", timestamp(NOW - days * 86_400))


def test_a_release_of_30_days_is_forgotten_and_still_counts() -> None:
    old = aged(31).with_generation(7)

    left = old.forget(NOW)

    assert left.releases == ()
    assert left == Stop(generation=7, forgotten=Forgotten(old.releases[0].at, 1))
    assert left.release_count == old.release_count == 1


def test_exactly_30_days_are_not_yet_enough() -> None:
    assert REMEMBERED_S == 30 * 24 * 3600
    edge = aged(30)

    assert edge.forget(NOW) is edge
    assert edge.forget(NOW + 0.001) != edge


def test_a_release_without_a_time_is_never_forgotten() -> None:
    odd = Stop().with_release("A", "unknown")

    assert odd.forget(NOW) is odd
    assert odd.union(aged(31).forget(NOW)).release_count == 2


def test_only_what_is_old_is_forgotten() -> None:
    both = aged(31).with_release("B", timestamp(NOW))

    left = both.forget(NOW)

    assert [known.trip_id for known in left.releases] == ["B"]
    assert (left.forgotten.total, left.release_count) == (1, 2)


def test_a_copy_that_still_has_what_was_forgotten_changes_no_count() -> None:
    both = aged(32).with_release("B", timestamp(NOW))
    less = both.forget(NOW)

    again = less.union(both)

    assert [known.trip_id for known in again.releases] == ["A", "B"]
    assert again.release_count == 2
    assert again.forget(NOW) == less
    assert again.forget(NOW + 40 * 86_400).release_count == 2


def test_what_is_forgotten_again_changes_no_count() -> None:
    """A copy brought back what had been forgotten while the clock was ahead."""
    less = aged(0).forget(NOW + 40 * 86_400)
    both = less.union(aged(0)).union(Stop(releases=(Release("C", timestamp(NOW - 32 * 86_400)),)))
    assert both.release_count == 1

    again = both.forget(NOW)

    assert [known.trip_id for known in again.releases] == ["A"]
    assert again.release_count == 1


def test_a_release_by_a_clock_that_is_behind_counts_as_well() -> None:
    left = aged(31).forget(NOW)

    released = left.with_release("B", "1970-01-01T00:00:00.000Z")

    assert released.release_count == 2
    assert released.releases[0].at > left.forgotten.until
    assert left.with_release("B", left.forgotten.until).release_count == 2
    assert left.with_release("B", LATER).releases[0].at == LATER


def test_an_id_of_before_what_was_forgotten_may_be_a_forgotten_one() -> None:
    left = aged(31).forget(NOW)
    edge_s = NOW - 31 * 86_400

    assert left.may_have_forgotten(new_ulid(edge_s))
    assert not left.may_have_forgotten(new_ulid(edge_s + 0.001))
    assert not left.may_have_forgotten("x")
    assert not Stop().may_have_forgotten(new_ulid(edge_s))


@given(st.lists(st.tuples(st.sampled_from("RFMC"), st.integers(0, 2), st.integers(0, 2))))
def test_replicas_count_every_release_once(steps: list[tuple[str, int, int]]) -> None:
    """R release, F forget (as all hold the same), M two meet, C one crashes to another's state."""
    replicas, released, now = [Stop()] * 3, 0, NOW
    for step, one, other in steps:
        now += 5 * 86_400
        if step == "R":
            replicas[one] = replicas[one].with_release(f"T{released}", timestamp(now))
            released += 1
        elif step == "F" and len(set(replicas)) == 1:
            replicas[one] = replicas[one].forget(now)
        elif step in "FM":
            replicas[one] = replicas[one].union(replicas[other])
        before = [known.release_count for known in replicas]
        assert max(before) <= released
    met = replicas[0].union(replicas[1]).union(replicas[2])
    assert met.release_count == released
    assert met.forget(now + 31 * 86_400).release_count == released


def test_a_release_ends_what_was_resumed_before() -> None:
    known = stop("A").with_generation(5).with_resumed("a").with_resumed("b")
    assert known.resumed == (("a", 5), ("b", 5))

    released = known.with_release("A", LATER, 6)

    assert (released.generation, released.released_under, released.resumed) == (6, 6, ())
    assert released.union(known).resumed == ()
    assert released.with_resumed("a").with_generation(9).resumed == (("a", 6),)


def test_an_agent_that_is_resumed_again_has_the_newest_generation() -> None:
    known = Stop(generation=5).with_resumed("a").with_generation(7).with_resumed("a")

    assert known.resumed == (("a", 7),)
    assert known.union(Stop(generation=6).with_resumed("a")) == known


def test_of_very_many_resumed_agents_the_oldest_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert module.MAX_RESUMED == 1_000
    monkeypatch.setattr(module, "MAX_RESUMED", 2)
    first = Stop(generation=1).with_resumed("c").with_generation(2)

    assert first.with_resumed("a").with_resumed("b").resumed == (("a", 2), ("b", 2))


def test_what_an_agent_may_do_follows_from_the_trips_in_force() -> None:
    known = stop_of(
        [
            trip("A", target=Target(Level.REDUCE, "group:g")),
            trip("B", target=Target(Level.HALT, "agent:a")),
        ]
    )

    assert effective(known, "a", "g") is Permission.HALT
    assert effective(known, "b", "g") is Permission.REDUCE
    assert effective(known, "b", "h") is Permission.ALLOWED
    assert effective(known.with_release("B", LATER), "a", "g") is Permission.REDUCE


@pytest.mark.parametrize("group", ["g", None])
def test_nothing_in_force_allows_everything(group: str | None) -> None:
    assert effective(stop(released=("A",)), "a", group) is Permission.ALLOWED
