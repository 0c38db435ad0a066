"""A daemon as a process of its own, for a browser or for the commands that the page copies."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import redis
from quiet_clock import quiet_s

from ..edge.outside.proxies import NAME

TOKENS = {"viewer": "viewer-canary-2b7d", "operator": "operator-canary-8e11"}
QUOTES_AGENT = """
[agents.quotes-agent]
mode = "process"
class = "orchestrator.agents.samples.quotes:QuotesAgent"
group = "ingestion"
"""
START_LIMIT_S = 120
"""Of the daemon with a PostgreSQL that it has to make first."""


class Daemon:
    """`orchestrator run` as a process of its own, with a PostgreSQL of its own."""

    def __init__(self, folder: Path, redis_url: str, port: int, more: str = "") -> None:
        self.host = f"127.0.0.1:{port}"
        self.base_url = f"http://{self.host}"
        self.redis_url = redis_url
        self._folder = folder
        self._settings = folder / "supervisor.toml"
        self._process: subprocess.Popen[bytes] | None = None
        self._settings.write_text(
            f'[instance]\nname = "desk-a"\nenv = "paper"\n[http]\nport = {port}\n'
            # One page stays far below 60 (the link scenario counts); a dozen fresh ones may not.
            "rate_limit_max = 1000\n"
            f'allowed_hosts = ["{NAME}"]\n'
            f'[redis]\nurl = "{redis_url}"\n[postgres]\nurl = "embedded"\n'
            f'[data]\ndir = "{folder / "data"}"\n{more}'
        )

    def start(self) -> None:
        """Start it and wait until it is ready."""
        with (self._folder / "daemon.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "orchestrator", "run", "-c", str(self._settings)],
                stdout=log,
                stderr=log,
                cwd=self._folder,
            )
        end = quiet_s() + START_LIMIT_S
        while not self._ready():
            assert quiet_s() < end, f"not ready in time: {self.log()[-3000:]}"
            time.sleep(0.05)

    def _ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            pytest.fail(f"the daemon ended: {self.log()[-3000:]}")
        try:
            with closing(HTTPConnection(self.host, timeout=2)) as connection:
                connection.request("GET", "/ready")
                return connection.getresponse().status == HTTPStatus.OK
        except OSError:
            return False

    def get(self, path: str) -> Any:
        """The JSON that a GET is answered with."""
        with closing(HTTPConnection(self.host, timeout=20)) as connection:
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())

    @property
    def environment(self) -> dict[str, str]:
        """For commands on the daemon's own machine."""
        ours = {
            "ORCHESTRATOR_URL": self.base_url,
            "REDIS_URL": self.redis_url,
            "ORCHESTRATOR_DATA_DIR": str(self._folder / "data"),
        }
        return {**os.environ, **ours}

    def log(self) -> str:
        """What it wrote."""
        return (self._folder / "daemon.log").read_text(errors="replace")

    def kill(self) -> None:
        """As a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """As an operator would."""
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@pytest.fixture(scope="module")
def daemon(request: pytest.FixtureRequest, server_folder: Path) -> Iterator[Daemon]:
    """A daemon for all scenarios of this module."""
    redis_url = os.environ.get("TEST_REDIS_URL") or request.getfixturevalue("redis_server").start()
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()  # a stop that an earlier test's daemon left there would be in force here
    folder = Path(tempfile.mkdtemp(prefix="dashboard-", dir=server_folder))
    folder.chmod(0o711)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    daemon = Daemon(folder, redis_url, port)
    daemon.start()
    yield daemon
    daemon.stop()


@pytest.fixture(scope="module")
def guarded(server_folder: Path) -> Iterator[Daemon]:
    """A daemon with tokens, and servers of its own: its stop concerns nobody else."""
    folder = Path(tempfile.mkdtemp(prefix="guarded-", dir=server_folder))
    folder.chmod(0o711)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    tokens = "".join(
        f'[[http.auth.tokens]]\nname = "{role}"\nrole = "{role}"\n'
        f'sha256 = "{hashlib.sha256(token.encode()).hexdigest()}"\n'
        for role, token in TOKENS.items()
    )
    daemon = Daemon(folder, "embedded", port, tokens + QUOTES_AGENT)
    daemon.start()
    yield daemon
    daemon.stop()
