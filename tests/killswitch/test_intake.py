import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchestrator.killswitch.intake import (
    DAEMON,
    MAX_STRANGERS,
    Decision,
    Origin,
    Verdict,
    adopted,
    called,
    found_file,
    heard,
    heard_beat,
    identified,
    with_id,
    within_bounds,
)
from orchestrator.protocol.announcement import Stamp, announcement
from orchestrator.protocol.heartbeat import GateBeat, GateState
from orchestrator.protocol.targets import STOP_ALL, Level, Target
from orchestrator.protocol.timestamps import timestamp
from orchestrator.protocol.trips import Stop, Trip, stop_of
from orchestrator.protocol.ulid import new_ulid
from orchestrator.protocol.ways import Way
from stops import AT, LATER, ids, stop, trip

NOW = 1_769_851_800.0
REDUCE = Target(Level.REDUCE)
GROUP = Target(Level.HALT, "group:g")


def origin(way: Way = Way.BUS, source: str | None = None) -> Origin:
    return Origin(way, NOW, source, ids())


def hear(payload: object, known: Stop | None = None, source: str | None = None) -> Decision:
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return heard(data, known or Stop(), origin(source=source))


def new(decision: Decision) -> Trip:
    assert decision.verdict is Verdict.NEW
    assert decision.trip is not None
    return decision.trip


def joined(decision: Decision) -> str:
    assert decision.verdict is Verdict.JOINS
    assert decision.trip is not None
    return decision.trip.id


def test_an_authorised_call_is_always_a_new_trip() -> None:
    made = called("why\0", "x" * 200, GROUP, origin(Way.HTTP))

    assert made == Trip("N1", "why\ufffd", "x" * 100, AT, GROUP, Way.HTTP)


def test_a_reason_is_cut_at_500_characters() -> None:
    assert len(called("x" * 501, "anna", STOP_ALL, origin()).reason) == 500


def test_a_message_of_a_producer_is_a_new_trip_with_its_words() -> None:
    made = new(
        hear(
            {
                "enabled": True,
                "reason": "loss",
                "triggered_by": "risk",
                "trip_id": "x",
                "level": "reduce",
                "scope": "group:g",
            }
        )
    )

    assert made == Trip(
        "N1", "loss", "risk", AT, Target(Level.REDUCE, "group:g"), Way.BUS, alias="x"
    )


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"stop!",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"false",
        b"{}",
        b'{"enabled": 0}',
        b'{"enabled": "false"}',
        b'{"enabled": null}',
        b'{"enabled": false',
        b'{"enabled": false, "enabled": true}',
        b'{"enabled": false, "enabled": false}',
        b'{"enabled": false, "x": NaN}',
        '{"enabled": false}'.encode("utf-16"),
        b"\xef\xbb\xbf" + b'{"enabled": false}',
        b'{"ENABLED": false}',
        b"[" * 100_000,
    ],
    ids=lambda payload: repr(payload[:24]),
)
def test_whatever_is_not_plainly_false_halts_all(payload: bytes) -> None:
    made = new(hear(payload))

    assert (made.target, made.alias, made.way) == (STOP_ALL, "", Way.BUS)


def test_words_that_are_missing_are_made_up() -> None:
    assert new(hear({}, source="risk-1")).triggered_by == "risk-1"
    assert new(hear({})).triggered_by == "bus"
    assert new(hear({})).reason == "no reason given (bus)"
    assert new(hear({"reason": " ", "triggered_by": 7}, source="s")).triggered_by == "s"


@pytest.mark.parametrize(
    "payload", [b'{"enabled": false}', b' {"enabled":false,"trip_id":"A","reason":"go"} ']
)
def test_false_releases_nothing(payload: bytes) -> None:
    assert hear(payload, stop("A")) == Decision(Verdict.FALSE)


def test_an_alias_joins_the_trip_in_force_that_has_it() -> None:
    known = stop_of([trip("A", alias="x"), trip("B", at=LATER)])

    assert joined(hear({"trip_id": "x"}, known)) == "A"
    assert new(hear({"trip_id": "y"}, known)).alias == "y"


def test_an_alias_is_cut_to_100_characters_and_joins_by_what_is_left() -> None:
    made = new(hear({"trip_id": "x" * 300}))

    assert made.alias == "x" * 100
    assert joined(hear({"trip_id": "x" * 300}, stop_of([made]))) == "N1"


