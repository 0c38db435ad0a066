"""The guard as a real process, beside this one and beside one that is killed."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import psutil
import pytest
import redis
from orchestrator.runtime import Address, start_actor, stop_actor
from orchestrator.runtime.guard import GetGuard, GuardActor, GuardEnded, GuardLink, GuardOrders
from orchestrator.runtime.guard import GuardTrip as Trip
from quiet_clock import quiet_s

pytestmark = [pytest.mark.subprocess, pytest.mark.redis]
CHANNEL, PERMIT = "risk.killswitch", "orchestrator:permit"


def until(condition: Callable[[], object], limit_s: float = 10.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "not in time"
        gevent.sleep(0.01)


class Post:
    """A guard on its post, with all that it watches and tells."""

    def __init__(self, folder: Path, url: str, **orders: Any) -> None:
        self.folder = folder
        self.latch, self.trip_file = folder / "killswitch.guard", folder / "TRIP"
        self.redis = redis.Redis.from_url(url)
        self.heard = self.redis.pubsub(ignore_subscribe_messages=True)
        self.heard.subscribe(CHANNEL)
        self.redis.set(PERMIT, "permitted")
        self.trips: list[Trip] = []
        given: dict[str, Any] = {"on_silence": "stop", "silence_s": 1.5, "hang_exit_s": 600.0}
        self.orders = GuardOrders(
            redis_url=url,
            permit_key=PERMIT,
            channel=CHANNEL,
            latch=str(self.latch),
            trip_file=str(self.trip_file),
            **(given | orders),
        )
        self.link = GuardLink(self.orders, self.trips.append)
        self.actor: GuardActor | None = None

    def man(self) -> None:
        """Start the guard beside this process."""
        self.actor = GuardActor(self.link)
        start_actor(self.actor, Address("guard"))
        until(lambda: self.status().ready)

    def status(self) -> Any:
        assert self.actor is not None
        return self.actor.address.ask(GetGuard(), timeout_s=5)

    def published(self, limit_s: float = 5.0) -> dict[str, Any]:
        message = None
        end = time.monotonic() + limit_s
        while message is None:
            assert time.monotonic() < end, "nothing published in time"
            message = self.heard.get_message(timeout=0.05)
        found: dict[str, Any] = json.loads(message["data"])
        return found

    @property
    def permitted(self) -> bool:
        return bool(self.redis.exists(PERMIT))

    def latched(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.latch.read_bytes().partition(b"\n")[2])
        return found

    def leave(self) -> None:
        if self.actor is not None:
            stop_actor(self.actor)
        self.heard.close()
        self.redis.close()


@pytest.fixture
def new_post(tmp_path: Path, redis_url: str) -> Iterator[Callable[..., Post]]:
    made: list[Post] = []

    def make(**orders: Any) -> Post:
        made.append(Post(tmp_path, redis_url, **orders))
        return made[-1]

    yield make
    for post in made:
        post.leave()


@pytest.fixture
def post(new_post: Callable[..., Post]) -> Post:
    post = new_post()
    post.man()
    return post


def test_a_daemon_that_beats_is_left_alone(post: Post) -> None:
    gevent.sleep(2.0)

    assert (post.permitted, post.trips, post.latch.exists()) == (True, [], False)


def test_the_trip_file_engages(post: Post) -> None:
    post.trip_file.write_text("fat finger\n")

    payload = post.published()

    assert (payload["enabled"], payload["reason"]) == (True, "fat finger")
    assert (payload["level"], payload["scope"], payload["triggered_by"]) == ("halt", "all", "file")
    until(lambda: post.trips)
    assert post.trips[0].trip_id == payload["trip_id"] == post.latched()["trip_id"]
    assert not post.permitted


def test_a_trip_file_that_stays_engages_once(post: Post) -> None:
    post.trip_file.touch()
    post.published()
    gevent.sleep(0.5)
    assert len(post.trips) == 1

    post.trip_file.unlink()
    gevent.sleep(0.3)
    post.trip_file.touch()

    until(lambda: len(post.trips) == 2)


def test_sigusr1_reaches_the_guard_while_the_loop_hangs(post: Post) -> None:
    former = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        began = quiet_s()
        os.kill(os.getpid(), signal.SIGUSR1)
        while not post.latch.exists():  # nobody else gets a turn
            assert quiet_s() - began < 1.0, "not in time"
    finally:
        signal.signal(signal.SIGUSR1, former)

    assert post.latched()["triggered_by"] == "signal"
    assert post.published()["trip_id"] == post.latched()["trip_id"]


def test_a_hung_loop_is_silence(post: Post) -> None:
    began = time.perf_counter()
    while not post.latch.exists():  # nobody else gets a turn
        assert time.perf_counter() - began < 4.0, "not in time"
    assert time.perf_counter() - began > 1.0

    assert "no beat of the daemon for 1.5 s" in post.published()["reason"]
    assert not post.permitted


def test_silence_may_only_hold(new_post: Callable[..., Post]) -> None:
    post = new_post(on_silence="hold", silence_s=0.5)
    post.man()

    hold_the_loop(1.0)

    until(lambda: not post.permitted)
    assert (post.trips, post.latch.exists()) == ([], False)


def test_where_trading_is_halted_silence_adds_no_stop(new_post: Callable[..., Post]) -> None:
    post = new_post(silence_s=0.5)
    post.link.set_halted(True)
    post.man()

    hold_the_loop(1.0)

    until(lambda: not post.permitted)
    assert (post.trips, post.latch.exists()) == ([], False)


def hold_the_loop(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def test_the_end_that_was_announced_is_no_silence(post: Post) -> None:
    pid = post.status().pid
    assert post.actor is not None
    stop_actor(post.actor)

    assert not psutil.pid_exists(pid)
    assert (post.permitted, post.latch.exists()) == (True, False)


def test_a_dead_guard_fails_its_actor_and_leaves_no_stop(post: Post) -> None:
    assert post.actor is not None
    os.kill(post.status().pid, signal.SIGKILL)

    until(lambda: post.actor is not None and post.actor.ended)

    assert isinstance(post.actor.exit_error, GuardEnded)
    assert str(post.actor.exit_error) == "the guard process has ended by SIGKILL"
    assert post.permitted
    post.man()  # a successor finds everything as before
    post.trip_file.touch()
    until(lambda: post.trips)


def test_it_holds_nothing_of_ours_open(post: Post, tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w"):
        process = psutil.Process(post.status().pid)

        assert process.open_files() == []
        assert process.cwd() == "/"
        assert os.getsid(process.pid) == process.pid
        assert [c.status for c in process.net_connections()] in (["ESTABLISHED"], [])


def test_redis_that_is_away_is_told_when_it_is_back(
    tmp_path: Path, redis_server: Any, redis_url: str, new_post: Callable[..., Post]
) -> None:
    del redis_url, tmp_path
    post = new_post()
    post.man()
    redis_server.kill()
    post.trip_file.touch()
    until(lambda: post.trips)

    redis_server.start()
    with redis.Redis.from_url(redis_server.url()) as client:
        client.set(PERMIT, "permitted")

        until(lambda: not client.exists(PERMIT), 15)


DAEMON = """
    from gevent import monkey
    monkey.patch_all()
    import json, os, signal, subprocess, sys, gevent, msgspec, faulthandler
    from orchestrator.runtime import Address, start_actor
    from orchestrator.runtime.guard import GetGuard, GuardActor, GuardLink, GuardOrders
    orders = msgspec.json.decode(sys.argv[1], type=GuardOrders)
    orders = msgspec.structs.replace(orders, daemon_pid=os.getpid())
    link = GuardLink(orders, lambda trip: None)
    start_actor(GuardActor(link), address := Address("guard"))
    child = subprocess.Popen(
        [sys.executable, "-c", sys.argv[2]], start_new_session=True, stdout=subprocess.PIPE,
        env=os.environ | link.child_environment("x"),
    )
    link.watch(child.pid)
    pids = json.loads(child.stdout.readline())
    while not address.ask(GetGuard(), timeout_s=5).ready:
        gevent.sleep(0.01)
    print(json.dumps([address.ask(GetGuard(), timeout_s=5).pid, *pids]), flush=True)
    exec(sys.argv[3])
    gevent.sleep(60)
