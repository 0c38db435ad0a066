"""The writer's connection: fencing, and a clean state after every failure."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Final

import psycopg
from psycopg.pq import TransactionStatus

from ..connection import Connection, Row
from ..database import Database
from ..errors import (
    Doubt,
    Fenced,
    HostChanged,
    PreparedElsewhere,
    StoreError,
    Unavailable,
    WriterClaimed,
    translate,
)
from ..hosts import Hosts, Place
from ..named_queries import query

STALE_AFTER_S: Final = 30.0
"""A daemon that has not renewed its claim for this long is gone; it renews at a third of it."""

# Limits of the small statements; storing has its own in writer_begin.sql.
LIMITS: Final = b"SET LOCAL statement_timeout = '30s'; SET LOCAL lock_timeout = '30s'"
# PostgreSQL truncates application names there.
NAME_BYTES: Final = 63


class FencedConnection:
    """One connection of its own for one greenlet, and the epoch under which it may write.

    It connects when it is first used and again after a failure; the epoch outlives connections, but
    not the host: a replica that was promoted may lack the newest of what was committed, and another
    daemon may have claimed it. So on another host of the URL the claim is made again.

    Attributes:
        epoch: what `claim` gave, or None.
    """

    def __init__(self, database: Database) -> None:
        self.epoch: int | None = None
        self._database = database
        self._application = _application("")
        self._connection: Connection | None = None
        self._claimed_on: tuple[str, int] | None = None

    @property
    def hosts(self) -> Hosts:
        """Of the URL, where it names several for writing."""
        return self._database.hosts

    def use(self, place: Place) -> None:
        """Connect there next, rather than to the host in use."""
        self._database.use(place.get("host") or place["hostaddr"], int(place.get("port") or "5432"))

    def lease_age_s(self, place: Place) -> float | None:
        """How long ago the lease was renewed that one of the hosts holds; None without a lease.

        Infinite if it was released. Uses a connection of its own, in any greenlet.

        Raises:
            StoreError: the host takes no writes, or cannot be asked.
        """
        try:
            with closing(self._database.connect_to(place)) as connection:
                holder = connection.execute(query("writer_current"), prepare=False).fetchone()
        except psycopg.Error as error:
            raise translate(error) from error
        return None if holder is None else float(holder[-1])

    def close(self) -> None:
        """Close the connection; the claim is kept."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def claim(
        self, *, instance: str, host: str, pid: int, stale_after_s: float = STALE_AFTER_S
    ) -> int:
        """Claim the right to write; returns the epoch. Ends backends of the previous writer.

        The same instance takes over at once (the lock on its data directory says that it is
        alone), another one when the holder has not renewed for `stale_after_s`, or has released.
        Returns only when no transaction of an earlier epoch is under way.

        Raises:
            WriterClaimed: another daemon writes to this database.
            StoreError: and its other kinds.
        """
        self.close()
        self._application = _application(instance)
        with self._limited() as connection:
            holder = connection.execute(query("writer_current")).fetchone()
            _refuse_if_alive(holder, instance, stale_after_s)
            if holder is not None:
                former = {"application": _application(holder[0])}
                connection.execute(query("writer_end_backends"), former)
        mine = {"instance": instance, "host": host, "pid": pid, "stale_after_s": stale_after_s}
        with self._limited() as connection:
            row = connection.execute(query("writer_claim"), mine).fetchone()
            if row is None:
                current = connection.execute(query("writer_current")).fetchone()
                _refuse_if_alive(current, instance, stale_after_s)
                raise Unavailable("the writer's row changed hands in between")
            self.epoch = int(row[0])
            self._claimed_on = _place_of(connection)
        return self.epoch

    def renew(self) -> None:
        """Renew the claim; call it at a third of `stale_after_s`.

        Raises:
            Fenced: another daemon has taken over.
            StoreError: and its other kinds.
        """
        if not self._rows("writer_renew", epoch=self.epoch):
            raise self._fenced()

    def release(self) -> None:
        """Release the claim, so that the next daemon need not wait."""
        self._rows("writer_release", epoch=self.epoch)
        self.epoch = None

    def _begin(self, connection: Connection) -> Doubt:
        """Begin a transaction that checks the epoch, in one round trip."""
        cursor = connection.execute(query("writer_begin"), prepare=False)
        while cursor.nextset():
            pass
        row = cursor.fetchone()
        if row is None or row[0] != self.epoch:
            raise self._fenced()
        return Doubt(backend_pid=row[1], xid=int(row[2]))

    def _rows(self, name: str, **parameters: object) -> list[Row]:
        with self._limited() as connection:
            cursor = connection.execute(query(name), parameters)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def _limited(self) -> Iterator[Connection]:
        """A transaction with limits for a few small statements."""
        with self._session() as connection, connection.transaction():
            connection.execute(LIMITS, prepare=False)
            yield connection

    @contextmanager
    def _session(self) -> Iterator[Connection]:
        """The connection, opened on demand; after a failure it is rolled back or closed."""
        if self._connection is None or self._connection.closed:
            self._connection = self._database.connect_writer(self._application)
            self._check_host(self._connection)
        try:
            yield self._connection
        except psycopg.errors.QueryCanceled as error:
            self.close()  # a COPY may have been interrupted
            raise translate(error) from error
        except psycopg.Error as error:
            found = self._database.translated(error)
            if isinstance(found, PreparedElsewhere):
                self.close()
            self._roll_back()
            raise found from error
        except StoreError:
            self._roll_back()
            raise
        except BaseException:
            self.close()  # in the middle of a statement: unusable
            raise

    def _check_host(self, connection: Connection) -> None:
        host, port = _place_of(connection)
        if self.epoch is not None and self._claimed_on not in (None, (host, port)):
            self.epoch = None
            raise HostChanged(f"{host}:{port} takes writes now")

    def _roll_back(self) -> None:
        connection = self._connection
        if connection is None or connection.closed:
            self._connection = None
        elif connection.info.transaction_status is not TransactionStatus.IDLE:
            try:
                connection.execute("ROLLBACK", prepare=False)
            except psycopg.Error:
                self.close()

    def _fenced(self) -> Fenced:
        return Fenced(f"another daemon has taken over (our epoch was {self.epoch})")


def _place_of(connection: Connection) -> tuple[str, int]:
    return connection.info.host, connection.info.port


def _application(instance: str) -> str:
    return f"orchestrator writer {instance}".encode()[:NAME_BYTES].decode(errors="ignore")


def _refuse_if_alive(holder: Row | None, instance: str, stale_after_s: float) -> None:
    if holder is None:
        return
    name, host, pid, _epoch, renewed_s_ago = holder
    if name != instance and renewed_s_ago < stale_after_s:
        raise WriterClaimed(instance=name, host=host, pid=pid, renewed_s_ago=renewed_s_ago)
