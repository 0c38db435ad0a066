"""What the guard takes for silence, and what it writes."""

import json
import os
import zlib
from pathlib import Path

import pytest
from orchestrator.runtime._guard_entry import Redis, Silence, _new_ulid, marked, write_latch

TRIP = {"trip_id": "t1", "reason": "why", "triggered_by": "guard", "at": "2026-01-31T09:30:00.000Z"}


def looks(silence: Silence, until_s: float, *, begin_s: float = 0.0, stopped: bool = False) -> str:
    """Look each 100 ms; returns the verdicts with their times."""
    tenths = range(int(begin_s * 10) + 1, int(until_s * 10) + 1)
    said = ((silence.look(tenth / 10, stopped=stopped), tenth / 10) for tenth in tenths)
    return ", ".join(f"{verdict} at {at_s:g}" for verdict, at_s in said if verdict)


def test_silence_counts_from_the_last_beat_and_is_told_once() -> None:
    silence = Silence(1.5, 10.0, 0.0)
    silence.look(0.4, stopped=False)
    silence.beat(0.4)

    assert looks(silence, 5.0, begin_s=0.4) == "silent at 2"


def test_after_a_beat_silence_is_told_anew() -> None:
    silence = Silence(1.5, 10.0, 0.0)
    assert looks(silence, 2.0) == "silent at 1.6"

    assert silence.beat(2.0) is True
    assert silence.beat(2.1) is False

    assert looks(silence, 4.0, begin_s=2.0) == "silent at 3.7"


def test_a_silence_that_lasts_is_a_hang() -> None:
    assert looks(Silence(1.5, 3.0, 0.0), 8.0) == "silent at 1.6, hung at 3.1"


def test_a_stopped_daemon_is_silent_and_does_not_hang() -> None:
    silence = Silence(1.5, 3.0, 0.0)

    assert looks(silence, 100.0, stopped=True) == "silent at 1.6"
    assert looks(silence, 104.0, begin_s=100.0) == "hung at 103.1"


def test_time_in_which_the_guard_did_not_run_either_is_nobodys_silence() -> None:
    silence = Silence(1.5, 3.0, 0.0)
    looks(silence, 1.0)

    assert silence.look(3600.0, stopped=False) == ""

    assert looks(silence, 3601.0, begin_s=3600.0) == "silent at 3600.6"


def test_the_latch_is_a_checksum_and_the_trip(tmp_path: Path) -> None:
    path = tmp_path / "killswitch.guard"

    write_latch(path, TRIP)

    checksum, _, body = path.read_bytes().partition(b"\n")
    assert checksum == b"%08x" % zlib.crc32(body)
    assert json.loads(body) == TRIP
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_trip_ids_are_ulids() -> None:
    first, second = _new_ulid(), _new_ulid()

    assert first != second
    assert len(first) == 26
    assert first[:5] == second[:5]


def test_processes_are_found_by_their_environment() -> None:
    variable = os.environ["PATH"][:20]

    assert os.getpid() not in marked(f"PATH={variable}")
    assert marked("NO_SUCH_VARIABLE=in any process") == []


@pytest.mark.redis
def test_redis_is_spoken_by_hand(redis_url: str) -> None:
    redis = Redis(redis_url)
    try:
        redis.call("SET", "orchestrator:permit", "yes\r\nno")

        assert redis.call("PING") == b"PONG"
        assert redis.call("DEL", "orchestrator:permit") == 1
        assert redis.call("PUBLISH", "risk.killswitch", b"{}") == 0
        with pytest.raises(ValueError, match="ERR"):
            redis.call("NO", "SUCH", "COMMAND")
    finally:
        redis.close()


@pytest.mark.redis
def test_a_database_is_selected(redis_url: str) -> None:
    third, first = Redis(redis_url.rstrip("/").removesuffix("/0") + "/3"), Redis(redis_url)
    try:
        third.call("SET", "here", "3")

        assert (third.call("EXISTS", "here"), first.call("EXISTS", "here")) == (1, 0)
    finally:
        third.close()
        first.close()
