"""Ends of a daemon under a real process supervisor, with ``guard.on_silence = "stop"``.

After each ``kill -9`` the supervisor starts the next daemon; the stop has to be in force there,
whatever the supervisor did to the guard, and ends by a release alone.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from .rig import Outcome, wait_until

START_LIMIT_S = 90.0
STARTED_S = 11.0
"""A daemon that ends sooner counts as a failed start (`startsecs`, `min_uptime` in deploy/)."""
PATIENCE = 3
"""One of so many daemons lives longer: both supervisors give up after five failed starts."""
SETTINGS = """
[redis]
url = "embedded"
[postgres]
url = "embedded"
[http]
port = 0
[guard]
on_silence = "stop"
"""
SUPERVISORD = """
[supervisord]
nodaemon = true
logfile = {folder}/supervisord.log
pidfile = {folder}/supervisord.pid
"""
ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PM2 = ROOT / "tests" / "deploy" / "node_modules" / ".bin"
"""Where `make test` installs it."""


class Daemon:
    """Whichever daemon the supervisor has started last."""

    said = ""
    """The log of all of them, once the supervisor has ended."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def pid(self) -> int:
        """The one that serves; 0 for none."""
        try:
            pid = int(self._addresses()["pid"])
            return pid if self._call("/ready")[0] == 200 else 0
        except (OSError, ValueError):
            return 0

    def await_successor(self, former: int) -> None:
        """Wait for a daemon that serves and is another process."""
        wait_until(lambda: self.pid not in (0, former), START_LIMIT_S, "the next daemon")

    @property
    def state(self) -> dict[str, Any]:
        """The stop."""
        found: dict[str, Any] = self._call("/risk/killswitch")[1]
        return found

    def release_all(self) -> None:
        """Release every trip in force."""
        for trip in self.state["trips"]:
            body = {"reason": "known", "trip_id": trip["trip_id"]}
            status, answer = self._call("/risk/killswitch/release", body)
            assert status == 200, answer

    def _addresses(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self._folder / "data" / "servers.json").read_text())
        return found

    def _call(self, path: str, body: Any = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        url = str(self._addresses()["http"]).rstrip("/") + path
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)


def _shipped(name: str, folder: Path) -> str:
    """The file of `deploy/`, its paths exchanged for the test's."""
    text = (DEPLOY / name).read_text()
    for there, here in (
        ("/opt/orchestrator/.venv/bin/orchestrator", _program("orchestrator")),
        ("/etc/orchestrator/supervisor.toml", str(folder / "supervisor.toml")),
        ("/var/log/orchestrator/orchestrator.log", str(folder / "log")),
        ('"/var/lib/orchestrator"', f'"{folder}/data"'),
    ):
        assert there in text, f"{name} has no {there}"
        text = text.replace(there, here)
    return text.replace("/var/lib/orchestrator", str(folder))


def _supervisord(folder: Path) -> list[str]:
    program = _shipped("supervisord.conf", folder).replace("user = orchestrator\n", "")
    (folder / "supervisord.conf").write_text(SUPERVISORD.format(folder=folder) + program)
    return [_program("supervisord"), "-c", str(folder / "supervisord.conf")]


def _pm2(folder: Path) -> list[str]:
    file = folder / "ecosystem.config.js"
    app = _shipped(file.name, folder).replace(f'cwd: "{folder}/data"', f'cwd: "{folder}"')
    file.write_text(app)
    return [_program("pm2-runtime"), "start", str(file)]


def _program(name: str) -> str:
    """Beside this Python or on the path."""
    first = (str(Path(sys.executable).parent), str(PM2))
    places = os.pathsep.join((*first, os.environ.get("PATH", os.defpath)))
    program = shutil.which(name, path=places)
    assert program is not None, f"{name} is not installed"
    return program


COMMANDS = {"supervisord": _supervisord, "pm2": _pm2}


@contextmanager
def supervised(by: str) -> Iterator[Daemon]:
    """A daemon under ``by``."""
    with tempfile.TemporaryDirectory(prefix="supervised-") as name:
        folder = Path(name)
        (folder / "supervisor.toml").write_text(SETTINGS)
        own = {"ORCHESTRATOR_DATA_DIR": str(folder / "data"), "PM2_HOME": str(folder / "pm2")}
        process = subprocess.Popen(
            COMMANDS[by](folder),
            env=os.environ | own,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # the daemon's own, in `log`
        )
        daemon = Daemon(folder)
        try:
            yield daemon
        finally:
            process.terminate()
            process.wait(START_LIMIT_S)
            daemon.said = (folder / "log").read_text()


def killed(*, seed: int, kills: int, by: str = "supervisord", with_guard: bool = False) -> Outcome:
    """``kill -9`` of the daemon, again and again: lost are stops that the next one does not have.

    Args:
        seed: of the random moments.
        kills: how many.
        by: the supervisor.
        with_guard: the guard is killed first, as where a supervisor ends a whole control group.
    """
    who = "daemon and guard" if with_guard else "daemon"
    outcome = Outcome(f"{who} killed {kills} times under {by}")
    chance = random.Random(seed)
    with supervised(by) as daemon:
        for number in range(kills):
            wait_until(lambda: daemon.pid, START_LIMIT_S, "a daemon that serves")
            assert daemon.state["status"] == "inactive", daemon.state
            former = daemon.pid
            time.sleep(chance.random())
            if number % PATIENCE == PATIENCE - 1:
                _await_age(former)
            if with_guard:
                guard_of(former).kill()
            os.kill(former, signal.SIGKILL)
            outcome.faults += 1
            daemon.await_successor(former)
            state = daemon.state
            outcome.received += 1
            outcome.stored += state["status"] == "active"
            outcome.twice += len(state["trips"]) > 1
            daemon.release_all()
    outcome.lost = outcome.received - outcome.stored
    return outcome


def _await_age(pid: int) -> None:
    """Until it has lived for long enough to count as started."""
    born = psutil.Process(pid).create_time()
    wait_until(lambda: time.time() - born > STARTED_S, STARTED_S + 5, "its age")


def guard_of(pid: int) -> psutil.Process:
    """The guard of a daemon."""
    children = psutil.Process(pid).children()
    return next(child for child in children if "killswitch/guard" in " ".join(child.cmdline()))
