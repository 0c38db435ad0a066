"""The daemon as users run it: a process of its own, on embedded servers in a folder of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
import redis
from orchestrator.runtime.embedded import EmbeddedValkey

NOT_OURS = ("ORCHESTRATOR", "REDIS_URL", "PG_URL", "PORT", "FRONT_ORIGIN", "RATE_LIMIT", "DEBUG")
READY_LIMIT_S = 90.0
STOP_LIMIT_S = 60.0

SETTINGS = """
[redis]
url = "embedded"
[postgres]
url = "embedded"
[http]
port = 0
rate_limit_max = 1000000
"""


class DaemonProcess:
    """One daemon, which a test may kill and start again on the same folder."""

    def __init__(self, folder: Path, settings: str = SETTINGS) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.settings = folder / "supervisor.toml"
        self.settings.touch(mode=0o600)  # URLs in it may hold passwords
        self.settings.write_text(settings)
        self.process: subprocess.Popen[bytes] | None = None

    def launch(self, **environment: str) -> subprocess.Popen[bytes]:
        """Start the process, without waiting for anything."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(NOT_OURS)}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "orchestrator", "run", "-c", str(self.settings)],
                env=inherited | {"ORCHESTRATOR_DATA_DIR": str(self.data)} | environment,
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )
        return self.process

    def start(self, **environment: str) -> None:
        """Start it and wait until it serves and is ready."""
        process = self.launch(**environment)
        limit = time.monotonic() + READY_LIMIT_S
        while not self._is_ready(process.pid):
            assert process.poll() is None, self.log
            assert time.monotonic() < limit, self.log
            time.sleep(0.05)

    def _is_ready(self, pid: int) -> bool:
        try:
            return self.told["pid"] == pid and self.call("GET", "/ready")[0] == 200
        except (OSError, ValueError):
            return False

    def kill(self) -> None:
        """`kill -9`."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(timeout=STOP_LIMIT_S)

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=STOP_LIMIT_S)

    def clean_up(self) -> None:
        """End it and its servers, whatever the test has done to them."""
        if self.process is None:
            return
        if self.process.poll() is not None and self.server_processes():
            self.launch()  # killed: its servers live on, the next one adopts and stops them
            limit = time.monotonic() + READY_LIMIT_S
            while self.process.poll() is None and not self._is_ready(self.process.pid):
                assert time.monotonic() < limit, self.log
                time.sleep(0.05)
        self.stop()

    @property
    def log(self) -> str:
        """Everything it and its predecessors wrote."""
        return (self.folder / "log").read_text()

    @property
    def told(self) -> dict[str, Any]:
        """Where everything is."""
        found: dict[str, Any] = json.loads((self.data / "servers.json").read_text())
        return found

    @property
    def url(self) -> str:
        return str(self.told["http"]).rstrip("/")

    @property
    def redis(self) -> redis.Redis:
        return redis.Redis.from_url(EmbeddedValkey(self.data / "valkey").own_url)

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON of one HTTP call."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + path, data, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def get(self, path: str) -> Any:
        """The JSON of a GET, whatever its status."""
        return self.call("GET", path)[1]

    def rows(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """What PostgreSQL says."""
        with psycopg.connect(self.told["postgres"], autocommit=True) as connection:
            return connection.execute(statement.encode(), parameters).fetchall()

    def metric(self, name: str) -> float:
        """The sum of a metric's samples."""
        with urllib.request.urlopen(self.url + "/metrics", timeout=30) as response:
            lines = response.read().decode().splitlines()
        values = [line.rsplit(" ", 1) for line in lines if line.startswith(name)]
        return sum(float(value) for label, value in values if label.split("{")[0] == name)

    def server_processes(self) -> list[psutil.Process]:
        """The embedded servers."""
        return [
            process
            for process in psutil.process_iter(["name", "cwd"])
            if process.info["name"] in ("postgres", "valkey-server")
            and str(process.info["cwd"]).startswith(str(self.data))
        ]

    def postgres_pid(self) -> int:
        """The postmaster."""
        found = [process for process in self.server_processes() if process.name() == "postgres"]
        pids = {process.pid for process in found}
        return next(process.pid for process in found if process.ppid() not in pids)

    def count(self, where: str) -> int:
        """Events in the table."""
        return int(self.rows(f"SELECT count(*) FROM events WHERE {where}")[0][0])


@pytest.fixture
def new_daemon(
    server_folder: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[..., DaemonProcess]]:
    """Makes daemons with a folder each; all of it is gone after the test."""
    made: list[DaemonProcess] = []

    def make(settings: str = SETTINGS) -> DaemonProcess:
        folder = server_folder / f"{request.node.name[:40]}-{len(made)}"
        folder.mkdir()
        folder.chmod(0o711)
        daemon = DaemonProcess(folder, settings)
        made.append(daemon)
        return daemon

    yield make
    for daemon in made:
        daemon.clean_up()


@pytest.fixture
def daemon(new_daemon: Callable[..., DaemonProcess]) -> DaemonProcess:
    """A running daemon without agents."""
    daemon = new_daemon()
    daemon.start()
    return daemon


@pytest.fixture
def node_modules() -> Path:
    """Where ioredis is."""
    if shutil.which("node") is None:
        pytest.skip("needs Node")
    modules = Path(__file__).with_name("node_modules")
    if not modules.exists():
        command = ["npm", "ci", "--silent"]
        if subprocess.run(command, cwd=modules.parent, timeout=120, check=False).returncode:
            pytest.skip("ioredis cannot be installed here")
    return modules
