import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from orchestrator.protocol.document import (
    FORMAT,
    Kind,
    public_fields,
    read_document,
    read_trip,
    trip_fields,
    write_document,
)
from orchestrator.protocol.targets import STOP_ALL, Level, Target
from orchestrator.protocol.trips import Forgotten, Release, Stop, stop_of
from orchestrator.protocol.ways import Way
from stops import AT, LATER, stop, stops, trip

OLD: dict[str, Any] = {
    "enabled": True,
    "reason": "why",
    "last_triggered": AT,
    "triggered_by": "anna",
    "trip_id": "A",
    "released_at": None,
    "released_by": None,
    "release_reason": None,
    "trips": [{"trip_id": "A", "reason": "why", "triggered_by": "anna", "at": AT}],
    "released_trips": [],
    "last_event_id": 7,
    "last_event_at": AT,
    "revision": 3,
}
OLD_RELEASED = OLD | {"enabled": False, "released_at": LATER, "trips": [], "released_trips": ["A"]}


@given(stops)
def test_what_is_written_is_read_by_the_next_one(known: Stop) -> None:
    document = read_document(write_document(known))

    assert document.kind is Kind.OURS
    assert document.stop == known


def test_old_readers_find_the_contracts_fields() -> None:
    known = stop_of([trip("A"), trip("B", at=LATER, target=Target(Level.REDUCE, "group:g"))])

    fields = json.loads(write_document(known.with_release("C", LATER)))

    assert {name: fields[name] for name in list(fields)[:8]} == {
        "enabled": True,
        "reason": "why",
        "last_triggered": LATER,
        "triggered_by": "anna",
        "trip_id": "B",
        "released_at": LATER,
        "level": "reduce",
        "scope": "group:g",
    }
    assert fields["trips"][0] == {
        "trip_id": "A",
        "reason": "why",
        "triggered_by": "anna",
        "at": AT,
        "level": "halt",
        "scope": "all",
        "way": "http",
    }
    assert fields["format"] == FORMAT


def test_a_document_without_trips_names_none() -> None:
    fields = json.loads(write_document(Stop(), resolved=True))

    assert fields["enabled"] is False
    assert [fields[name] for name in ("reason", "trip_id", "level", "released_at")] == [None] * 4
    assert (fields["trips"], fields["releases"], fields["resolved"]) == ([], [], True)


def test_the_time_of_the_newest_release_is_named() -> None:
    known = stop_of(releases=[Release("A", LATER), Release("B", AT)])

    assert json.loads(write_document(known))["released_at"] == LATER


def test_what_is_empty_is_left_out() -> None:
    known = stop_of([trip("A")], [Release("B", AT)])

    fields = json.loads(write_document(known))

    assert fields["trips"][0].keys() == trip_fields(trip("A")).keys()
    assert "alias" not in fields["trips"][0]
    assert fields["releases"] == [{"trip_id": "B", "at": AT}]


def test_messages_list_a_trip_without_what_is_ours() -> None:
    assert public_fields(trip("A", alias="x", way=Way.BUS)) == {
        "trip_id": "A",
        "reason": "why",
        "triggered_by": "anna",
        "at": AT,
        "level": "halt",
        "scope": "all",
    }


def test_from_redis_only_trips_and_the_generation_count() -> None:
    marked = trip("A", alias="x", identity="row:1:2", digests=("0" * 27,))
    known = stop_of([marked], [Release("B", AT)], 5, forgotten=Forgotten(AT, 3))
    known = known.with_release("C", LATER, 5).with_resumed("a")

    document = read_document(write_document(known), trusted=False)

    assert document.stop == stop_of([trip("A", alias="x")], generation=5)
    assert document.kind is Kind.OURS


def test_a_trip_in_redis_is_in_force_although_redis_says_that_it_is_released() -> None:
    data = json.dumps(
        json.loads(write_document(stop("A")))
        | {"enabled": False, "releases": [{"trip_id": "A", "at": LATER}]}
    )

    assert read_document(data, trusted=False).stop == stop("A")
    assert read_document(data, trusted=True).stop.trips == ()


