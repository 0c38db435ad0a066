"""`--jobs`: tests in several processes are told of as if they had run in one."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import wait_until

pytestmark = pytest.mark.subprocess

HERE = Path(__file__).parent
FIXTURES = """
import os, pytest
@pytest.fixture(scope="module")
def once(request):
    with open(f"{request.module.__name__}.made", "a") as file:
        file.write(f"{os.getpid()} ")
"""
GOOD = """
def test_a(once): pass
def test_b(once): pass
def test_c(once): pass
"""
MEETING = """
import pathlib, time
def test_both_are_here():
    pathlib.Path(__name__ + ".here").touch()
    while not all(pathlib.Path(f"test_{name}.here").exists() for name in ("one", "two")):
        time.sleep(0.01)
"""
BAD = """
import pytest
def test_wrong(): assert 1 == 2
@pytest.mark.skip
def test_not_now(): pass
@pytest.fixture
def broken(): raise OSError("no disk")
def test_error(broken): pass
"""
DEADLY = """
import os
def test_before(): pass
def test_death(): os.abort()
def test_behind(): pass
"""
HANGING = """
import pathlib, pytest, signal, time
@pytest.fixture(scope="session", autouse=True)
def server():
    yield
    pathlib.Path(__name__ + ".stopped").touch()
def interrupted(*_):
    with open(__name__ + ".interrupts", "a") as file:
        file.write("!")
    raise KeyboardInterrupt
def test_hangs():
    signal.signal(signal.SIGINT, interrupted)
    pathlib.Path(__name__ + ".here").touch()
    time.sleep(60)
def test_behind(): pass
"""
TIMED = """
import os, pytest
@pytest.mark.timing
def test_timed(): open("timed", "w").write(str(os.getppid()))
"""


def start(folder: Path, *words: str, **files: str) -> "subprocess.Popen[str]":
    (folder / "conftest.py").write_text(FIXTURES)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = timing\naddopts = -p side_by_side\n")
    for name, text in files.items():
        (folder / f"test_{name}.py").write_text(text)
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(HERE)}
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "--jobs", "2", *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )


def run(folder: Path, *words: str, **files: str) -> tuple[int, str]:
    process = start(folder, *words, **files)
    said, _ = process.communicate(timeout=110)
    return process.returncode, said


def test_all_run_and_the_closing_line_counts_them(tmp_path: Path) -> None:
    code, said = run(tmp_path, "-rsfE", one=GOOD, two=GOOD, three=BAD)

    assert code == 1
    assert "FAILED test_three.py::test_wrong - assert 1 == 2" in said
    assert "SKIPPED [1] test_three.py:4: unconditional skip" in said
    assert "ERROR test_three.py::test_error - OSError: no disk" in said
    assert "1 failed, 6 passed, 1 skipped, 1 error in" in said.splitlines()[-1]


def test_a_file_stays_together_and_files_are_spread(tmp_path: Path) -> None:
    code, said = run(tmp_path, one=MEETING + GOOD, two=MEETING + GOOD)

    made = [(tmp_path / f"test_{name}.made").read_text().split() for name in ("one", "two")]
    assert code == 0, said
    assert [len(pids) for pids in made] == [1, 1], "a module's fixture is made once"
    assert made[0] != made[1]


def test_what_measures_time_runs_alone_in_the_process_that_was_called(tmp_path: Path) -> None:
    code, said = run(tmp_path, "-v", aa=TIMED, one=GOOD)

    order = [line.split("::")[1].split()[0] for line in said.splitlines() if "PASSED" in line]
    assert code == 0, said
    assert order[-1] == "test_timed"
    assert "4 passed" in said


def test_a_worker_that_dies_fails_its_test_only(tmp_path: Path) -> None:
    code, said = run(tmp_path, "-rA", deadly=DEADLY, one=GOOD)

    assert code == 1
    assert "FAILED test_deadly.py::test_death - the worker died" in said
    assert "Fatal Python error: Aborted" in said
    assert "PASSED test_deadly.py::test_behind" in said
    assert "1 failed, 5 passed" in said.splitlines()[-1]


def test_what_failed_is_what_runs_again(tmp_path: Path) -> None:
    run(tmp_path, one=GOOD, three=BAD)

    _, said = run(tmp_path, "--last-failed", one=GOOD, three=BAD)

    assert "1 failed, 1 error in" in said.splitlines()[-1]


def test_the_first_failure_can_be_the_end(tmp_path: Path) -> None:
    code, said = run(tmp_path, "-x", three=BAD)

    assert code == 1
    assert "stopping after 1 failures" in said
    assert "1 failed in" in said.splitlines()[-1]


def test_ctrl_c_lets_each_worker_stop_its_servers(tmp_path: Path) -> None:
    with start(tmp_path, one=HANGING, two=HANGING) as process:
        for name in ("one", "two"):
            wait_until((tmp_path / f"test_{name}.here").exists, limit_s=30)
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=60)

    assert "KeyboardInterrupt" in said
    for name in ("one", "two"):
        assert (tmp_path / f"test_{name}.interrupts").read_text() == "!", "or it cuts itself short"
        assert (tmp_path / f"test_{name}.stopped").exists()