"""
FAMILY = """
import json, os, subprocess, sys, time
sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
near = subprocess.Popen(sleep)
far = subprocess.Popen(sleep, start_new_session=True)
print(json.dumps([os.getpid(), near.pid, far.pid]), flush=True)
time.sleep(60)
"""


def start_daemon(post: Post, then: str = "") -> tuple[subprocess.Popen[str], list[int]]:
    """A process with a guard, a child, and two grandchildren (one left the group)."""
    orders = json.dumps(
        {field: getattr(post.orders, field) for field in post.orders.__struct_fields__}
    )
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(DAEMON), orders, FAMILY, then],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = (line for line in process.stdout if line.startswith("["))
    pids = json.loads(next(lines))
    process.stdout.close()
    return process, pids


def gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def test_a_killed_daemon_leaves_no_orphan_and_no_permit(new_post: Callable[..., Post]) -> None:
    post = new_post()
    process, pids = start_daemon(post)

    process.kill()
    process.wait(10)

    until(lambda: all(gone(pid) for pid in pids), 5.0)
    assert not post.permitted
    assert post.published()["reason"] == "the daemon has ended without saying so"
    assert post.latched()["triggered_by"] == "guard"


def test_a_loop_that_hangs_in_c_is_ended(new_post: Callable[..., Post]) -> None:
    post = new_post(hang_exit_s=2.0)
    hang = "import ctypes; ctypes.PyDLL(None).sleep(60)"  # keeps the GIL

    process, pids = start_daemon(post, hang)

    assert process.wait(15) == -signal.SIGABRT
    until(lambda: all(gone(pid) for pid in pids), 5.0)


def test_a_stopped_daemon_is_not_ended(new_post: Callable[..., Post]) -> None:
    post = new_post(hang_exit_s=2.0)
    process, pids = start_daemon(post)

    process.send_signal(signal.SIGSTOP)
    post.published()
    gevent.sleep(3.0)

    assert process.poll() is None
    assert not any(gone(pid) for pid in pids)
    process.send_signal(signal.SIGCONT)
    process.kill()
    process.wait(10)
    until(lambda: all(gone(pid) for pid in pids), 10.0)