def test_an_alias_that_is_used_again_after_the_release_is_a_new_trip() -> None:
    released = stop_of([trip("A", alias="x")]).with_release("A", LATER)

    assert new(hear({"trip_id": "x"}, released)).alias == "x"


@pytest.mark.parametrize(
    ("first", "second", "joins"),
    [
        (REDUCE, {"level": "reduce"}, True),
        (REDUCE, {"level": "halt"}, False),
        (REDUCE, {}, False),
        (GROUP, {"scope": "group:g", "level": "reduce"}, True),
        (GROUP, {"scope": "all"}, False),
        (STOP_ALL, {"scope": "agent:a", "level": "reduce"}, True),
    ],
)
def test_a_message_that_asks_for_more_than_the_trip_it_names_is_a_new_one(
    first: Target, second: dict[str, str], joins: bool
) -> None:
    known = stop_of([trip("A", alias="x", target=first)])

    decision = hear(second | {"trip_id": "x"}, known)

    assert (decision.verdict is Verdict.JOINS) is joins
    assert (decision.verdict is Verdict.NEW) is not joins


def test_a_message_without_an_id_joins_the_newest_of_its_level_and_scope() -> None:
    known = stop_of(
        [
            trip("A", target=GROUP),
            trip("B", target=GROUP, at=LATER),
            trip("C", at="2026-02-01T00:00:00.000Z"),
        ]
    )

    assert joined(hear({"scope": "group:g"}, known)) == "B"
    assert joined(hear({}, known)) == "C"
    assert new(hear({"level": "reduce"}, known)).target == REDUCE
    assert new(hear({"scope": "agent:a"}, known)).target.scope == "agent:a"


def test_a_message_with_our_id_joins_while_it_is_in_force() -> None:
    assert joined(hear({"trip_id": "A"}, stop("A", "B"))) == "A"


def test_of_a_released_trip_only_our_own_bytes_are_an_echo() -> None:
    payload = announcement(stop("A"), Stamp(AT, 1, "b"))
    published = stop("A").with_published("A", payload, NOW)
    released = published.with_release("A", LATER)

    assert hear(payload, published) == Decision(Verdict.ECHO, published.find("A"))
    assert hear(payload, released) == Decision(Verdict.ECHO)
    assert new(hear(payload + b" ", released)).alias == "A"
    assert new(hear({"trip_id": "A"}, released)).alias == "A"


def test_the_echo_of_a_release_is_no_false_message() -> None:
    payload = b'{"enabled": false, "trip_id": "A"}'
    released = stop(released=("A",)).with_published("A", payload, NOW)

    assert hear(payload, released).verdict is Verdict.ECHO


# -- heartbeats --------------------------------------------------------------------------------


HALTED = GateBeat("halted", GateState.SHUT, 7, "x")


def beat(said: GateBeat, known: Stop | None = None) -> Decision | None:
    return heard_beat("a", said, (known or Stop()).with_generation(7), origin())


def test_a_receipt_for_a_trip_that_is_unknown_here_engages_it() -> None:
    decision = beat(HALTED)

    assert decision is not None
    made = new(decision)
    assert (made.alias, made.triggered_by, made.target, made.way) == ("x", "a", STOP_ALL, Way.BEAT)
    assert "a has halted" in made.reason


def test_a_receipt_that_comes_before_its_stop_makes_the_same_trip() -> None:
    name = new_ulid(NOW)
    decision = beat(replace(HALTED, trip_id=name))
    assert decision is not None
    first = new(decision)
    assert (first.id, first.alias, first.target) == (name, "", STOP_ALL)
    stored = stop_of([trip(name, target=GROUP)])

    assert [known.id for known in stop_of([first]).union(stored).trips] == [name]
    joined = hear({"trip_id": name}, stop_of([first]))
    assert (joined.verdict, joined.trip) == (Verdict.JOINS, first)


@pytest.mark.parametrize(
    "said",
    [
        replace(HALTED, trip_id=None),
        replace(HALTED, generation=6),
        replace(HALTED, generation=8),
        replace(HALTED, generation=None),
        replace(HALTED, gate=GateState.OPEN),
    ],
)
def test_other_heartbeats_engage_nothing(said: GateBeat) -> None:
    assert beat(said) is None


