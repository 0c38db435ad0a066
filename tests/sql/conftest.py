"""Databases with our schema, rows to store, and a wire that can be cut."""

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import psycopg
import pytest
from gevent import socket
from gevent.server import StreamServer
from orchestrator.sql.connection import Connection, connect
from orchestrator.sql.database import Database, PostgresSettings
from orchestrator.sql.events.copy_text import copy_row
from orchestrator.sql.events.event_writer import EventWriter
from orchestrator.sql.schema.migrator import migrate

TS = "2026-01-31T09:30:00.123Z"


@pytest.fixture
def admin(pg_url: str) -> Iterator[Connection]:
    """A superuser's connection to the migrated database of this test."""
    with connect(pg_url) as connection:
        migrate(connection)
        yield connection


@pytest.fixture
def open_database() -> Iterator[Callable[[str], Database]]:
    """Opens databases by URL, and closes them after the test."""
    opened: list[Database] = []

    def open_one(url: str, **settings: Any) -> Database:
        opened.append(Database(PostgresSettings(**settings), url=url))
        opened[-1].open()
        return opened[-1]

    yield open_one
    for database in opened:
        database.close()


@pytest.fixture
def database(
    pg_url: str,
    admin: Connection,  # noqa: ARG001 (migrates)
    open_database: Callable[[str], Database],
) -> Database:
    """The migrated database of this test."""
    return open_database(pg_url)


@pytest.fixture
def writer(database: Database) -> Iterator[EventWriter]:
    """A writer that has claimed the fence."""
    writer = EventWriter(database)
    writer.claim(instance="one", host="here", pid=1, stale_after_s=10)
    yield writer
    writer.close()


@pytest.fixture
def block() -> Callable[..., bytes]:
    """Makes a block of like rows with the given ids."""

    def make(*ids: int, event_type: str = "a.b", payload: bytes = b'{"p": 1}') -> bytes:
        return b"".join(copy_row(i, event_type, "quotes", TS, payload) for i in ids)

    return make


@pytest.fixture
def stored_ids(admin: Connection) -> Callable[[], list[int]]:
    """Reads the ids in the table, in order."""
    return lambda: [row[0] for row in admin.execute("SELECT id FROM events ORDER BY id")]


@pytest.fixture
def wait_for_lock(pg_url: str) -> Iterator[Callable[[], None]]:
    """Waits until a connection to this test's database waits for a lock."""
    waiting = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    with connect(pg_url) as connection:

        def wait() -> None:
            for _ in range(1_000):
                if connection.execute(waiting).fetchone() != (0,):
                    return
                gevent.sleep(0.01)
            pytest.fail("nobody waits for a lock")

        yield wait


class Wire:
    """A TCP proxy before PostgreSQL that can hold back answers, and be cut.

    (Simple queries are plain text on the wire.)
    """

    def __init__(self, url: str) -> None:
        self._info = psycopg.conninfo.conninfo_to_dict(url)
        self._needle: bytes | None = None
        self._passed_on = True
        self._kept: list[socket.socket] = []
        self._server = StreamServer(("127.0.0.1", 0), self._serve)
        self._server.start()
        overrides = {"host": "127.0.0.1", "port": self._server.server_port, "sslmode": "disable"}
        self.url = psycopg.conninfo.make_conninfo(url, **overrides, gssencmode="disable")

    def cut_after(self, needle: bytes) -> None:
        """Cut the next connection that sends it, once the server got it, before the answer."""
        self._needle, self._passed_on = needle, True

    def swallow(self, needle: bytes) -> None:
        """Cut the client that sends it; the server neither gets it nor notices."""
        self._needle, self._passed_on = needle, False

    def close(self) -> None:
        """Stop it and all that goes through it."""
        for upstream in self._kept:
            upstream.close()
        self._server.stop(timeout=1)

    def _upstream(self) -> socket.socket:
        host, port = str(self._info["host"]), int(self._info.get("port") or 5432)
        if not host.startswith("/"):
            return socket.create_connection((host, port))
        upstream = socket.socket(socket.AF_UNIX)
        upstream.connect(f"{host}/.s.PGSQL.{port}")
        return upstream

    def _serve(self, client: socket.socket, _address: object) -> None:
        with client, self._upstream() as upstream:
            back = gevent.spawn(_pump, upstream, client)
            try:
                self._forward(client, upstream, back)
            finally:
                back.kill()

    def _forward(
        self, client: socket.socket, upstream: socket.socket, back: gevent.Greenlet
    ) -> None:
        while data := client.recv(65_536):
            if self._needle is not None and self._needle in data:
                self._needle = None
                back.kill()  # no answer gets through any more
                if self._passed_on:
                    upstream.sendall(data)
                    upstream.recv(1)  # the server has done it
                else:
                    self._kept.append(upstream.dup())
                return
            upstream.sendall(data)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65_536):
            sink.sendall(data)
    except OSError:
        return


@pytest.fixture
def wire(pg_url: str, admin: Connection) -> Iterator[Wire]:  # noqa: ARG001 (migrates)
    """A wire to the migrated database of this test."""
    wire = Wire(pg_url)
    yield wire
    wire.close()
