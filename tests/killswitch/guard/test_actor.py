"""The guard as a real process beside this one."""

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gevent
import psutil
import pytest
import redis
from orchestrator.killswitch.foreign import damaged
from orchestrator.killswitch.guard.actor import GuardEnded, GuardSilent
from orchestrator.killswitch.intake import Origin
from orchestrator.killswitch.latch import GUARD_NAME, Latch
from orchestrator.killswitch.readings import Copy
from orchestrator.protocol.trips import Stop
from orchestrator.protocol.ways import Way
from quiet_clock import quiet_s
from structlog.testing import capture_logs

from .posts import PERMIT, Post, slots, until

pytestmark = [pytest.mark.subprocess, pytest.mark.redis]


def test_a_daemon_that_beats_is_left_alone(post: Post) -> None:
    gevent.sleep(2.0)

    assert (post.permitted, post.trips, post.latch.exists()) == (True, [], False)


def test_the_trip_file_engages(post: Post) -> None:
    post.trip_file.write_text("fat finger\n")

    payload = post.published()

    assert (payload["enabled"], payload["reason"]) == (True, "fat finger")
    assert (payload["level"], payload["scope"], payload["triggered_by"]) == ("halt", "all", "file")
    assert payload["source"] == "guard"
    until(lambda: post.trips)
    [trip] = post.trips
    assert trip.id == payload["trip_id"] == post.latched().id
    assert (trip.way, trip.alias) == (Way.FILE, "file:TRIP")
    assert not post.permitted


def test_key_slots_and_report_hold_the_same_trip(post: Post) -> None:
    post.trip_file.write_text("why")
    message = post.published()
    until(lambda: post.trips)

    [trip] = post.trips
    assert post.latched() == trip
    assert post.stored().find(trip.id) == trip
    assert [known["trip_id"] for known in message["trips"]] == [trip.id]


def test_the_echo_of_what_it_published_is_known_as_such(post: Post) -> None:
    post.trip_file.write_text("why")
    message = None
    while message is None:
        message = post.heard.get_message(timeout=0.05)
    until(lambda: post.trips)

    assert slots(post.folder).echo_of(message["data"]) == post.trips[0].id


def test_a_file_may_say_what_it_stops(post: Post) -> None:
    post.trip_file.write_text(
        json.dumps({"reason": "why", "level": "reduce", "scope": "group:execution"})
    )

    payload = post.published()

    assert (payload["level"], payload["scope"]) == ("reduce", "group:execution")


def test_a_trip_file_that_stays_engages_once(post: Post) -> None:
    post.trip_file.touch()
    post.published()
    gevent.sleep(0.5)
    assert len(post.trips) == 1
    release(post)

    post.trip_file.unlink()
    gevent.sleep(0.3)
    post.trip_file.touch()

    until(lambda: len(post.trips) == 2)


def release(post: Post) -> None:
    """As the daemon does: its latch holds the trips, then their releases."""
    stop = Stop(trips=tuple(post.trips))
    post.link.settle(stop)
    for trip in post.trips:
        stop = stop.with_release(trip.id, trip.at)
    post.link.set_halted(halted=False)
    until(lambda: not slots(post.folder).in_force)


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda p: p.symlink_to("/etc/hostname")])
def test_what_is_no_regular_file_is_ignored_and_said(
    post: Post, make: Callable[[Path], object]
) -> None:
    with capture_logs() as logged:
        make(post.trip_file)
        until(lambda: post.status().ignored)

    assert "TRIP in the data directory is ignored: not a regular file" in str(logged)
    assert post.status().ignored.endswith("not a regular file")
    gevent.sleep(2.5)  # it goes on answering
    assert (post.trips, post.permitted, post.status().replaced) == ([], True, 0)
    (post.folder / "killswitch").write_text("x" * 100_000)
    assert post.published()["reason"] == "x" * 500


def test_sigusr1_reaches_the_guard_while_the_loop_hangs(post: Post) -> None:
    former = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        began = quiet_s()
        os.kill(os.getpid(), signal.SIGUSR1)
        while not post.latch.exists():  # no other greenlet gets a turn
            assert quiet_s() - began < 1.0, "not in time"
    finally:
        signal.signal(signal.SIGUSR1, former)

    assert post.latched().triggered_by == "signal"
    assert post.published()["trip_id"] == post.latched().id


def test_a_hung_loop_is_silence(post: Post) -> None:
    began, quiet_began_s = time.perf_counter(), quiet_s()
    while not post.latch.exists():  # no other greenlet gets a turn
        assert quiet_s() - quiet_began_s < 4.0, "not in time"
    assert time.perf_counter() - began > 1.0

    assert "no beat of the daemon for 1.5 s" in post.published()["reason"]
    until(lambda: not post.permitted)


def test_silence_may_only_hold(new_post: Callable[..., Post]) -> None:
    post = new_post(on_silence="hold", silence_s=0.5)
    post.man()

    hold_the_loop(1.0)
    gevent.sleep(0.5)

    assert (post.trips, post.latch.exists(), post.permitted) == ([], False, True)


def test_where_trading_is_halted_silence_adds_no_stop(new_post: Callable[..., Post]) -> None:
    post = new_post(silence_s=0.5)
    post.link.set_halted(halted=True)
    post.man()

    hold_the_loop(1.0)
    gevent.sleep(0.5)

    assert (post.trips, post.latch.exists()) == ([], False)