@pytest.mark.parametrize("name", ["A", "x"])
def test_a_receipt_for_a_known_trip_engages_nothing(name: str) -> None:
    known = stop_of([trip("A", alias="x")])
    said = replace(HALTED, trip_id=name)

    assert beat(said, known) is None
    assert beat(said, known.with_release("A", LATER)) is None


# -- trip files --------------------------------------------------------------------------------


def put(name: str, data: bytes, known: Stop | None = None) -> Decision:
    return found_file(name, data, known or Stop(), origin(Way.FILE))


def test_a_file_made_by_hand_halts_all_with_its_words() -> None:
    made = new(put("TRIP", b" pull the plug\n"))

    assert (made.reason, made.target, made.triggered_by) == ("pull the plug", STOP_ALL, "file")
    assert new(put("TRIP", b"")).reason == "the file TRIP was made"
    assert new(put("killswitch", b"\xff")).reason == "\ufffd"
    assert new(put("TRIP", b"{}")).reason == "the file TRIP was made"


def test_a_file_may_say_more_in_json() -> None:
    data = b'{"reason": "r", "triggered_by": "anna", "scope": "group:g"}'

    made = new(put("TRIP", data))

    assert (made.reason, made.triggered_by, made.target) == ("r", "anna", GROUP)


def test_a_file_by_hand_is_the_trip_that_it_made_while_that_is_in_force() -> None:
    known = stop_of([new(put("TRIP", b""))])

    assert joined(put("TRIP", b"other words", known)) == "N1"
    assert new(put("killswitch", b"", known)).alias == "file:killswitch"
    assert put("TRIP", b"", known.with_release("N1", LATER)).verdict is Verdict.NEW


def test_a_file_by_hand_is_not_hushed_by_a_weaker_trip_that_took_its_name() -> None:
    decoy = trip("A", alias="file:TRIP", way=Way.BUS)
    weak = trip("B", alias="file:TRIP", way=Way.FILE, target=GROUP)

    assert put("TRIP", b"", stop_of([decoy, weak])).verdict is Verdict.NEW


def test_a_file_with_an_id_is_one_trip_for_ever() -> None:
    made = new(put("TRIP.01X", b'{"reason": "r"}'))
    known = stop_of([made])

    assert (made.identity, made.alias, made.reason) == ("file:01X", "", "r")
    assert joined(put("TRIP.01X", b"", known)) == "N1"
    assert put("TRIP.01X", b"", known.with_release("N1", LATER)) == Decision(Verdict.ECHO)
    assert put("TRIP.01Y", b"", known).verdict is Verdict.NEW


ULID = new_ulid(NOW)


def test_a_file_named_by_a_ulid_is_the_trip_with_that_id_by_whatever_way() -> None:
    made = new(put(f"TRIP.{ULID}", b"r"))
    elsewhere = trip(ULID, way=Way.REDIS)
    weaker = trip(ULID, way=Way.REDIS, target=GROUP)

    assert made.id == ULID
    assert joined(put(f"TRIP.{ULID}", b"r", stop_of([elsewhere]))) == ULID
    assert new(put(f"TRIP.{ULID}", b"r", stop_of([weaker]))).id == "N1"
    gone = stop_of([elsewhere]).with_release(ULID, LATER)
    assert put(f"TRIP.{ULID}", b"r", gone) == Decision(Verdict.ECHO)
    assert joined(hear({"trip_id": ULID}, stop_of([made]))) == ULID


def test_a_trip_gets_the_id_that_its_maker_gives_it_once() -> None:
    made = trip("N1")

    assert with_id(made, ULID, Stop()).id == ULID
    assert with_id(made, "", Stop()) is made
    assert with_id(made, "mine", Stop()) is made
    known = stop_of([trip(ULID, reason="first")])
    assert with_id(made, ULID, known).reason == "first"
    assert with_id(made, ULID, known.with_release(ULID, LATER)) is made
    old = new_ulid(NOW - 40 * 86_400)
    less = Stop().with_release(old, timestamp(NOW - 31 * 86_400)).forget(NOW)
    assert with_id(made, old, less) is made
    assert hear_beat_naming(old, less) is None
    assert adopted(trip("N1", alias=old), less, DAEMON).id == "N1"


def hear_beat_naming(name: str, known: Stop) -> Decision | None:
    return heard_beat(
        "a", replace(HALTED, trip_id=name, generation=known.generation), known, origin()
    )