def test_a_document_of_before_resumptions_were_kept_makes_every_waiting_agent_wait() -> None:
    fields = json.loads(write_document(stop(released=("A",)).with_generation(5)))
    for name in ("forgotten_until", "released_under", "resumed"):
        del fields[name]

    document = read_document(json.dumps(fields))

    assert document.kind is Kind.OURS
    assert document.stop == stop(released=("A",)).union(Stop(generation=5, released_under=5))
    none = json.loads(write_document(Stop(generation=5)))
    del none["released_under"]
    assert read_document(json.dumps(none)).stop == Stop(generation=5)


def test_what_is_odd_about_resumed_agents_and_forgotten_releases_counts_for_nothing() -> None:
    odd = {
        "resumed": {"a": 5, "b": "5", "c": -1},
        "released_under": 9,
        "forgotten_until": "zzz",
    }
    fields = json.loads(write_document(Stop(generation=5)))

    assert read_document(json.dumps(fields | odd)).stop == Stop(
        generation=5, released_under=5, resumed=(("a", 5),)
    )
    assert read_document(json.dumps(fields | {"resumed": [1]})).stop == Stop(generation=5)


@pytest.mark.parametrize("name", ["trips", "releases", "generation", "forgotten", "enabled"])
@pytest.mark.parametrize("value", ["absent", None, "text", {"a": 1}, [1]])
def test_a_document_of_ours_with_a_broken_field_is_damaged(name: str, value: object) -> None:
    fields = json.loads(write_document(stop("A", released=("B",))))
    fields[name] = value
    if value == "absent":
        del fields[name]

    document = read_document(json.dumps(fields))

    assert document.kind is Kind.DAMAGED
    if name != "trips":
        assert document.stop.find("A") is not None  # what can be read counts


def test_a_trip_without_an_id_is_damage_and_the_others_count() -> None:
    fields = json.loads(write_document(stop("A", "B")))
    del fields["trips"][0]["trip_id"]

    document = read_document(json.dumps(fields))

    assert document.kind is Kind.DAMAGED
    assert [known.id for known in document.stop.trips] == ["B"]


def test_enabled_written_into_a_released_document_is_foreign() -> None:
    data = write_document(stop(released=("A",))).replace(b'"enabled":false', b'"enabled":true')

    document = read_document(data)

    assert document.kind is Kind.FOREIGN
    assert document.stop == stop(released=("A",))


def test_enabled_false_written_into_a_document_releases_nothing() -> None:
    data = write_document(stop("A")).replace(b'"enabled":true', b'"enabled":false')

    assert read_document(data).kind is Kind.OURS
    assert read_document(data).stop == stop("A")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ('{"enabled": true, "reason": "x"}', Kind.FOREIGN),
        ('{"enabled": true}', Kind.FOREIGN),
        ('{"enabled": false}', Kind.OURS),
        ('{"enabled": false, "format": "stop/0"}', Kind.OURS),
        ('{"enabled": "yes"}', Kind.DAMAGED),
        ('{"enabled": 1}', Kind.DAMAGED),
        ('{"enabled": null}', Kind.DAMAGED),
        ("{}", Kind.DAMAGED),
        ("[]", Kind.DAMAGED),
        ("null", Kind.DAMAGED),
        ("", Kind.DAMAGED),
        ("\0", Kind.DAMAGED),
        ('{"enabled": false, "enabled": true}', Kind.DAMAGED),
    ],
)
def test_documents_of_others_by_the_table(data: str, kind: Kind) -> None:
    document = read_document(data)

    assert document.kind is kind
    assert document.stop == Stop()


def test_fields_of_a_foreign_document_are_handed_on() -> None:
    assert read_document('{"enabled": true, "reason": "x"}').fields["reason"] == "x"
    assert read_document("[]").fields == {}


