"""The port besieged: does the stop answer, and does all else go on that needs a descriptor?"""

import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import psutil
from orchestrator.cli.client.rest import Client

from .rig import TESTS, Outcome, Rig, percentile, rig, wait_until

AGENT = (
    '[agents.quotes]\nmode = "process"\nclass = "orchestrator.agents.samples.quotes:QuotesAgent"\n'
)
RESERVED_FILES = 192
FILES = 320
"""So there are 128 for connections."""


def besieged(*, seed: int, dripping: int, idle: int, stops: int, goal_ms: float = 200.0) -> Outcome:
    """Heads that drip and connections that idle: the stop answers, on the port and beside it."""
    outcome = Outcome(f"{dripping} drip, {idle} idle")
    del seed  # nothing is left to chance
    with rig() as of:
        control = of.folder / "control.sock"
        more = f'control_socket = "{control}"\n'
        of.daemon.settings.write_text(of.settings(of.pg_url, more))
        of.daemon.start()
        with _siege(of, dripping, idle):
            outcome.faults = dripping + idle
            outcome.figures["connections"] = _connections(of)
            for url in (of.url, f"unix://{control}"):
                took_ms = _stops(url, stops)
                where = "Unix socket" if url.startswith("unix") else "port"
                outcome.figures[f"{where} p50 ms"] = round(percentile(took_ms, 0.5), 1)
                outcome.expect(f"stop by the {where} p99 ms", percentile(took_ms, 0.99), goal_ms)
            held = _connections(of)
            outcome.expect("connections missing", (dripping + idle) * 0.9 - held, 0)
    return outcome


def descriptors(*, seed: int, besiegers: int) -> Outcome:
    """Connections have all descriptors that they may have; all others have theirs.

    PostgreSQL is killed and comes back, an agent is killed, the stop is engaged.
    """
    outcome = Outcome(f"{besiegers} at {FILES - RESERVED_FILES} descriptors", faults=2)
    del seed  # nothing is left to chance
    with rig() as of:
        more = f"reserved_files = {RESERVED_FILES}\n{AGENT}"
        of.daemon.settings.write_text(of.settings(of.pg_url, more))
        process = of.daemon.launch()
        # Before it has read its settings: it finds the machine as poor as that.
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (FILES, FILES))
        wait_until(lambda: _is_ready(of), what="ready")
        with _siege(of, besiegers // 2, besiegers // 2):
            wait_until(lambda: _connections(of) >= (FILES - RESERVED_FILES) * 0.9)
            of.kill_postgres()
            time.sleep(1)
            of.postgres.start()
            wait_until(lambda: _agent(of).get("state") == "RUNNING", what="the agent runs")
            before = _agent(of)["pid"]
            psutil.Process(before).send_signal(signal.SIGKILL)
            began = time.monotonic()
            wait_until(lambda: _agent(of).get("pid") not in (None, before), 60, "a new agent")
            outcome.expect("agent back s", time.monotonic() - began, 30)
            wait_until(lambda: _is_ready(of), what="PostgreSQL again")
            outcome.expect("PostgreSQL back s", time.monotonic() - began, 30)
            status, stopped = of.daemon.call("POST", "/risk/killswitch", {"reason": "drill"})
            outcome.expect("stop refused", float(status != 200 or not stopped["latched"]), 0)
            assert process.poll() is None
            outcome.figures["descriptors"] = psutil.Process(process.pid).num_fds()
            outcome.figures["connections"] = _connections(of)
        outcome.expect("too many open files", of.daemon.log.count("Too many open files"), 0)
    return outcome


@contextmanager
def _siege(of: Rig, dripping: int, idle: int) -> Iterator[None]:
    """While besiegers hold the port."""
    port = urlsplit(of.url).port
    process = subprocess.Popen(
        [sys.executable, "-m", "faults.besiegers", str(port), str(dripping), str(idle)],
        cwd=TESTS,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield
    finally:
        process.kill()
        process.wait()


def _stops(url: str, count: int) -> list[float]:
    """Milliseconds that each took; it is released again."""
    took_ms = []
    for _ in range(count):
        with Client(url, timeout_s=30) as client:  # each on a connection of its own
            began = time.perf_counter()
            stopped = client.post("/risk/killswitch", {"reason": "drill"})
            took_ms.append((time.perf_counter() - began) * 1_000)
            assert stopped["latched"], stopped
            client.post(
                "/risk/killswitch/release", {"reason": "over", "trip_id": stopped["trip_id"]}
            )
    return took_ms


def _connections(of: Rig) -> int:
    """How many the daemon holds on its port."""
    assert of.daemon.process is not None
    port = urlsplit(of.url).port
    return sum(
        one.status == psutil.CONN_ESTABLISHED and one.laddr.port == port
        for one in psutil.Process(of.daemon.process.pid).net_connections("tcp")
    )


def _is_ready(of: Rig) -> bool:
    try:
        return of.daemon.call("GET", "/ready")[0] == 200
    except (OSError, ValueError):
        return False


def _agent(of: Rig) -> dict[str, Any]:
    agents: list[dict[str, Any]] = of.daemon.get("/runtime/agents").get("agents") or [{}]
    return agents[0]
