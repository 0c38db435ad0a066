import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from orchestrator.cli.errors import ExitCode, Failure
from orchestrator.cli.offline.running_daemon import ProcessEnd, find_daemon

HOLDER = "import os, sys; os.open(sys.argv[1], os.O_RDWR); print('up', flush=True); input()"


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has the lock open, and is named in it."""
    lock = tmp_path / "lock"
    lock.touch()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        lock.write_text(json.dumps({"pid": process.pid}))
        yield process
        process.kill()


@pytest.mark.parametrize("has_handle", [True, False])
def test_it_is_found_signalled_and_its_end_seen(
    holder: subprocess.Popen[str], tmp_path: Path, *, has_handle: bool
) -> None:
    daemon = find_daemon(tmp_path)

    with daemon.end() as end:
        handle = end.descriptor if has_handle else None
        alive = ProcessEnd(daemon.pid, handle).wait(0.01)
        daemon.send(signal.SIGTERM)
        holder.wait(30)
        ended = ProcessEnd(daemon.pid, handle).wait(30)

    assert daemon.pid == holder.pid
    assert (alive, ended) == (False, True)
    with pytest.raises(Failure) as gone:
        daemon.send(signal.SIGTERM)
    assert gone.value.exit_code == ExitCode.UNREACHABLE


@pytest.mark.parametrize("pid", [os.getpid(), 1, 0, -1, "7", None], ids=range(6))
def test_a_number_that_is_somebody_elses_is_not_believed(tmp_path: Path, pid: object) -> None:
    (tmp_path / "lock").write_text(json.dumps({"pid": pid}))

    with pytest.raises(Failure) as none:
        find_daemon(tmp_path)

    assert none.value.exit_code in (ExitCode.UNREACHABLE, ExitCode.FORBIDDEN)
