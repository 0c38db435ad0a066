import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..conftest import Double, Orc, RunningDaemon, clean_environ

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

    assert out == "unknown  not known whether trading is stopped.  Treat this as active.\n"


def test_acknowledgements_are_listed(double: Double, orc: Orc) -> None:
    agents = {"acknowledged": ["a", "b"], "pending": ["c"], "unreachable": []}
    double.answers["/risk/killswitch"] = (200, ACTIVE | {"agents": agents})

    lines = orc("--url", double.url, "killswitch", "status").out.splitlines()

    assert lines[1] == "  trip 01T  halt all  2026-01-31T09:30:00.000Z  by anna: x"
    assert lines[2:] == ["  acknowledged: a, b", "  pending: c"]


@pytest.mark.subprocess
def test_all_that_were_seen_are_released_and_listed_in_the_history(
    released: RunningDaemon,
) -> None:
    trips = [released.orc("halt", "--reason", "x", "-o", "json").json["trip_id"] for _ in range(2)]

    done = released.orc("killswitch", "release", "--all", "--reason", "over", "--yes")

    assert done.code == 0
    assert done.out.startswith(f"released {', '.join(trips)}\nallowed  trading is allowed")
    end = time.monotonic() + 10
    while True:
        rows = released.orc("killswitch", "history", "-o", "json").json["items"]
        found = [(row["what"], row["trip_id"]) for row in rows if row["trip_id"] in trips]
        if len(found) == 4 or time.monotonic() > end:
            break
    assert found == [
        *(("stopped", trip) for trip in trips),
        *(("released", trip) for trip in trips),
    ]


@pytest.mark.subprocess
def test_a_release_says_what_stays_in_force(released: RunningDaemon) -> None:
    first = released.orc("halt", "--reason", "x", "-o", "json").json["trip_id"]
    second = released.orc("halt", "agent:y", "--level", "reduce", "--reason", "y", "-o", "json")

    done = released.orc("killswitch", "release", first, "--reason", "over", "--yes")

    lines = done.out.splitlines()
    assert lines[:3] == [
        f"released {first}",
        "still in force:",
        "REDUCE  part of trading is stopped",
    ]
    assert lines[3].startswith(f"  trip {second.json['trip_id']}  reduce agent:y  ")


def test_a_newer_trip_stays_with_all(double: Double, orc: Orc) -> None:
    double.answers["/health"] = (200, LIVE | {"env": "dev"})
    double.answers["/risk/killswitch"] = (200, ACTIVE)
    newer = {"trip_id": "01U", "at": "2026-01-31T09:31:00.000Z"}
    double.answers["/risk/killswitch/release"] = (200, ACTIVE | {"trips": [newer]})

    done = orc("--url", double.url, "killswitch", "release", "--all", "--reason", "x", "--yes")

    posts = [json.loads(request[3]) for request in double.requests if request[0] == "POST"]
    assert posts == [{"reason": "x", "trip_id": "01T"}]
    assert "still in force:\n" in done.out
    assert "  trip 01U  halt all  " in done.out


def test_without_a_daemon_it_is_not_known(orc: Orc) -> None:
    done = orc("--url", "http://127.0.0.1:1", "killswitch", "status")

    assert done.code == 3
    assert done.err.startswith("error  not known whether trading is stopped: cannot reach")
    assert "allowed" not in done.out + done.err


def test_what_is_unknown_cannot_be_released(double: Double, orc: Orc) -> None:
    double.answers["/health"] = (200, LIVE)
    double.answers["/risk/killswitch"] = (200, {"status": "unknown", "enabled": True})

    done = orc("--url", double.url, "killswitch", "release", "--all", "--reason", "x", "--yes")

    assert done.code == 3
    assert "not known what there is to release" in done.err


def test_each_change_is_watched_until_it_is_interrupted(double: Double, tmp_path: Path) -> None:
    double.answers["/risk/killswitch"] = (200, ACTIVE)
    words = ("--url", double.url, "killswitch", "status", "--watch")
    with subprocess.Popen(
        [sys.executable, "-m", "orchestrator", *words],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=clean_environ(),
    ) as watching:
        assert watching.stdout is not None
        first = [watching.stdout.readline() for _ in range(2)]
        double.answers["/risk/killswitch"] = (200, {"status": "inactive"})
        last = watching.stdout.readline()
        watching.send_signal(signal.SIGINT)

    assert first[0] == "HALT  trading is stopped\n"
    assert last.startswith("allowed  trading is allowed")
    assert watching.returncode == 130


def answered(**fields: object) -> tuple[int, dict[str, object]]:
    drill = {"nonce": "n", "answered": 0, "missed": 0, "answers": {}, "missing": [], **fields}
    return 200, {"status": "done", "drill": drill}


def test_a_drill_that_an_agent_misses_is_done_in_part(double: Double, orc: Orc) -> None:
    double.answers["/risk/killswitch/drill"] = answered(
        answered=1, missed=1, answers={"fast": 41.0}, missing=["lost\x1b[31m"]
    )

    done = orc("--url", double.url, "killswitch", "drill", "-o", "table")

    assert done.code == 7
    assert "no answer within 2 s" in done.out
    assert "\x1b" not in done.out
    assert "1 of 2 answered; no agent was halted" in done.out


def test_a_drill_without_agents_measured_nothing(double: Double, orc: Orc) -> None:
    double.answers["/risk/killswitch/drill"] = answered()

    done = orc("--url", double.url, "killswitch", "drill", "-o", "table")

    assert (done.code, done.out.strip()) == (
        0,
        "no agent with a gate beats: nothing was measured",
    )


@pytest.mark.subprocess
def test_a_drill_is_kept_and_shown(released: RunningDaemon) -> None:
    drill = released.orc("killswitch", "drill", "-o", "json").json

    assert (
        released.orc("killswitch", "status", "-o", "json").json["drill"]["nonce"] == drill["nonce"]
    )
    assert "last drill" in released.orc("status").out
