"""The HTTP room's tests: a whole daemon on real servers, in this process, and a client for it."""

import http.client
import json
import secrets
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import gevent
import psycopg
import pytest
import redis
from orchestrator.daemon.tree import Daemon
from orchestrator.http.edge.listener import ListeningSocket
from orchestrator.runtime.datadir import DataDir
from orchestrator.settings import Settings
from quiet_clock import quiet_s
from websockets.sync.client import ClientConnection, connect

LIMIT_S = 20.0


class Reply(NamedTuple):
    """An HTTP response."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Served:
    """A running daemon as its clients see it."""

    def __init__(
        self,
        daemon: Daemon,
        listening: ListeningSocket,
        redis_url: str,
        token: str | None = None,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self.token = token
        self.trust = trust
        self.daemon = daemon
        self.listening = listening
        self.host, self.port = listening.address
        self.redis_url = redis_url

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        headers: dict[str, str | None] | None = None,
    ) -> Reply:
        """One call on a connection of its own; a header that is ``None`` is not sent."""
        data = raw if raw is not None else (None if body is None else json.dumps(body).encode())
        sent: dict[str, str | None] = {}
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token}"
        if method == "POST":
            sent["Content-Type"] = "application/json"
        sent |= headers or {}
        connection = self._connection()
        try:
            kept = {name: value for name, value in sent.items() if value is not None}
            connection.request(method, path, data, kept)
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self.trust is None:
            return http.client.HTTPConnection(self.host, self.port, timeout=LIMIT_S)
        context = self.trust
        return http.client.HTTPSConnection(self.host, self.port, timeout=LIMIT_S, context=context)

    def get(self, path: str, **headers: str) -> Reply:
        named: dict[str, str | None] = {k.replace("_", "-"): v for k, v in headers.items()}
        return self.call("GET", path, headers=named)

    def post(self, path: str, body: Any = None) -> Reply:
        return self.call("POST", path, {} if body is None else body)

    def stored(self, type_: str = "strategy.test", payload: Any = None, **fields: Any) -> int:
        """Post an event; its id."""
        body = {"type": type_, "payload": {} if payload is None else payload, **fields}
        reply = self.post("/bus/events", body)
        assert reply.status == 201, reply.body
        return int(reply.json["id"])

    @contextmanager
    def socket(self, path: str = "/", **options: Any) -> Iterator[ClientConnection]:
        """A WebSocket; its greeting has been read if ``greeted`` (the default)."""
        greeted = options.pop("greeted", True)
        scheme = "ws" if self.trust is None else "wss"
        uri = f"{scheme}://{self.host}:{self.port}{path}"
        options.setdefault("ssl", self.trust)
        with connect(uri, open_timeout=LIMIT_S, close_timeout=2, **options) as client:
            if greeted:
                assert frame(client)["type"] == "connection"
            yield client

    @property
    def redis(self) -> redis.Redis:
        return redis.Redis.from_url(self.redis_url)

    def wait_until(self, condition: Callable[[], object], limit_s: float = LIMIT_S) -> None:
        end = quiet_s() + limit_s
        while not condition():
            assert quiet_s() < end, f"not within {limit_s:g} s"
            gevent.sleep(0.01)

    def wait_ready(self) -> None:
        self.wait_until(lambda: self.get("/ready").status == 200)
        self.wait_until(lambda: self.get("/risk/killswitch").json["status"] != "unknown")

    def wait_state_saved(self) -> None:
        """Wait until the state keeper's first values are in PostgreSQL."""
        with psycopg.connect(self.daemon.pg_url, autocommit=True) as connection:
            query = "SELECT count(*) FROM orchestrator_state WHERE key = 'killswitch_status'"
            self.wait_until(lambda: connection.execute(query).fetchone() == (1,))

    def wait_committed(self, event_id: int) -> None:
        """Wait until that event is in PostgreSQL."""
        url = self.daemon.pg_url
        with psycopg.connect(url, autocommit=True) as connection:
            query = "SELECT count(*) FROM events WHERE id = %s"
            self.wait_until(lambda: connection.execute(query, (event_id,)).fetchone() == (1,))


def frame(client: ClientConnection, limit_s: float = 10.0) -> dict[str, Any]:
    """The next frame."""
    text = client.recv(timeout=limit_s)
    assert isinstance(text, str)
    found: dict[str, Any] = json.loads(text)
    return found


def frame_where(client: ClientConnection, **fields: Any) -> dict[str, Any]:
    """The next frame with these fields."""
    while True:
        found = frame(client)
        if all(found.get(name) == value for name, value in fields.items()):
            return found


Serve = Callable[..., Served]


@contextmanager
def _serving(
    folder: Path, redis_url: str, pg_url: str, sections: dict[str, Any]
) -> Iterator[Served]:
    token, trust = sections.pop("token", None), sections.pop("trust", None)
    ready = sections.pop("ready", True)
    read_settings = sections.pop("read_settings", None)
    given: dict[str, Any] = {
        "redis": {"url": redis_url},
        "postgres": {"url": pg_url},
        "http": {"port": 0, "rate_limit_max": 1_000_000} | sections.pop("http", {}),
        "data": {"dir": folder},
    } | sections
    settings = Settings(**given)
    with ExitStack() as stack:
        data = stack.enter_context(DataDir.open(settings.data.dir))
        listening = ListeningSocket(settings.http)
        stack.callback(listening.close)
        daemon = Daemon(settings, data, listening, (), read_settings)
        stack.enter_context(daemon.running())
        served = Served(daemon, listening, settings.redis.url, token, trust)
        if ready:
            served.wait_ready()
        yield served


@pytest.fixture
def serve(tmp_path: Path, redis_url: str, pg_url: str) -> Iterator[Serve]:
    """Starts a daemon of the test's own, with sections of settings as keywords.

    ``ready=False`` does not wait until it is; ``read_settings`` reads them again at a reload.
    """
    with ExitStack() as stack:

        def start(**sections: Any) -> Served:
            return stack.enter_context(_serving(tmp_path / "data", redis_url, pg_url, sections))

        yield start


@pytest.fixture(scope="module")
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A daemon shared by the tests of a module, on servers of the session."""
    with shared(request, tmp_path_factory) as daemon:
        yield daemon


@contextmanager
def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, **sections: Any
) -> Iterator[Served]:
    """A daemon on servers of the session, with sections of settings as keywords."""
    redis_server = request.getfixturevalue("redis_server")
    postgres_server = request.getfixturevalue("postgres_server")
    redis_server.start()
    postgres_server.start()
    with redis.Redis.from_url(redis_server.url()) as client:
        client.flushall()
    name = f"test_{secrets.token_hex(6)}"
    parts = urlsplit(postgres_server.url())
    with psycopg.connect(parts.geturl(), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
    folder = tmp_path_factory.mktemp("daemon") / "data"
    pg_url = parts._replace(path=f"/{name}").geturl()
    with _serving(folder, redis_server.url(), pg_url, sections) as daemon:
        yield daemon
    postgres_server.start()
    with psycopg.connect(parts.geturl(), autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
