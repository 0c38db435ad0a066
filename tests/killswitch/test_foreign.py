from dataclasses import replace

import pytest
from orchestrator.killswitch.foreign import (
    damaged,
    found_document,
    is_written_again,
    row_identity,
)
from orchestrator.killswitch.intake import Decision, Origin, Verdict
from orchestrator.killswitch.readings import Copy
from orchestrator.protocol.document import write_document
from orchestrator.protocol.targets import STOP_ALL, Level, Target
from orchestrator.protocol.trips import Stop, Trip, stop_of
from orchestrator.protocol.ways import Way
from stops import AT, LATER, ids, stop, trip

NOW = 1_769_851_800.0
FOREIGN = b'{"enabled": true, "reason": "page offline", "triggered_by": "page"}'


def find(
    data: bytes, known: Stop | None = None, xmin: str = "7", copy: Copy = Copy.POSTGRES
) -> tuple[Stop, Decision | None]:
    return found_document(
        copy, data, known or Stop(), Origin(Way.PROCESS, NOW, new_id=ids()), xmin=xmin
    )


def new(found: tuple[Stop, Decision | None]) -> Trip:
    decision = found[1]
    assert decision is not None
    assert decision.verdict is Verdict.NEW
    assert decision.trip is not None
    return decision.trip


def test_a_document_of_ours_is_its_sets_and_nothing_besides() -> None:
    known = stop("A", released=("B",))

    assert find(write_document(known)) == (known, None)
    assert find(b'{"enabled": false}') == (Stop(), None)


def test_a_row_by_another_program_is_a_trip_of_its_own() -> None:
    made = new(find(FOREIGN))

    assert made == Trip(
        "N1",
        "page offline",
        "page",
        AT,
        STOP_ALL,
        Way.SQL,
        identity=row_identity(FOREIGN, "7"),
    )


def test_a_row_by_another_program_may_have_level_and_scope() -> None:
    made = new(find(b'{"enabled": true, "level": "reduce", "scope": "group:g"}'))

    assert made.target == Target(Level.REDUCE, "group:g")
    assert (made.reason, made.triggered_by) == ("no reason given", "postgres")


@pytest.mark.parametrize("data", [FOREIGN, b"\0", b'{"enabled": "yes"}'])
def test_the_same_row_is_one_trip_in_force_and_released(data: bytes) -> None:
    made = new(find(data))
    known = stop_of([made])

    assert find(data, known) == (Stop(), Decision(Verdict.JOINS, made))
    assert find(data, known.with_release("N1", LATER)) == (Stop(), Decision(Verdict.ECHO))


def test_the_same_text_written_again_is_a_new_trip_and_that_is_seen() -> None:
    first = new(find(FOREIGN))
    second = replace(new(find(FOREIGN, stop_of([first]), xmin="8")), id="N2")
    both = stop_of([first, second])

    assert is_written_again(both, second)
    assert is_written_again(both.with_release("N1", LATER), second)
    assert not is_written_again(stop_of([first]), first)
    assert not is_written_again(both, trip("A"))
    assert not is_written_again(both, trip("A", identity="file:1"))


def test_another_text_is_not_the_same_written_again() -> None:
    first = new(find(FOREIGN))
    other = replace(new(find(FOREIGN + b" ", xmin="8")), id="N2")

    assert not is_written_again(stop_of([first, other]), other)


def test_a_files_identity_is_never_a_row_written_again() -> None:
    files = [trip("A", identity="file:x:1"), trip("B", identity="file:x:2")]

    assert not is_written_again(stop_of(files), files[0])


def test_enabled_written_into_our_released_document_engages_and_keeps_the_release() -> None:
    data = write_document(stop(released=("A",))).replace(b'"enabled":false', b'"enabled":true')

    sets, decision = find(data)

    assert sets == stop(released=("A",))
    assert decision is not None
    assert decision.verdict is Verdict.NEW


def test_damage_stops_all_until_a_person_looked_at_it() -> None:
    made = new(find(b"\0", copy=Copy.REDIS))

    assert (made.triggered_by, made.target, made.way) == ("damage:redis", STOP_ALL, Way.DAMAGE)
    assert made.alias.startswith("damage:")
    assert made.identity == ""
    assert "(redis)" in made.reason


def test_what_a_damaged_document_still_says_counts() -> None:
    data = write_document(stop("A")).replace(b'"releases":[]', b'"releases":[0]')

    sets, decision = find(data)

    assert sets == stop("A")
    assert decision is not None
    assert decision.trip is not None
    assert decision.trip.triggered_by == "damage:postgres"


def test_a_key_by_another_program_is_known_by_its_text_while_it_is_in_force() -> None:
    made = new(find(FOREIGN, copy=Copy.REDIS))
    known = stop_of([made])

    assert (made.way, made.identity) == (Way.REDIS, "")
    assert find(FOREIGN, known, copy=Copy.REDIS)[1] == Decision(Verdict.JOINS, made)
    assert new(find(FOREIGN, known.with_release("N1", LATER), copy=Copy.REDIS))


def test_a_release_in_the_key_counts_for_nothing() -> None:
    assert find(write_document(stop(released=("A",))), copy=Copy.REDIS) == (Stop(), None)


def test_damage_of_one_copy_is_not_that_of_another() -> None:
    origin = Origin(Way.PROCESS, NOW, new_id=ids())
    first = damaged(Copy.LATCH, b"x", Stop(), origin)
    assert first.trip is not None
    known = stop_of([first.trip])

    assert damaged(Copy.LATCH, b"x", known, origin).verdict is Verdict.JOINS
    assert damaged(Copy.LATCH, b"y", known, origin).verdict is Verdict.NEW
    assert damaged(Copy.GUARD, b"x", known, origin).verdict is Verdict.NEW


def test_damage_is_not_hushed_by_a_weaker_trip_of_its_name() -> None:
    origin = Origin(Way.PROCESS, NOW, new_id=ids())
    made = damaged(Copy.LATCH, b"x", Stop(), origin).trip
    assert made is not None
    decoys = [
        replace(made, id="D1", way=Way.BUS),
        replace(made, id="D2", target=Target(Level.REDUCE)),
    ]

    assert damaged(Copy.LATCH, b"x", stop_of(decoys), origin).verdict is Verdict.NEW
