"""The table of copies (stop-stores.json), and what it does not list."""

from dataclasses import replace
from pathlib import Path

import pytest
from orchestrator.killswitch.intake import Origin
from orchestrator.killswitch.latch import Latch
from orchestrator.killswitch.readings import (
    UNREAD,
    Condition,
    Copy,
    Reading,
    away,
    found,
    hidden,
)
from orchestrator.killswitch.resolve import Resolution, resolve
from orchestrator.protocol.document import write_document
from orchestrator.protocol.permit import PLAUSIBLE_AHEAD_S
from orchestrator.protocol.targets import STOP_ALL, Level, Target
from orchestrator.protocol.trips import Stop, stop_of
from orchestrator.protocol.ways import Way
from stops import LATER, ids, stop, trip

from .table import CASES, document, expected, latched, remote

NOW = 1_769_851_800.0
MET = found(write_document(Stop()))


def origin() -> Origin:
    return Origin(Way.PROCESS, NOW, new_id=ids())


def guarded(text: str) -> Reading:
    return found(write_document(document(text)))


def outcome(case: dict[str, str], folder: Path) -> Resolution:
    readings = {
        Copy.LATCH: latched(case["latch"], folder),
        Copy.POSTGRES: remote(case["postgres"]),
        Copy.REDIS: remote(case["redis"]),
    }
    if "guard's slots" in case:
        readings[Copy.GUARD] = guarded(case["guard's slots"])
    return resolve(readings, origin())


@pytest.mark.parametrize("case", CASES, ids=lambda case: " | ".join(case.values()))
def test_every_row_of_the_table(case: dict[str, str], tmp_path: Path) -> None:
    resolution = outcome(case, tmp_path)

    status, names, damages, is_foreign = expected(case)
    assert resolution.status == status
    known = {trip.id for trip in resolution.stop.trips} - {trip.id for trip in resolution.made}
    assert known == names
    assert {trip.triggered_by for trip in resolution.made if trip.way is Way.DAMAGE} == damages
    if is_foreign:
        assert [trip.reason for trip in resolution.made if trip.way is Way.SQL]


@pytest.mark.parametrize("case", CASES, ids=lambda case: " | ".join(case.values()))
def test_a_second_look_changes_nothing(case: dict[str, str], tmp_path: Path) -> None:
    first = outcome(case, tmp_path)
    readings = {
        Copy.LATCH: Latch(tmp_path).read(),
        Copy.POSTGRES: remote(case["postgres"]),
        Copy.REDIS: remote(case["redis"]),
    }

    again = resolve(readings, origin(), first.stop)

    assert (again.stop, again.made) == (first.stop, ())


# -- what is unknown ---------------------------------------------------------------------------


EMPTY = found(write_document(Stop()))
AWAY = away("connection refused")


def look(
    latch: Reading = EMPTY, row: Reading = EMPTY, key: Reading = EMPTY, known: Stop | None = None
) -> Resolution:
    return resolve({Copy.LATCH: latch, Copy.POSTGRES: row, Copy.REDIS: key}, origin(), known)


def test_what_is_unknown_says_why_and_what_ends_it() -> None:
    both = look(row=AWAY, key=away("timed out")).unknown
    row = look(latch=Reading(), row=AWAY).unknown
    many = look(latch=Reading(), row=AWAY, key=AWAY).unknown

    assert both is not None
    assert both.why == ("PostgreSQL is away (connection refused); Redis is away (timed out)")
    assert both.way_out == "it is known when PostgreSQL or Redis answers"
    assert row is not None
    assert row.why == "no intact latch here, and PostgreSQL is away (connection refused)"
    assert row.way_out == "it is known when PostgreSQL answers"
    assert many is not None
    assert many.way_out == "it is known when PostgreSQL and Redis answers"


def test_nothing_is_known_while_a_copy_is_still_being_asked() -> None:
    """An intact latch excuses a copy that is away, not one that will answer in a moment."""
    assert [look(row=AWAY).unknown, look(key=AWAY).unknown] == [None, None]
    assert None not in (look(row=UNREAD).unknown, look(key=UNREAD).unknown)


def test_a_hidden_row_says_what_lets_it_be_read() -> None:
    unknown = look(row=hidden("no row is visible")).unknown

    assert unknown is not None
    assert "row security hides killswitch_status (no row is visible)" in unknown.why
    assert "policy for SELECT" in unknown.way_out


def test_what_is_in_force_for_some_says_nothing_about_the_others() -> None:
    scoped = stop_of([trip("A", target=Target(Level.REDUCE, "agent:a"))])

    resolution = look(latch=found(write_document(scoped)), row=AWAY, key=AWAY)

    assert resolution.status == "active"
    assert resolution.unknown is not None


