"""Connections to PostgreSQL: settings, a pool for reads and small writes, the writer's own."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import structlog
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from .connection import (
    Connection,
    Row,
    check_wait,
    connect,
    conninfo,
    parameters,
    prepares,
    settle,
)
from .errors import (
    PreparedElsewhere,
    RefusedRows,
    StoreError,
    TooManyConnections,
    Unavailable,
    translate,
)
from .hosts import Hosts, Place
from .limited_connection import MARGIN_S, LimitedConnection
from .named_queries import query
from .refusals import Refusals

log = structlog.get_logger(actor="postgres")

# How long a caller waits for a free connection. Short: HTTP answers 503 while PostgreSQL is away.
POOL_WAIT_S = 2.0
# A check that finds none has to say why, too, all within 2 s.
HEALTH_WAIT_S = 0.8
# A lost server is tried again this long by the pool itself; after that, at the next use. Short,
# since the pool doubles its delays up to here: a server that is back is to be found within seconds.
RECONNECT_S = 2.0
CLOSE_LIMIT_S = 3.0
_SLOT_FREED_WITHIN_S = 2.0
_LIMIT = b"SET LOCAL statement_timeout = %d; SET LOCAL lock_timeout = %d"
_PLANNED_ONCE = b"; SET LOCAL plan_cache_mode = force_generic_plan"


class PostgresSettings(BaseModel):
    """Section `[postgres]` of supervisor.toml."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    url: SecretStr = SecretStr("postgresql://localhost:5432/orchestrator")
    """Where PostgreSQL is, TLS parameters included; or `embedded`."""
    url_file: Path | None = None
    """A file that holds `url`, instead, as secrets of container engines; read at the start."""
    pool_max: int = Field(default=20, ge=2, le=20)
    """Connections at most, the writer's own counted in."""
    prepare_threshold: int = Field(default=5, ge=0)
    """Prepare a statement at its nth use; 0: never (for transaction poolers)."""
    statement_timeout_ms: int = Field(default=5_000, ge=100, le=600_000)
    """Limit of one read or small write."""
    silent_after_s: float = Field(default=75.0, ge=1, le=3600)
    """So long it may leave the writer without an answer before that connection is given up. Its
    own limit for storing a block is 60 s, but a frozen one keeps none, and a proxy may hold the
    connection of a dead one open."""


@dataclass(frozen=True, slots=True)
class Health:
    """Whether PostgreSQL answers."""

    ok: bool
    """It answered."""
    message: str
    """`ok`, or the reason."""
    latency_ms: float | None
    """How long the answer took."""


