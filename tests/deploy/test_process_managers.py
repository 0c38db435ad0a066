"""PM2's and Supervisor's files, each under its own program with a real daemon."""

import os
import signal

import psutil
import pytest
from faults.supervised import COMMANDS, supervised

from ..conftest import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.subprocess]
LIMIT_S = 90.0


@pytest.mark.parametrize("by", COMMANDS)
def test_it_is_restarted_after_a_kill_and_stopped_in_order(by: str) -> None:
    with supervised(by) as daemon:
        wait_until(lambda: daemon.pid, limit_s=LIMIT_S, what="a daemon that serves")
        first = daemon.pid
        os.kill(first, signal.SIGKILL)
        daemon.await_successor(first)
        family = psutil.Process(daemon.pid).children(recursive=True)
        wait_until(lambda: daemon.state["status"] == "active", limit_s=LIMIT_S)  # on_silence: stop
        daemon.release_all()

    stopped = '"event":"child stopped","actor":"root","child":"guard"'
    assert any(stopped in line for line in daemon.said.splitlines()[-3:]), daemon.said[-2000:]
    wait_until(lambda: [one for one in family if one.is_running()] == [])
