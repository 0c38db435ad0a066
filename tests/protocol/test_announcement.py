import json

from orchestrator.protocol.announcement import CHANNEL, Ended, Stamp, announcement
from orchestrator.protocol.document import public_fields
from orchestrator.protocol.targets import Level, Target
from orchestrator.protocol.trips import Stop, stop_of
from stops import AT, LATER, stop, trip

STAMP = Stamp(LATER, 7, "b1")


def test_the_newest_trip_in_force_is_named() -> None:
    newest = trip("B", at=LATER, target=Target(Level.REDUCE, "group:g"))

    assert json.loads(announcement(stop_of([trip("A"), newest]), STAMP)) == {
        "enabled": True,
        "reason": "why",
        "triggered_by": "anna",
        "trip_id": "B",
        "level": "reduce",
        "scope": "group:g",
        "timestamp": LATER,
        "trips": [public_fields(trip("A")), public_fields(newest)],
        "source": "orchestrator",
        "boot": "b1",
        "seq": 7,
    }


def test_another_trip_may_be_named() -> None:
    fields = json.loads(announcement(stop("A", "B"), STAMP, trip=trip("A")))

    assert fields["trip_id"] == "A"
    assert len(fields["trips"]) == 2


def test_a_release_names_itself_and_what_stays() -> None:
    ended = Ended(trip("B"), "mended", "bob")

    fields = json.loads(announcement(stop("A"), STAMP, ended=ended))

    assert fields["released"] == {"trip_id": "B", "reason": "mended", "by": "bob"}
    assert (fields["enabled"], fields["trip_id"], fields["reason"]) == (True, "A", "why")
    assert [known["trip_id"] for known in fields["trips"]] == ["A"]


def test_the_last_release_says_that_nothing_is_in_force() -> None:
    ended = Ended(trip("B", at=AT), "mended", "bob")

    fields = json.loads(announcement(stop(released=("B",)), STAMP, ended=ended))

    assert (fields["enabled"], fields["trips"]) == (False, [])
    assert (fields["trip_id"], fields["reason"], fields["triggered_by"]) == ("B", "mended", "bob")
    assert "at" not in fields


def test_with_nothing_to_name_the_fields_are_there_all_the_same() -> None:
    fields = json.loads(announcement(Stop(), STAMP))

    assert fields["enabled"] is False
    assert [fields[name] for name in ("reason", "triggered_by", "trip_id")] == [None] * 3
    assert "released" not in fields


def test_the_guard_says_who_it_is() -> None:
    fields = json.loads(announcement(stop("A"), Stamp(AT, 1, "b", source="guard")))

    assert (fields["source"], CHANNEL) == ("guard", "risk.killswitch")