def test_the_old_format_is_read_under_its_own_trip_ids() -> None:
    document = read_document(json.dumps(OLD))

    assert document.kind is Kind.OURS
    assert document.stop == stop_of([trip("A", way=Way.REDIS)])


def test_releases_of_the_old_format_count_where_releases_count() -> None:
    data = json.dumps(OLD_RELEASED)

    assert read_document(data).stop == Stop(releases=(Release("A", LATER),))
    assert read_document(data).kind is Kind.OURS
    assert read_document(data, trusted=False).stop == Stop()


def test_an_old_document_that_lists_no_trips_names_one() -> None:
    document = read_document(json.dumps(OLD | {"trips": []}))

    assert document.stop == stop_of([trip("A", way=Way.REDIS)])
    assert document.kind is Kind.OURS


def test_an_old_document_that_names_no_trip_at_all_is_foreign() -> None:
    fields = OLD | {"trips": [], "trip_id": None}

    assert read_document(json.dumps(fields)).kind is Kind.FOREIGN


def test_an_old_document_in_force_by_released_trips_alone_is_foreign() -> None:
    fields = OLD | {"released_trips": ["A"]}

    assert read_document(json.dumps(fields)).kind is Kind.FOREIGN


@pytest.mark.parametrize("broken", [{"trips": "x"}, {"released_trips": [1]}, {"trips": [1]}])
def test_a_broken_old_document_is_damaged(broken: dict[str, object]) -> None:
    assert read_document(json.dumps(OLD | broken)).kind is Kind.DAMAGED


def test_an_old_trip_with_an_endless_id_can_be_released() -> None:
    endless = "x" * 300
    fields = OLD | {"trips": [OLD["trips"][0] | {"trip_id": endless}]}
    released = OLD_RELEASED | {"released_trips": [endless]}

    known = read_document(json.dumps(fields)).stop

    assert known.trips[0].id == "x" * 100
    assert not known.union(read_document(json.dumps(released)).stop).in_force


def test_a_listed_trip_degrades_in_everything_but_its_id() -> None:
    found = read_trip({"trip_id": "A", "level": "soft", "scope": "agent:a", "way": "pigeon"})

    assert found is not None
    assert (found.reason, found.triggered_by, found.at) == ("unknown", "unknown", "unknown")
    assert (found.target, found.way) == (STOP_ALL, Way.REDIS)


def test_a_listed_trips_texts_are_cut() -> None:
    names = ("reason", "triggered_by", "at", "alias", "identity")

    found = read_trip({"trip_id": "A"} | dict.fromkeys(names, "x" * 900))

    assert found is not None
    assert [len(getattr(found, name)) for name in names] == [500, 100, 100, 100, 100]


@pytest.mark.parametrize("fields", [{}, {"trip_id": ""}, {"trip_id": 1}, "A", None, ["A"]])
def test_what_has_no_id_is_no_trip(fields: object) -> None:
    assert read_trip(fields) is None


def test_digests_that_are_none_are_left_out() -> None:
    found = read_trip({"trip_id": "A", "digests": ["x" * 10_000, 1, None, "0" * 27]})

    assert found is not None
    assert found.digests == ("0" * 27,)


@pytest.mark.parametrize("fields", ["text", 7, {"a": 1}])
def test_digests_that_are_no_list_are_none(fields: object) -> None:
    found = read_trip({"trip_id": "A", "digests": fields})

    assert found is not None
    assert found.digests == ()


@given(st.binary(max_size=200))
def test_whatever_bytes_there_are_nothing_is_released_and_nothing_raised(data: bytes) -> None:
    assert read_document(data).stop.releases == ()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.too_slow])  # drawing is slow where cores are shared
@given(
    st.dictionaries(
        st.sampled_from([*OLD, "format", "releases", "resumed", "released_under"]),
        json_values,
        max_size=8,
    )
)
def test_whatever_an_object_holds_it_can_be_read_and_written_again(fields: dict[str, Any]) -> None:
    document = read_document(json.dumps(fields | {"format": FORMAT}))

    assert read_document(write_document(document.stop)).stop == document.stop
