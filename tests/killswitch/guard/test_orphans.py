"""Processes are found by their environment, and ended with their groups."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from orchestrator.killswitch.guard.orphans import end_orphans, is_stopped, marked

pytestmark = pytest.mark.subprocess
MARK = f"ORCHESTRATOR_TEST_MARK={os.getpid()}"
SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def child(**options: object) -> subprocess.Popen[bytes]:
    name, _, value = MARK.partition("=")
    environment = os.environ | {name: value}
    return subprocess.Popen(SLEEP, env=environment, start_new_session=True, **options)  # type: ignore[call-overload]


def test_processes_are_found_by_their_environment() -> None:
    variable = os.environ["PATH"][:20]
    process = child()
    try:
        assert marked(MARK) == [process.pid]
        assert os.getpid() not in marked(f"PATH={variable}")
        assert marked("NO_SUCH_VARIABLE=in any process") == []
    finally:
        process.kill()
        process.wait(10)


def test_groups_and_marked_processes_are_ended() -> None:
    grouped = subprocess.Popen(SLEEP, start_new_session=True)
    strayed = child()

    end_orphans({grouped.pid, 2**22 - 1}, MARK)

    assert (grouped.wait(10), strayed.wait(10)) == (-signal.SIGKILL, -signal.SIGKILL)


def test_a_stopped_process_is_known() -> None:
    process = child()
    try:
        assert not is_stopped(process.pid)
        process.send_signal(signal.SIGSTOP)
        end = time.monotonic() + 10
        while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
            assert time.monotonic() < end
            time.sleep(0.01)
        assert is_stopped(process.pid)
    finally:
        process.kill()
        process.wait(10)
    assert not is_stopped(process.pid)
