"""What every test shares: patched modules, and real servers started once a session.

`TEST_PG_URL` and `TEST_REDIS_URL` name servers to use instead (tests that kill one are skipped).
"""

from gevent import monkey

monkey.patch_all()

import gc
import os
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest
import redis
from orchestrator.runtime.embedded import EmbeddedPostgres, EmbeddedServer, EmbeddedValkey

from .cleanup import watched
from .quiet_clock import quiet_s

pytest_plugins = ["side_by_side"]


def wait_until(condition: Callable[[], object], *, limit_s: float = 10.0, what: str = "") -> None:
    """Wait for `condition` to be true, asking every 10 ms; fail the test at the limit."""
    end = quiet_s() + limit_s
    while not condition():
        if quiet_s() > end:
            pytest.fail(f"not within {limit_s:g} s: {what or condition}")
        time.sleep(0.01)


class Server:
    """A server of this session, which a test may kill and start again."""

    def __init__(self, embedded: EmbeddedServer) -> None:
        self.embedded = embedded
        self.stop = embedded.stop

    def start(self) -> str:
        """Start or adopt it, open to every client: tests do what an operator may."""
        own_url = self.embedded.start()
        if isinstance(self.embedded, EmbeddedValkey):
            with redis.Redis.from_url(own_url) as client:
                client.execute_command("ACL SETUSER default on nopass ~* &* +@all")
        return self.url()

    def url(self) -> str:
        """Where it is."""
        return self.embedded.url

    def kill(self) -> None:
        """End it and all its children as `kill -9` does; returns when all are gone."""
        self._signal(signal.SIGKILL)
        wait_until(lambda: not self.embedded.alive(), what="end of the server")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop it and all its children for the block: connections stand, nothing is answered."""
        self._signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        pid = self.embedded.pid()
        if pid is None:
            return
        parent = psutil.Process(pid)
        for process in [parent, *parent.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)


def pytest_collection_finish() -> None:
    """Keep the collector from looking through thousands of collected tests again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _cleanup(server_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Should this run be killed, its servers and daemons end with it."""
    with watched(server_folder, tmp_path_factory.getbasetemp()):
        yield


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """A folder that PostgreSQL's unprivileged user can reach (pytest's own is private)."""
    folder = Path(tempfile.mkdtemp(prefix="orchestrator-tests-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server(server_folder: Path) -> Iterator[Server]:
    """The session's PostgreSQL: `kill()`, `start()`; the next test finds it running."""
    if "TEST_PG_URL" in os.environ:
        pytest.skip("the server of TEST_PG_URL is not ours to kill")
    yield from _session_of(EmbeddedPostgres(server_folder / "postgres"))


@pytest.fixture(scope="session")
def redis_server(server_folder: Path) -> Iterator[Server]:
    """The session's Valkey: `kill()`, `start()`; the next test finds it running."""
    if "TEST_REDIS_URL" in os.environ:
        pytest.skip("the server of TEST_REDIS_URL is not ours to kill")
    yield from _session_of(EmbeddedValkey(server_folder / "valkey"))


def _session_of(embedded: EmbeddedServer) -> Iterator[Server]:
    server = Server(embedded)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(request: pytest.FixtureRequest) -> str:
    """An empty Valkey or Redis."""
    url = os.environ.get("TEST_REDIS_URL") or _started(request, "redis_server")
    with redis.Redis.from_url(url) as client:
        client.flushall()
    return url


@pytest.fixture
def pg_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database of its own for the test, empty; the user is a superuser."""
    admin_url = os.environ.get("TEST_PG_URL") or _started(request, "postgres_server")
    name = f"test_{secrets.token_hex(6)}"
    _execute(admin_url, f"CREATE DATABASE {name}")
    yield urlsplit(admin_url)._replace(path=f"/{name}").geturl()
    if "TEST_PG_URL" not in os.environ:
        _started(request, "postgres_server")
    _execute(admin_url, f"DROP DATABASE {name} WITH (FORCE)")
    if "TEST_PG_URL" not in os.environ:  # a hosted database's, which no other test expects
        _execute(admin_url, "DROP ROLE IF EXISTS anon, authenticated")


def _started(request: pytest.FixtureRequest, name: str) -> str:
    """The URL of a server, started again if a test has killed it."""
    url: str = request.getfixturevalue(name).start()
    return url


def _execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        connection.execute(statement.encode())