def test_a_latch_that_never_met_the_others_is_as_good_as_none(tmp_path: Path) -> None:
    latch = Latch(tmp_path)
    latch.write(stop(released=("A",)), resolved=False)

    assert look(latch=latch.read(), row=AWAY).status == "unknown"
    assert look(latch=latch.read()).status == "inactive"
    latch.write(stop(released=("A",)), resolved=True)
    assert look(latch=latch.read(), row=AWAY).status == "inactive"


def test_a_damaged_latch_leaves_doubt_while_another_copy_is_away() -> None:
    torn = Reading(Condition.FOUND, (write_document(Stop()),), (b"torn",))

    assert look(latch=torn, row=AWAY).unknown is not None
    assert look(latch=torn).unknown is None


@pytest.mark.parametrize("key", [EMPTY, AWAY])
def test_a_hidden_row_is_unknown_whatever_else_answers(key: Reading) -> None:
    assert look(row=hidden("x"), key=key).unknown is not None


def test_what_memory_knows_is_part_of_it() -> None:
    resolution = look(known=stop("A", released=("B",)), row=found(write_document(stop("B"))))

    assert [known.id for known in resolution.stop.trips] == ["A"]


# -- what is made ------------------------------------------------------------------------------


def test_damage_stops_all_and_the_same_damage_is_one_trip() -> None:
    torn = Reading(Condition.FOUND, (), (b"one", b"two"))

    first = look(latch=torn)
    again = look(latch=torn, row=found(write_document(first.stop)))

    (made,) = first.made
    assert (made.triggered_by, made.target, made.way) == ("damage:latch", STOP_ALL, Way.DAMAGE)
    assert (again.stop, again.made) == (first.stop, ())


def test_the_same_damage_after_its_release_is_another_trip() -> None:
    torn = Reading(Condition.FOUND, (), (b"one",))
    released = look(latch=torn).stop.with_release("N1", LATER)

    again = resolve({Copy.LATCH: torn}, Origin(Way.PROCESS, NOW, new_id=ids("M")), released)

    assert [made.id for made in again.made] == ["M1"]
    assert again.status == "active"


def test_damage_in_every_copy_is_a_trip_for_each() -> None:
    resolution = look(
        latch=Reading(Condition.FOUND, (), (b"x",)), row=found("x", xmin="1"), key=found("x")
    )

    assert [made.triggered_by for made in resolution.made] == [
        "damage:latch",
        "damage:postgres",
        "damage:redis",
    ]
    assert [made.id for made in resolution.made] == ["N1", "N2", "N3"]


def test_a_damaged_guard_file_is_damage_and_its_absence_is_nothing() -> None:
    damaged = {Copy.GUARD: Reading(Condition.FOUND, (), (b"x",)), Copy.LATCH: EMPTY}

    assert [made.triggered_by for made in resolve(damaged, origin()).made] == ["damage:guard"]
    assert resolve({Copy.LATCH: EMPTY}, origin()).status == "inactive"


def test_a_release_in_redis_ends_nothing_and_one_in_the_row_does() -> None:
    released = found(write_document(stop(released=("A",))))

    assert look(latch=found(write_document(stop("A"))), key=released).status == "active"
    assert look(latch=found(write_document(stop("A"))), row=released).status == "inactive"


def test_generations_are_known_from_every_copy_unless_they_cannot_be_ours() -> None:
    ours, forged = int(NOW) + 9, int(NOW) + PLAUSIBLE_AHEAD_S + 1
    good = found(write_document(Stop(generation=ours)))
    bad = found(write_document(stop_of([trip("A")], generation=forged)))

    assert look(key=good).stop.generation == ours
    assert look(row=good).stop.generation == ours
    assert look(key=bad).stop.generation == 0
    assert [known.id for known in look(key=bad).stop.trips] == ["A"]


def test_two_documents_in_one_file_are_united() -> None:
    both = found(write_document(stop("A")), write_document(stop("B")))

    assert [known.id for known in look(latch=both).stop.trips] == ["A", "B"]


@pytest.mark.parametrize(
    ("latch", "row", "resolved"),
    [
        (Reading(), Reading(), True),
        (Reading(), away("away"), False),
        (MET, away("away"), True),
        (replace(MET, resolved=False), away("away"), False),
        (replace(MET, damage=(b"x",)), away("away"), False),
        (replace(MET, resolved=False), Reading(), True),
    ],
)
def test_a_latch_has_met_the_others_now_or_before(
    latch: Reading, row: Reading, *, resolved: bool
) -> None:
    readings = {Copy.LATCH: latch, Copy.POSTGRES: row, Copy.REDIS: away("away")}
    if row.answers:
        readings[Copy.REDIS] = Reading()

    assert resolve(readings, Origin(Way.PROCESS, NOW, new_id=ids())).resolved is resolved