def test_nothing_has_no_identity() -> None:
    assert identified(stop("A", released=("B",)), "") is None
    assert identified(stop("A", released=("B",)), "row:1:2") is None


# -- bounds ------------------------------------------------------------------------------------


def crowd(number: int, **fields: object) -> list[Trip]:
    return [trip(f"T{n:03d}", **({"way": Way.BUS} | fields)) for n in range(number)]


def test_a_hundred_trips_of_strangers_are_kept_and_the_next_joins_the_oldest_like_it() -> None:
    assert MAX_STRANGERS == 100
    others = [trip("S0", way=Way.SQL, target=GROUP), trip("S1", way=Way.SQL, target=GROUP)]
    known = stop_of([*others, *crowd(97)])

    assert hear({"trip_id": "x"}, known).verdict is Verdict.NEW
    full = known.with_trip(trip("T097", way=Way.BUS))
    assert joined(hear({"trip_id": "x"}, full)) == "T000"
    assert joined(hear({"trip_id": "x", "scope": "group:g"}, full)) == "S0"


def test_trips_of_authorised_calls_do_not_count_and_are_never_joined() -> None:
    by_http = crowd(150, way=Way.HTTP)
    full = stop_of([*crowd(100, way=Way.BUS, at=LATER), trip("H", way=Way.HTTP)])

    assert hear({"trip_id": "x"}, stop_of(by_http)).verdict is Verdict.NEW
    assert joined(hear({"trip_id": "x"}, full)) == "T000"
    again = called("why", "anna", STOP_ALL, origin(Way.HTTP))
    assert within_bounds(again, full) == Decision(Verdict.NEW, again)


def test_beyond_the_bound_one_that_is_covered_joins_and_any_other_is_for_all() -> None:
    known = stop_of(crowd(100, target=GROUP))

    assert joined(hear({"trip_id": "x", "scope": "group:g", "level": "reduce"}, known)) == "T000"
    wide = new(hear({"trip_id": "x", "scope": "agent:a", "level": "reduce"}, known))
    assert wide.target == REDUCE
    known = known.with_trip(wide)
    assert joined(hear({"scope": "agent:b", "level": "reduce"}, known)) == wide.id
    assert new(hear({"scope": "agent:b"}, known)).target == STOP_ALL


def test_an_exact_likeness_is_joined_before_a_wider_one() -> None:
    known = stop_of([*crowd(99), trip("Z", way=Way.BUS, target=GROUP, at=LATER)])

    assert joined(hear({"trip_id": "x", "scope": "group:g"}, known)) == "Z"


messages = st.fixed_dictionaries(
    {},
    optional={
        "enabled": st.sampled_from([True, False, 0, "no"]),
        "trip_id": st.sampled_from([f"n{number}" for number in range(300)]),
        "level": st.sampled_from(["halt", "reduce", "x"]),
        "scope": st.integers(0, 400).map(lambda number: f"agent:{number}"),
    },
)


@given(st.lists(messages, max_size=30))
def test_noise_never_puts_much_more_than_the_bound_in_force(said: list[dict[str, object]]) -> None:
    start = stop_of([*crowd(90), trip("H", way=Way.HTTP)])
    known = start
    new_id = ids()
    for message in said:
        decision = heard(json.dumps(message).encode(), known, Origin(Way.BUS, NOW, None, new_id))
        if decision.verdict is Verdict.NEW:
            known = known.with_trip(new(decision))

    assert set(start.trips) <= set(known.trips)
    assert len(known.trips) <= MAX_STRANGERS + 1 + 2


ULID = "01J00000000000000000000000"


def test_a_trip_of_another_daemon_keeps_its_id() -> None:
    heard_there = trip("N1", alias=ULID)

    assert adopted(heard_there, Stop(), "orchestrator") == trip(ULID)


@pytest.mark.parametrize(
    ("alias", "known", "source"),
    [
        (ULID, Stop(), "risk-engine"),
        (ULID, Stop(), None),
        ("mine", Stop(), "orchestrator"),
        (ULID, stop(ULID), "orchestrator"),
        (ULID, stop(released=(ULID,)), "orchestrator"),
    ],
)
def test_any_other_trip_gets_an_id_of_ours(alias: str, known: Stop, source: str | None) -> None:
    made = trip("N1", alias=alias)

    assert adopted(made, known, source) is made
