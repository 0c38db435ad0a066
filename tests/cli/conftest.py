"""What the tests of the command line share: the program as users start it, and a real daemon.

Where there is something to be seen only in the client (nobody answers, an answer is an error), a
small real HTTP server stands in for the daemon.
"""

import http.server
import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest
from ports import free_port

COMMAND_LIMIT_S = 60.0
DAEMON_START_LIMIT_S = 90.0
NOT_OURS = ("ORCHESTRATOR", "REDIS_URL", "PG_URL", "PORT", "FRONT_ORIGIN", "RATE_LIMIT", "NO_COLOR")

SETTINGS = """
[instance]
name = "desk-test"
env = "{env}"
[data]
dir = "{data}"
[redis]
url = "{redis}"
[postgres]
url = "{postgres}"
[http]
port = {port}
rate_limit_max = 100000
[retention]
heartbeat = "1d"
[agents.dev-agent]
mode = "process"
class = "orchestrator.agents.samples.dev:DevAgent"
group = "development"
"""


@dataclass
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it wrote, as JSON."""
        return json.loads(self.out)


class Orc(Protocol):
    def __call__(self, *words: str, stdin: str = "", **environ: str) -> Done: ...


def clean_environ(**more: str) -> dict[str, str]:
    """The environment without anything that the program would read."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(NOT_OURS)}
    # No contexts of whoever runs the tests.
    return kept | {"PYTHONUNBUFFERED": "1", "XDG_CONFIG_HOME": os.devnull} | more


def finished(
    *command: str, folder: Path, limit_s: float, **environ: str
) -> subprocess.CompletedProcess[str]:
    """A program that has run to its end in ``folder``, in an environment without ours."""
    return subprocess.run(
        command,
        cwd=folder,
        env=clean_environ(**environ),
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
    )


def run_orc(folder: Path, words: tuple[str, ...], stdin: str, environ: Mapping[str, str]) -> Done:
    if "halt" in words and not (folder / "supervisor.toml").exists():
        # Where nobody answers it leaves a file: not for a daemon of whoever runs the tests.
        environ = {"ORCHESTRATOR_DATA_DIR": str(folder / "data"), **environ}
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", *words],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=COMMAND_LIMIT_S,
        cwd=folder,
        env=clean_environ(**environ),
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(autouse=True)
def _no_settings_of_the_tester(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that a test runs in its own process must not reach a daemon of his."""
    for name in [name for name in os.environ if name.startswith(NOT_OURS)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", os.devnull)


@pytest.fixture
def orc(tmp_path: Path) -> Orc:
    """The program, in an empty folder; keywords are environment variables."""

    def run(*words: str, stdin: str = "", **environ: str) -> Done:
        return run_orc(tmp_path, words, stdin, environ)

    return run


def on_a_terminal(
    *words: str, folder: Path, typed: str = "", columns: int = 100, **environ: str
) -> Done:
    """The program on a terminal of its own; what it wrote, stderr included."""
    ours, theirs = pty.openpty()
    sizes = {"COLUMNS": str(columns), "TERM": "xterm-256color"}
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrator", *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=folder,
        env=clean_environ(**sizes, **environ),
        start_new_session=True,
    )
    os.close(theirs)
    try:
        os.write(ours, typed.encode())
        out = _read_all(ours)
        return Done(process.wait(timeout=10), out.replace("\r\n", "\n"), "")
    finally:
        os.close(ours)
        process.kill()
        process.wait(timeout=10)


def _read_all(terminal: int) -> str:
    parts, end = [], time.monotonic() + COMMAND_LIMIT_S
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 0.1)[0]:
            continue
        try:
            part = os.read(terminal, 65536)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        parts.append(part)
    return b"".join(parts).decode()


@dataclass
class Double:
    """A small HTTP server that answers as told."""

    url: str
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    """Path (without its query) → status and body; a body of bytes is sent as it is."""
    headers: dict[str, str] = field(default_factory=dict)
    """Sent with every answer."""
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    """Method, path, headers and body of each request."""


def _handler(double: Callable[[], Double]) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            double().requests.append((self.command, self.path, dict(self.headers), body))
            path = self.path.split("?", 1)[0]
            status, answer = double().answers.get(path, (404, {"error": "Not found"}))
            content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            for name, value in double().headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _answer  # noqa: N815 - the standard library's names

        def log_message(self, *_: object) -> None:
            """Quietly."""

    return Handler


@pytest.fixture
def double() -> Iterator[Double]:
    """Stands in for the daemon where only the client is looked at."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(lambda: stand_in))
    server.daemon_threads = True
    stand_in = Double(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield stand_in
    server.shutdown()
    server.server_close()
    thread.join(10)


@dataclass(frozen=True)
class RunningDaemon:
    """A daemon as users start it."""

    url: str
    folder: Path
    """With its supervisor.toml."""
    redis_url: str

    def orc(self, *words: str, stdin: str = "", **environ: str) -> Done:
        """The program, told where this daemon is."""
        return run_orc(self.folder, words, stdin, {"ORCHESTRATOR_URL": self.url, **environ})

    def wait_agents_known(self) -> None:
        """Wait until it has listened for a whole heartbeat since its start."""
        end = time.monotonic() + DAEMON_START_LIMIT_S
        while not self.orc("killswitch", "status", "-o", "json").json["agents_known"]:
            assert time.monotonic() < end
            time.sleep(0.1)

    def on_a_terminal(self, *words: str, **settings: Any) -> Done:
        """The same on a terminal."""
        return on_a_terminal(*words, folder=self.folder, ORCHESTRATOR_URL=self.url, **settings)


@contextmanager
def started_daemon(folder: Path, *, env: str = "dev", more: str = "") -> Iterator[RunningDaemon]:
    """Start one on embedded servers, with one agent and more settings; stop it as Ctrl-C does."""
    port = free_port()
    text = SETTINGS.format(
        env=env, data=folder / "data", redis="embedded", postgres="embedded", port=port
    )
    (folder / "supervisor.toml").write_text(text + more)
    (folder / "supervisor.toml").chmod(0o600)
    with (folder / "daemon.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator", "run", "-c", str(folder / "supervisor.toml")],
            stdout=log,
            stderr=log,
            cwd=folder,
            env=clean_environ(),
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_ready(process, folder, url)
        variables = run_orc(folder, ("env", "-o", "json"), "", {}).json
        yield RunningDaemon(url, folder, variables["REDIS_URL"])
    finally:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=60)
        process.kill()
        process.wait(timeout=10)


def _wait_ready(process: subprocess.Popen[bytes], folder: Path, url: str) -> None:
    end = time.monotonic() + DAEMON_START_LIMIT_S
    while time.monotonic() < end and process.poll() is None:
        done = run_orc(folder, ("--url", url, "status", "-o", "json"), "", {})
        if done.code == 0 and (done.json["ready"] or {}).get("status") in ("ok", "ready"):
            return
        time.sleep(0.1)
    pytest.fail(f"the daemon does not start:\n{(folder / 'daemon.log').read_text()[-4000:]}")


@pytest.fixture(scope="session")
def daemon(server_folder: Path) -> Iterator[RunningDaemon]:
    """The daemon that all tests here talk to."""
    folder = server_folder / "cli-daemon"
    folder.mkdir(mode=0o711)
    with started_daemon(folder) as running:
        yield running
        done = running.orc("stop")
        assert done.code == 0, done
        assert done.out.startswith("desk-test  ended in order, after "), done
