"""The page in a real browser, on a real daemon with real servers.

Each scenario is a small program under `scenarios/`; it fails by its exit code and says why. It may
ask us, a line at a time, to kill and to start the daemon.
"""

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path

import pytest
import redis

HERE = Path(__file__).parent
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
NODE = shutil.which("node")
TOKENS = {"viewer": "viewer-canary-2b7d", "operator": "operator-canary-8e11"}
START_LIMIT_S = 120
"""Of the daemon with a PostgreSQL that it has to make first."""
LIMIT_S = 180
"""Of one scenario; the longest waits for the page's own patience with a dead daemon."""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.subprocess,
    pytest.mark.timeout(300),
    pytest.mark.skipif(NODE is None, reason="Node is not installed: it drives the browser"),
    pytest.mark.skipif(
        not Path(CHROMIUM).exists(), reason=f"there is no browser at {CHROMIUM} (set CHROMIUM)"
    ),
]


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
        end = time.monotonic() + START_LIMIT_S
        while not self._ready():
            assert time.monotonic() < end, f"not ready in time: {self.log()[-3000:]}"
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
def modules() -> Path:
    """The packages that the scenarios need, installed if that is possible."""
    if not (HERE / "node_modules" / "playwright-core").exists():
        npm = shutil.which("npm")
        command = [npm or "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = npm and subprocess.run(command, cwd=HERE, capture_output=True, check=False)
        if not done or done.returncode != 0:
            pytest.skip("playwright-core is not installed: run npm ci in tests/browser")
    return HERE / "node_modules"


@pytest.fixture(scope="module")
def daemon(request: pytest.FixtureRequest, server_folder: Path) -> Iterator[Daemon]:
    """A daemon for all scenarios of this module."""
    redis_url = os.environ.get("TEST_REDIS_URL") or request.getfixturevalue("redis_server").start()
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()  # a stop that an earlier test's daemon left there would be in force here
    folder = server_folder / "dashboard"
    folder.mkdir()
    folder.chmod(0o711)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    daemon = Daemon(folder, redis_url, port)
    daemon.start()
    yield daemon
    daemon.stop()


@pytest.fixture
def guarded(server_folder: Path) -> Iterator[Daemon]:
    """A daemon with tokens, and servers of its own: its stop concerns nobody else."""
    folder = server_folder / "guarded"
    folder.mkdir()
    folder.chmod(0o711)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    tokens = "".join(
        f'[[http.auth.tokens]]\nname = "{role}"\nrole = "{role}"\n'
        f'sha256 = "{hashlib.sha256(token.encode()).hexdigest()}"\n'
        for role, token in TOKENS.items()
    )
    daemon = Daemon(folder, "embedded", port, tokens)
    daemon.start()
    yield daemon
    daemon.stop()


def _play(name: str, daemon: Daemon, **more: str) -> str:
    """Run a scenario; returns what it printed."""
    environment = {
        **os.environ,
        "BASE_URL": daemon.base_url,
        "REDIS_URL": daemon.redis_url,
        "CHROMIUM": CHROMIUM,
        **more,
    }
    process = subprocess.Popen(
        [str(NODE), str(HERE / "scenarios" / f"{name}.mjs")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )
    limit = threading.Timer(LIMIT_S, process.kill)
    limit.start()
    said = []
    assert process.stdout is not None
    assert process.stdin is not None
    for line in process.stdout:
        said.append(line)
        if line.strip() in {"kill", "start"}:
            getattr(daemon, line.strip())()
            process.stdin.write("done\n")
            process.stdin.flush()
    limit.cancel()
    process.stdin.close()
    process.stdout.close()
    assert process.wait() == 0, "".join(said)
    return "".join(said)


@pytest.mark.parametrize(
    "name",
    ["overview", "header", "events", "charts", "hostile", "killswitch", "reference", "compression"],
)
def test_an_operator_sees_and_does(name: str, modules: Path, daemon: Daemon) -> None:
    assert modules.exists()

    _play(name, daemon)


def test_strangers_sign_in_and_each_does_what_its_token_allows(
    modules: Path, guarded: Daemon
) -> None:
    assert modules.exists()

    _play("sign_in", guarded, **{f"{role.upper()}_TOKEN": text for role, text in TOKENS.items()})

    assert not any(token in guarded.log() for token in TOKENS.values())


@pytest.mark.timing
def test_a_burst_is_sampled_and_costs_little(modules: Path, daemon: Daemon) -> None:
    assert modules.exists()

    _play("burst", daemon)


@pytest.mark.slow
def test_a_dead_daemon_is_said_and_nothing_is_missed(modules: Path, daemon: Daemon) -> None:
    assert modules.exists()

    _play("link", daemon)