def hold_the_loop(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def test_the_end_that_was_announced_is_no_silence(post: Post) -> None:
    pid = post.pid
    assert post.actor is not None
    post.leave()

    assert not psutil.pid_exists(pid)
    post.redis = redis.Redis.from_url(post.link.orders.redis_url)
    assert (post.permitted, post.latch.exists()) == (True, False)


def test_a_dead_guard_fails_its_actor_and_leaves_no_stop(post: Post) -> None:
    assert post.actor is not None
    os.kill(post.pid, signal.SIGKILL)

    until(lambda: post.actor is not None and post.actor.ended)

    assert isinstance(post.actor.exit_error, GuardEnded)
    assert str(post.actor.exit_error) == "the guard process has ended by SIGKILL"
    assert post.permitted
    assert (post.link.status.pid, post.link.status.replaced) == (None, 1)
    post.man()  # a successor finds everything as before
    post.trip_file.touch()
    until(lambda: post.trips)


def test_a_frozen_guard_is_ended_within_seconds_and_leaves_no_stop(post: Post) -> None:
    assert post.actor is not None
    pid = post.pid
    os.kill(pid, signal.SIGSTOP)
    began, quiet_began_s = time.monotonic(), quiet_s()

    until(lambda: post.actor is not None and post.actor.ended, 30.0)

    assert isinstance(post.actor.exit_error, GuardSilent)
    assert time.monotonic() - began > 1.5
    assert quiet_s() - quiet_began_s < 8.0
    assert "has not answered for 2" in str(post.actor.exit_error)
    until(lambda: not psutil.pid_exists(pid))
    assert (post.permitted, post.trips, post.link.status.replaced) == (True, [], 1)


def test_a_guard_is_not_taken_for_silent_because_our_own_loop_was_blocked(
    new_post: Callable[..., Post],
) -> None:
    post = new_post(silence_s=60.0)
    post.man()

    hold_the_loop(3.5)
    gevent.sleep(0.5)

    assert post.status().replaced == 0


def test_a_successor_reports_what_the_slots_hold_until_it_is_taken(post: Post) -> None:
    post.trip_file.touch()
    until(lambda: post.trips)
    [trip] = post.trips
    until(lambda: slots(post.folder).find(trip.id))
    os.kill(post.pid, signal.SIGKILL)
    until(lambda: post.actor is not None and post.actor.ended)
    post.trip_file.unlink()

    post.man()
    until(lambda: len(post.trips) == 2)
    assert post.trips[1] == trip

    post.link.settle(Stop(trips=(trip,)))
    until(lambda: not slots(post.folder).trips)


def test_damaged_slots_are_written_anew_once_the_latch_holds_their_trip(post: Post) -> None:
    (post.folder / GUARD_NAME).write_bytes(b"x" * 300_000)
    latch = Latch(post.folder)
    assert latch.read_guard().damage
    origin = Origin(Way.DAMAGE, time.time())
    trip = damaged(Copy.GUARD, b"x", Stop(), origin).trip
    assert trip is not None

    post.link.settle(Stop(trips=(trip,)))

    until(lambda: not latch.read_guard().damage)
    assert slots(post.folder) == Stop()


def test_it_holds_nothing_of_ours_open(post: Post, tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w"):
        process = psutil.Process(post.pid)

        assert process.open_files() == []
        assert process.cwd() == "/"
        assert os.getsid(process.pid) == process.pid
        assert [c.status for c in process.net_connections()] in (["ESTABLISHED"], [])


def test_what_was_not_published_is_published_when_redis_is_back(
    redis_server: Any, new_post: Callable[..., Post]
) -> None:
    post = new_post()
    post.man()
    redis_server.kill()
    post.trip_file.write_text("while Redis was away")
    until(lambda: post.trips)
    assert post.latched().id == post.trips[0].id
    until(lambda: post.status().bus)

    redis_server.start()
    with redis.Redis.from_url(redis_server.url()) as client:
        client.set(PERMIT, "permitted")
        heard = client.pubsub(ignore_subscribe_messages=True)
        heard.subscribe("risk.killswitch")  # last: what is heard came after the permit
        messages: list[dict[str, Any]] = []
        until(lambda: (m := heard.get_message()) and messages.append(m) is None, 15)
        heard.close()

        assert json.loads(messages[0]["data"])["trip_id"] == post.trips[0].id
        until(lambda: not client.exists(PERMIT))
    until(lambda: not post.status().bus)


def test_a_disk_that_refuses_does_not_keep_the_stop_from_the_bus(
    new_post: Callable[..., Post], tmp_path: Path
) -> None:
    post = new_post()
    post.man()
    (tmp_path / "killswitch.guard.draft").mkdir()  # where a new file is written first

    post.trip_file.write_text("on a bad disk")

    assert post.published(3.0)["reason"] == "on a bad disk"
    until(lambda: "the stop is not on disk" in post.status().disk)
    assert not post.latch.exists()
    (tmp_path / "killswitch.guard.draft").rmdir()
    until(lambda: not post.status().disk)
    assert post.latched().reason == "on a bad disk"


def test_a_url_that_is_refused_is_said_without_its_secrets(new_post: Callable[..., Post]) -> None:
    post = new_post()
    url = "redis://:sec/ret@localhost:1/0"
    post.link.orders = replace(post.link.orders, redis_url=url)

    post.man()

    until(lambda: post.status().bus)
    assert post.status().bus.startswith("the URL is refused")
    assert "sec" not in post.status().bus.replace("second", "")