class Database:
    """All connections to one PostgreSQL. Each call runs in, and blocks, the caller's greenlet only.

    Opening never waits: a start without PostgreSQL goes on, and the pool connects when it can.

    Args:
        settings: the section.
        url: the real URL where the settings say `embedded`.
    """

    def __init__(self, settings: PostgresSettings, *, url: str | None = None) -> None:
        check_wait()
        self.settings = settings
        self.refusals = Refusals()
        """Rows of small tables that are set aside."""
        self._url = url or settings.url.get_secret_value()
        self.hosts = Hosts(parameters(self._url))
        """Where the URL names several for writing."""
        self._prepares = settings.prepare_threshold > 0 and prepares(self._url)
        self.pool: ConnectionPool[LimitedConnection] = ConnectionPool(
            conninfo(self._url),
            connection_class=LimitedConnection,
            kwargs={"autocommit": True, "prepare_threshold": self._prepare_threshold},
            min_size=1,
            max_size=settings.pool_max - 1,
            open=False,
            configure=self._settle,
            timeout=POOL_WAIT_S,
            reconnect_timeout=RECONNECT_S,
            name="orchestrator-sql",
        )

    @property
    def _prepare_threshold(self) -> int | None:
        # 0 means never here; psycopg says None.
        return self.settings.prepare_threshold if self._prepares else None

    def _settle(self, connection: Connection) -> None:
        settle(connection)
        if self._prepares and connection.prepare_threshold is None:
            self._stop_preparing("another process serves us than the one we connected to")

    def _stop_preparing(self, reason: str) -> None:
        """A pooler is in front: no statement is prepared any more. Said once."""
        if self._prepares:
            self._prepares = False
            log.warning("a pooler is in front: statements are not prepared any more", reason=reason)

    def translated(self, error: psycopg.Error) -> StoreError:
        """The error of this room; one that shows a pooler is taken to heart."""
        found = translate(error)
        if isinstance(found, PreparedElsewhere):
            self._stop_preparing(str(found))
        return found

    def open(self) -> None:
        """Start connecting; returns at once, with or without a server."""
        self.pool.open(wait=False)

    def close(self) -> None:
        """Close the pool; waits for its workers, 3 s at most."""
        self.pool.close(timeout=CLOSE_LIMIT_S)

    def connect_writer(self, application_name: str) -> Connection:
        """A connection of its own, in autocommit mode; the caller owns and closes it.

        It comes before reads: where no slot is left, the pool gives one up.

        Raises:
            Unavailable: no server.
            Denied: wrong user, password or database.
        """
        try:
            return self._connect(application_name)
        except TooManyConnections:
            with self._one_less():
                return self._connect_to_freed_slot(application_name)

    def connect_to(self, place: Place) -> Connection:
        """A connection to one of the hosts, if it takes writes; waits 2 s at most.

        Raises:
            StoreError: as `connect_writer`; also from a host that does not take writes.
        """
        return connect(
            self._url,
            prepare_threshold=None,
            application_name="orchestrator-ask",
            connect_timeout="2",
            **place,
        )

    def use(self, host: str, port: int) -> None:
        """This host of the URL is the one in use: it is tried first from now on."""
        if self.hosts.use(host, port):
            self.pool.conninfo = conninfo(self._url, **self.hosts.in_order)

    def _connect(self, application_name: str) -> Connection:
        connection = connect(
            self._url,
            prepare_threshold=self._prepare_threshold,
            application_name=application_name,
            **self.hosts.in_order,
        )
        self.use(connection.info.host, connection.info.port)
        return connection

    def _connect_to_freed_slot(self, application_name: str) -> Connection:
        """The server counts a connection until its backend has ended, shortly after the close."""
        until = time.monotonic() + _SLOT_FREED_WITHIN_S
        while True:
            try:
                return self._connect(application_name)
            except TooManyConnections:
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)

    @contextmanager
    def _one_less(self) -> Iterator[None]:
        """Meanwhile the pool has a connection less; it replaces it afterwards, where it can."""
        try:
            given_up = self.pool.getconn()
        except (PoolTimeout, PoolClosed) as error:
            raise TooManyConnections(f"no slot, and none to give up: {error}") from error
        given_up.close()
        try:
            yield
        finally:
            self.pool.putconn(given_up)

    @contextmanager
    def transaction(
        self,
        *,
        timeout_ms: int | None = None,
        planned_once: bool = False,
        wait_s: float = POOL_WAIT_S,
    ) -> Iterator[Connection]:
        """A transaction on a pooled connection, under the statement limit; errors translated.

        A greenlet that is ended inside loses the connection, not the pool's health. With
        `planned_once` prepared statements keep their plan whatever their parameters: to plan again
        costs more for each partition than many a page.

        Raises:
            Unavailable: no connection within `wait_s`, lost on the way, or no answer within the
                limit and half a second.
            TimedOut: a statement ran longer than `timeout_ms` (default: the setting).
            StoreError: and its other kinds.
        """
        limit_ms = timeout_ms or self.settings.statement_timeout_ms
        try:
            with self._checked_out(wait_s, limit_ms) as connection, connection.transaction():
                connection.execute(
                    _LIMIT % (limit_ms, limit_ms) + (_PLANNED_ONCE if planned_once else b"")
                )
                yield connection
        except (PoolTimeout, PoolClosed) as error:
            raise Unavailable(f"no connection to PostgreSQL: {error}") from error
        except psycopg.Error as error:
            raise self.translated(error) from error
        except UnicodeEncodeError as error:  # text that is not UTF-8: it did not reach the wire
            raise RefusedRows(f"text cannot be encoded: {error.reason}") from error

    @contextmanager
    def _checked_out(self, wait_s: float, limit_ms: int) -> Iterator[Connection]:
        with self.pool.connection(timeout=wait_s) as connection:
            connection.answer_within_s = limit_ms / 1_000 + MARGIN_S
            if not self._prepares:
                connection.prepare_threshold = None
            yield connection

    def rows(
        self,
        statement: bytes,
        parameters: Mapping[str, Any] | None = None,
        *,
        prepare: bool | None = None,
        planned_once: bool = False,
    ) -> list[Row]:
        """Run one statement in a transaction of its own and fetch what it returns.

        Once more if that shows a pooler in front.

        Raises:
            StoreError: as `transaction`.
        """
        try:
            return self._rows(statement, parameters, prepare=prepare, planned_once=planned_once)
        except PreparedElsewhere:
            return self._rows(statement, parameters, prepare=False, planned_once=planned_once)

    def _rows(
        self,
        statement: bytes,
        parameters: Mapping[str, Any] | None,
        *,
        prepare: bool | None,
        planned_once: bool,
    ) -> list[Row]:
        with self.transaction(planned_once=planned_once) as connection:
            return connection.execute(statement, parameters, prepare=prepare).fetchall()

    def bytes_by_class(self) -> dict[str, int]:
        """What the database takes on disk, indexes and all, by class of table.

        Raises:
            StoreError: as `transaction`.
        """
        return dict(self.rows(query("database_bytes")))

    def health(self) -> Health:
        """Check that PostgreSQL answers; waits 2.3 s at most, 5 s where it has to say why not."""
        start = time.monotonic()
        try:
            with self.transaction(timeout_ms=1_000, wait_s=HEALTH_WAIT_S) as connection:
                connection.execute("SELECT 1")
        except StoreError as error:
            return Health(ok=False, message=self._reason(error), latency_ms=None)
        return Health(ok=True, message="ok", latency_ms=(time.monotonic() - start) * 1_000)

    def _reason(self, error: StoreError) -> str:
        """The cause of a missing connection, which the pool does not know."""
        if not isinstance(error.__cause__, PoolTimeout):
            return str(error)
        try:
            connect(self._url, connect_timeout="2").close()
        except StoreError as why:
            return str(why)
        return str(error)
