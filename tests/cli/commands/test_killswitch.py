import json
from collections.abc import Iterator

import pytest

from ..conftest import Double, Orc, RunningDaemon

TRIP = {"trip_id": "01T", "reason": "x", "triggered_by": "anna", "at": "2026-01-31T09:30:00.000Z"}
ACTIVE = {"status": "active", "enabled": True, "trip_id": "01T", "trips": [TRIP]}
LIVE = {"status": "ok", "instance": "desk-a", "env": "live"}


@pytest.fixture
def released(daemon: RunningDaemon) -> Iterator[RunningDaemon]:
    """The daemon, left without a stop in force."""
    yield daemon
    for trip in daemon.orc("killswitch", "status", "-o", "json").json["trips"]:
        daemon.orc("killswitch", "release", trip["trip_id"], "--reason", "tidy", "--yes")


@pytest.mark.subprocess
def test_a_trip_is_released_after_a_yes(released: RunningDaemon) -> None:
    trip = released.orc("halt", "--reason", "drill", "-o", "json").json["trip_id"]

    unasked = released.orc("killswitch", "release", trip, "--reason", "over")
    done = released.orc("killswitch", "release", "--reason", "over", "--yes", "-o", "json")

    assert unasked.code == 2
    assert f"desk-test (DEV): release trip {trip}; agents may place orders again." in unasked.err
    assert (done.code, done.json["status"], done.json["trip_id"]) == (0, "inactive", trip)


@pytest.mark.subprocess
def test_several_trips_must_be_named(released: RunningDaemon) -> None:
    trips = [released.orc("halt", "--reason", "x", "-o", "json").json["trip_id"] for _ in range(2)]

    done = released.orc("killswitch", "release", "--reason", "over", "--yes")

    assert done.code == 2
    assert f"name one of {', '.join(trips)}" in done.err


@pytest.mark.subprocess
def test_nothing_to_release_is_exit_code_five(released: RunningDaemon) -> None:
    assert released.orc("killswitch", "release", "--reason", "x", "--yes").code == 5


@pytest.mark.subprocess
def test_a_trip_that_is_not_in_force_is_a_conflict(released: RunningDaemon) -> None:
    released.orc("halt", "--reason", "x")

    done = released.orc("killswitch", "release", "01OTHER", "--reason", "x", "--yes", "-o", "json")

    assert (done.code, json.loads(done.err)["error"]["code"]) == (1, "conflict")


def test_in_a_live_environment_a_mere_yes_is_not_enough(double: Double, orc: Orc) -> None:
    double.answers["/health"] = (200, LIVE)
    double.answers["/risk/killswitch"] = (200, ACTIVE)
    double.answers["/risk/killswitch/release"] = (200, {"status": "inactive"})
    words = ("--url", double.url, "killswitch", "release", "01T", "--reason", "x", "--yes")

    mere = orc(*words)
    wrong = orc(*words, "--confirm", "desk-b")
    right = orc(*words, "--confirm", "desk-a")

    assert (mere.code, wrong.code, right.code) == (2, 2, 0)
    assert "add --confirm desk-a" in mere.err
    posts = [request for request in double.requests if request[0] == "POST"]
    assert [json.loads(post[3]) for post in posts] == [{"reason": "x", "trip_id": "01T"}]


def test_other_trips_keep_the_stop_in_force(double: Double, orc: Orc) -> None:
    double.answers["/health"] = (200, LIVE | {"env": "dev"})
    double.answers["/risk/killswitch"] = (200, ACTIVE | {"trips": [TRIP, {"trip_id": "01U"}]})

    done = orc("--url", double.url, "killswitch", "release", "01T", "--reason", "x")

    assert "the stop stays in force by 1 other trip." in done.err


def test_what_is_unknown_is_not_called_allowed(double: Double, orc: Orc) -> None:
    answer = {"status": "unknown", "enabled": True, "message": "Treat this as active."}
    double.answers["/risk/killswitch"] = (200, answer)

    out = orc("--url", double.url, "killswitch", "status").out

    assert out == "unknown  the daemon cannot know.  Treat this as active.\n"


def test_acknowledgements_are_listed(double: Double, orc: Orc) -> None:
    agents = {"acknowledged": ["a", "b"], "pending": ["c"], "unreachable": []}
    double.answers["/risk/killswitch"] = (200, ACTIVE | {"agents": agents})

    lines = orc("--url", double.url, "killswitch", "status").out.splitlines()

    assert lines[1] == "  trip 01T  2026-01-31T09:30:00.000Z  by anna: x"
    assert lines[2:] == ["  acknowledged: a, b", "  pending: c"]
