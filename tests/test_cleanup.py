"""A killed run leaves no process behind."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from .conftest import wait_until

pytestmark = pytest.mark.subprocess

HERE = Path(__file__).parent
# A run that starts a program which is deaf to SIGTERM, and a whole server; then it hangs.
RUN = """
import subprocess, sys, time
from pathlib import Path
from cleanup import watched
from orchestrator.runtime.embedded import EmbeddedPostgres

folder = Path(sys.argv[1])
deaf = "from signal import *; signal(SIGTERM, SIG_IGN); print(flush=True); pause()"
with watched(folder):
    child = subprocess.Popen(
        [sys.executable, "-c", deaf], cwd=folder, stdout=subprocess.PIPE, start_new_session=True
    )
    child.stdout.readline()
    server = EmbeddedPostgres(folder / "postgres")
    server.start()
    print(child.pid, server.pid(), flush=True)
    sys.stdin.read()
    server.stop()
"""


@pytest.fixture
def run(server_folder: Path) -> "subprocess.Popen[str]":
    """The run of above."""
    folder = server_folder / "run"
    folder.mkdir(mode=0o711, exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(folder)],
        env={"PYTHONPATH": str(HERE)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_after_a_killed_run_all_of_its_processes_end(run: "subprocess.Popen[str]") -> None:
    with run:
        assert run.stdout is not None
        left = [psutil.Process(int(pid)) for pid in run.stdout.readline().split()]
        run.send_signal(signal.SIGKILL)

    wait_until(lambda: not any(process.is_running() for process in left), limit_s=30)
    assert len(left) == 2


def test_an_orderly_run_that_forgets_a_process_is_not_helped(run: "subprocess.Popen[str]") -> None:
    with run:
        assert run.stdout is not None
        forgotten, _ = run.stdout.readline().split()

    assert run.returncode == 0
    assert psutil.pid_exists(int(forgotten))
    psutil.Process(int(forgotten)).kill()
