"""Where output fails, or nobody reads it, the daemon starts, works and stops all the same."""

import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from bus_peers import Bus

pytestmark = [pytest.mark.subprocess, pytest.mark.db, pytest.mark.redis]

DAEMON = f"exec {sys.executable} -m orchestrator run"
BROKEN = {
    "stderr on a full disk": ("2>/dev/full >/dev/null", {"stderr"}),
    "both on a full disk": (">/dev/full 2>&1", {"log", "stderr"}),
    "stdout closed": (">&- 2>/dev/null", {"log"}),
    "stderr closed": ("2>&- >/dev/null", {"stderr"}),
    "all closed": ("<&- >&- 2>&-", {"log", "stderr"}),
    "both into a broken pipe": ("", {"log", "stderr"}),
}


def without_reader() -> socket.socket:
    """One end of a pair of sockets of which the other reads nothing any more."""
    reader, writer = socket.socketpair()
    reader.shutdown(socket.SHUT_RDWR)
    reader.close()
    return writer


def full_pipe() -> int:
    """The writing end of a full pipe that nobody reads."""
    _, into = os.pipe()
    size = fcntl.fcntl(into, fcntl.F_SETPIPE_SZ, 4096)
    os.write(into, b"x" * size)
    return into


@pytest.fixture
def environment(tmp_path: Path, redis_url: str, pg_url: str) -> dict[str, str]:
    """Servers of this test, a data directory and any port."""
    ours = {"ORCHESTRATOR_DATA_DIR": str(tmp_path / "data"), "PORT": "0"}
    return os.environ | ours | {"REDIS_URL": redis_url, "PG_URL": pg_url, "DEBUG": "1"}


@pytest.fixture
def started(tmp_path: Path, environment: dict[str, str]) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Started daemons; ended after the test."""
    del tmp_path, environment
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait(10)


def serving(process: subprocess.Popen[bytes], data: Path) -> str:
    """Its URL, once it is ready."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert process.poll() is None, f"ended with {process.poll()}"
        try:
            url: str = json.loads((data / "servers.json").read_text())["http"]
            with urlopen(f"{url}/ready") as answer:
                assert answer.status == 200
        except (OSError, ValueError):
            time.sleep(0.05)
        else:
            return url
    pytest.fail("not ready in time")


def stored(url: str) -> bool:
    """Whether it takes and gives back an event."""
    body = json.dumps({"type": "strategy.test", "payload": {"n": 1}}).encode()
    request = Request(f"{url}/bus/events", body, {"Content-Type": "application/json"})
    with urlopen(request) as answer:
        event_id = json.load(answer)["id"]
    with urlopen(f"{url}/bus/events/{event_id}") as answer:
        return bool(json.load(answer)["event"]["payload"] == {"n": 1})


def lost(url: str) -> set[str]:
    """The outputs of which something was lost."""
    with urlopen(f"{url}/metrics") as answer:
        text = answer.read().decode()
    found = re.findall(r'orchestrator_output_lost_total\{output="(\w+)"\} (\S+)', text)
    assert {name for name, _ in found} == {"log", "stdout", "stderr"}
    return {name for name, count in found if float(count)}


@pytest.mark.parametrize("how", BROKEN)
def test_output_that_cannot_be_written_is_counted_and_costs_nothing(
    tmp_path: Path,
    environment: dict[str, str],
    started: list[subprocess.Popen[bytes]],
    how: str,
) -> None:
    redirections, expected = BROKEN[how]
    output = without_reader() if not redirections else None
    process = subprocess.Popen(
        ["/bin/sh", "-c", f"{DAEMON} {redirections}"],
        env=environment,
        cwd=tmp_path,
        stdout=None if output is None else output.fileno(),
        stderr=None if output is None else output.fileno(),
    )
    started.append(process)
    if output is not None:
        output.close()

    url = serving(process, tmp_path / "data")

    assert stored(url)
    assert lost(url) == expected
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_output_that_nobody_reads_delays_nothing(
    tmp_path: Path, environment: dict[str, str], started: list[subprocess.Popen[bytes]]
) -> None:
    full = full_pipe()
    process = subprocess.Popen(
        ["/bin/sh", "-c", DAEMON], env=environment, cwd=tmp_path, stdout=full, stderr=full
    )
    started.append(process)

    url = serving(process, tmp_path / "data")

    assert stored(url)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_a_start_that_fails_has_its_exit_code_where_the_reason_cannot_be_written(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f"{DAEMON} >&- 2>/dev/full"],
        check=False,
        env=environment | {"REDIS_URL": "nonsense"},
        cwd=tmp_path,
        timeout=30,
    )

    assert done.returncode == 2


def test_an_agent_ends_as_asked_where_its_stderr_is_on_a_full_disk(
    tmp_path: Path, redis_url: str
) -> None:
    bus = Bus(redis_url)
    command = "agent run orchestrator.agents.samples.dev:DevAgent"
    process = subprocess.Popen(
        ["/bin/sh", "-c", f"exec {sys.executable} -m orchestrator {command} 2>/dev/full"],
        env=os.environ | {"REDIS_URL": redis_url},
        cwd=tmp_path,
    )
    try:
        bus.wait_for("heartbeat.dev-agent", limit_s=30)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        bus.close()
