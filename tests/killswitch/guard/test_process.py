"""The guard beside a daemon that is killed, frozen, or hangs."""

import json
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import asdict

import gevent
import psutil
import pytest
from orchestrator.killswitch.guard.link import GuardLink
from orchestrator.killswitch.guard.settings import GuardSettings

from .posts import Post, slots, until

pytestmark = [pytest.mark.subprocess, pytest.mark.redis]

DAEMON = """
    from gevent import monkey
    monkey.patch_all()
    import json, os, signal, subprocess, sys, gevent
    from dataclasses import replace
    from pathlib import Path
    from orchestrator.runtime import Address, start_actor
    from orchestrator.killswitch.guard.actor import GetGuard, GuardActor
    from orchestrator.killswitch.guard.link import GuardLink
    from orchestrator.killswitch.guard.settings import GuardSettings
    given = json.loads(sys.argv[1])
    link = GuardLink(
        redis_url=given["redis_url"], folder=Path(given["folder"]),
        settings=GuardSettings(on_silence=given["on_silence"]), on_trip=lambda trip: None,
    )
    limits = {name: given[name] for name in ("silence_s", "hang_exit_s")}
    link.orders = replace(link.orders, **limits)
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
HANG_IN_C = "import ctypes; ctypes.PyDLL(None).sleep(60)"  # keeps the GIL
HANG_IN_PYTHON = "while True: pass"


def start_daemon(post: Post, then: str = "") -> tuple[subprocess.Popen[str], list[int]]:
    """A process with a guard, a child, and two grandchildren (one left the group)."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", textwrap.dedent(DAEMON)),
            *(json.dumps(asdict(post.link.orders)), FAMILY, then),
        ],
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

    until(lambda: all(gone(pid) for pid in pids), 10.0)
    assert not post.permitted
    assert post.published()["reason"] == "the daemon has ended without saying so"
    assert post.latched().triggered_by == "guard"


def test_guard_and_next_start_make_the_same_trip_of_one_end(new_post: Callable[..., Post]) -> None:
    post = new_post()
    process, pids = start_daemon(post)
    process.kill()
    process.wait(10)
    until(lambda: gone(pids[0]))
    engaged = post.latched()
    post.latch.unlink()  # another disk: the key in Redis has it

    post.link.begin()

    assert [trip.id for trip in post.trips] == [engaged.id]
    assert post.stored().union(slots(post.folder)).trips == post.stored().trips


def test_under_hold_a_killed_daemon_makes_no_trip_and_leaves_no_orphan(
    new_post: Callable[..., Post],
) -> None:
    post = new_post(on_silence="hold")
    process, pids = start_daemon(post)

    process.kill()
    process.wait(10)

    until(lambda: all(gone(pid) for pid in pids), 10.0)
    assert (post.latch.exists(), post.stored().in_force, post.permitted) == (False, False, True)


@pytest.mark.parametrize("first", ["guard", "daemon", "both frozen first"])
def test_daemon_and_guard_killed_together_are_found_by_the_next_start(
    new_post: Callable[..., Post], first: str
) -> None:
    post = new_post()
    process, pids = start_daemon(post)
    guard = psutil.Process(pids[0])
    daemon = psutil.Process(process.pid)
    order = [guard, daemon] if first == "guard" else [daemon, guard]
    if first != "guard":
        guard.suspend()  # so that it cannot act in between
        daemon.suspend()

    for victim in order:
        victim.kill()
    process.wait(10)
    until(lambda: gone(pids[0]))
    settings = GuardSettings(on_silence="stop")
    link = GuardLink(
        redis_url="redis://x", folder=post.folder, settings=settings, on_trip=post.trips.append
    )
    link.begin()

    assert [trip.reason for trip in post.trips] == ["the daemon has ended without saying so"]
    assert slots(post.folder).stops_all
    for pid in pids[1:]:
        if not gone(pid):
            psutil.Process(pid).kill()


@pytest.mark.parametrize("hang", [HANG_IN_C, HANG_IN_PYTHON])
def test_a_loop_that_hangs_is_ended(new_post: Callable[..., Post], hang: str) -> None:
    post = new_post(hang_exit_s=2.0)

    process, pids = start_daemon(post, hang)

    assert post.published(10.0)["reason"] == "no beat of the daemon for 1.5 s"
    assert process.wait(15) == -signal.SIGABRT
    until(lambda: all(gone(pid) for pid in pids), 10.0)
    assert len(slots(post.folder).trips) == 1, "the end after the silence adds none"


def test_under_hold_a_loop_that_hangs_is_ended_and_makes_no_trip(
    new_post: Callable[..., Post],
) -> None:
    post = new_post(on_silence="hold", hang_exit_s=2.0)

    process, pids = start_daemon(post, HANG_IN_C)

    assert process.wait(15) == -signal.SIGABRT
    until(lambda: all(gone(pid) for pid in pids), 10.0)
    assert not slots(post.folder).in_force


def test_the_trip_file_is_found_while_the_loop_hangs_in_c(new_post: Callable[..., Post]) -> None:
    post = new_post(silence_s=60.0)
    process, pids = start_daemon(post, HANG_IN_C)

    post.trip_file.write_text("the daemon does not answer")

    assert post.published()["reason"] == "the daemon does not answer"
    process.kill()
    process.wait(10)
    until(lambda: all(gone(pid) for pid in pids), 10.0)


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
