"""Stores events: ids, blocks of rows by COPY, and the outcome after a failure."""

import re
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar

import msgspec
import psycopg

from ..connection import Connection, Row
from ..database import Database
from ..errors import (
    CommitUnknown,
    Doubt,
    RefusedRows,
    SchemaError,
    StoreError,
    Unavailable,
    is_refusal,
    translate,
)
from ..named_queries import query
from ..refusals import Refusals
from .fenced_connection import FencedConnection
from .stream_position import STREAM, StreamPosition, load_position, save_position

# Up to here a gap of the sequence is closed by using ids up, which is safe against others that take
# some at the same moment; a wider gap by setval, which a race of a few ids cannot leap over.
BURN_LIMIT: Final = 10_000
# How long an old transaction may take to end after its backend was terminated.
END_LIMIT_S: Final = 30.0
END_POLL_S: Final = 0.05
# Rows sent again for each one that is refused, at most.
SIFT_ROWS: Final = 500
T = TypeVar("T")

_COPY_LINE: Final = re.compile(r"^COPY \S+, line ([0-9]+)", re.MULTILINE)


class Resolution(msgspec.Struct, frozen=True):
    """Outcome of a block whose rows may have been stored already."""

    stored: tuple[int, ...]
    """Ids stored now."""
    already: tuple[int, ...]
    """Ids that were there as the same row: type, source, ts and payload are equal."""
    clashes: tuple[int, ...]
    """Ids that another row has: ours need new ones, and are not stored."""


class _PositionRefused(StoreError):
    """The events could be stored, but not how far the stream was read by them."""


class _CopyRefused(StoreError):
    """COPY into events is not allowed: row security, for a role that is not the owner."""


class EventWriter(FencedConnection):
    """One connection of its own for one greenlet: ids, blocks of rows, the fence.

    Each call blocks the caller's greenlet: a connect for 5 s, a small statement for 30 s, a block
    for 60 s at most. After any error the writer can be used again at once.

    Attributes:
        copy_refused: `COPY` into events is not allowed here (row security); rows take a slower way.
        doubt: the transaction whose commit was under way when the greenlet was ended, else None.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.copy_refused = False
        self.doubt: Doubt | None = None

    @property
    def silent_after_s(self) -> float:
        """Limit of the time without an answer of PostgreSQL, in seconds."""
        return self._database.settings.silent_after_s

    @property
    def refusals(self) -> Refusals:
        """What of the stream's position is refused."""
        return self._database.refusals

    # -- ids ------------------------------------------------------------------------------------

    def take_ids(self, count: int) -> list[tuple[int, int]]:
        """Take `count` ids; returns them as ranges `(first, last)`, ascending, both included.

        More than one range, since others may take ids at the same time. Ids that are lost on the
        way leave a gap, never a duplicate.
        """
        rows = self._rows("take_ids", sequence=self._sequence(), count=count)
        return [(first, last) for first, last in rows]

    def raise_sequence(self, above: int) -> None:
        """Raise the sequence so that no id up to and including `above` is assigned again."""
        name = self._sequence()
        with self._limited() as connection:
            statement = query("sequence_last").replace(b"{}", name.encode())
            gap = above - _first(connection.execute(statement).fetchone())
            if gap > BURN_LIMIT:
                connection.execute(query("sequence_set"), {"sequence": name, "value": above})
            elif gap > 0:
                connection.execute(query("sequence_burn"), {"sequence": name, "count": gap})

    def committed_max(self) -> int:
        """The highest id in the table that may be ours, 0 without any."""
        return _first(self._rows("committed_max")[0])

    def oldest_id(self) -> int | None:
        """The lowest id in the table; ``None`` if it is empty."""
        found: int | None = self._rows("oldest_id")[0][0]
        return found

    def newest_at_ms(self) -> int:
        """When the newest event that may be ours was received (Unix ms), 0 without any."""
        rows = self._rows("newest_at")
        return int(rows[0][0]) if rows else 0

    def rejected_at(self, event_id: int) -> tuple[str, int, str] | None:
        """Channel, size and raw of the ``bus.rejected`` at ``event_id``; None if there is none."""
        rows = self._rows("rejected_at", id=event_id)
        return (str(rows[0][0]), int(rows[0][1]), str(rows[0][2])) if rows else None

    def _sequence(self) -> str:
        name: str | None = self._rows("sequence_name")[0][0]
        if name is None:
            raise SchemaError("events.id has no sequence")
        return name

    # -- rows -----------------------------------------------------------------------------------

    def stream_position(self) -> StreamPosition | None:
        """The committed position in the durable stream; None if there is none."""
        with self._limited() as connection:
            return load_position(connection)

    def store(self, rows: bytes, stream: StreamPosition | None = None) -> None:
        """Store a block of rows in one transaction, all of them or none; durable on return.

        Args:
            rows: lines of `copy_row`, in order of id; with `stream` there may be none.
            stream: how far the stream has been read by these rows; committed with them.

        Raises:
            Fenced: another daemon has taken over.
            RefusedRows: one of the rows cannot be stored.
            UniqueClash: one of the ids is taken: `resolve(rows)`.
            CommitUnknown: the connection was lost while committing: `resolve(rows, doubt)`.
            Unavailable: the connection was lost before.
            StoreError: and its other kinds.
        """
        if not self.copy_refused:
            try:
                self._transact(partial(_copy_rows, rows=rows), stream)
            except _CopyRefused:
                self.copy_refused = True
            else:
                return
        self._transact(partial(_insert_rows, rows=rows), stream)

    def resolve(
        self, rows: bytes, doubt: Doubt | None = None, stream: StreamPosition | None = None
    ) -> Resolution:
        """Store the rows of a block that are missing, and report which were there.

        First the transaction in doubt is ended if it is still running, which settles its outcome.

        Args:
            rows: the block, as for `store`.
            doubt: of `CommitUnknown`.
            stream: as for `store`.

        Raises:
            RefusedRows: also when a unique index other than the id's refuses a row.
            StoreError: as `store`, but never `UniqueClash`.
        """
        if doubt is not None:
            self._end_transaction(doubt)
        return self._transact(partial(_merge_rows, rows=rows), stream)

    def sift(
        self,
        lines: Sequence[bytes],
        instead: Callable[[bytes, RefusedRows], bytes],
        stream: StreamPosition | None = None,
    ) -> None:
        """Store a block of which PostgreSQL refuses some rows, all in one transaction.

        Args:
            lines: the block's lines, without their newlines.
            instead: gives the line to store in the place of one that is refused.
            stream: as for `store`.

        Raises:
            RefusedRows: it is the commit that is refused, or what `instead` gave.
            StoreError: as `store`.
        """
        put = _insert_rows if self.copy_refused else _copy_rows
        self._transact(partial(_sift_rows, lines=lines, put=put, instead=instead), stream)

    def _transact(self, put: Callable[[Connection], T], stream: StreamPosition | None) -> T:
        """One storing transaction; a position that PostgreSQL refuses holds up no event."""

        def transact(stream: StreamPosition | None) -> T:
            with self._session() as connection:
                doubt = self._begin(connection)
                outcome = put(connection)
                if stream is not None:
                    _save_position(connection, stream)
                self._commit(connection, doubt)
            return outcome

        if stream is None:
            return transact(None)
        stored = self.refusals.write(
            "orchestrator_stream",
            STREAM,
            None,
            lambda: (transact(stream),),
            is_refused=lambda error: isinstance(error, _PositionRefused),
        )
        return transact(None) if stored is None else stored[0]

    def _commit(self, connection: Connection, doubt: Doubt) -> None:
        self.doubt = doubt
        try:
            connection.execute("COMMIT", prepare=False)
        except psycopg.Error as error:
            self.doubt = None
            if not connection.closed:
                raise  # refused by a live server: nothing is stored
            raise CommitUnknown(f"lost while committing: {translate(error)}", doubt) from error
        self.doubt = None

    def _end_transaction(self, doubt: Doubt) -> None:
        parameters = {"backend_pid": doubt.backend_pid, "xid": doubt.xid}
        end = time.monotonic() + END_LIMIT_S
        while self._rows("transaction_end", **parameters):
            if time.monotonic() > end:
                raise Unavailable(f"backend {doubt.backend_pid} does not end")
            time.sleep(END_POLL_S)


def _first(row: Row | None) -> int:
    return int(row[0]) if row is not None else 0


def _save_position(connection: Connection, position: StreamPosition) -> None:
    try:
        save_position(connection, position)
    except psycopg.Error as error:
        refused = translate(error)
        if not is_refusal(refused):
            raise
        raise _PositionRefused(str(refused), sqlstate=refused.sqlstate) from error


def _copy_rows(connection: Connection, rows: bytes) -> None:
    if not rows:
        return
    try:
        with connection.cursor() as cursor, cursor.copy(query("events_copy")) as copy:
            copy.write(rows)
    except psycopg.errors.FeatureNotSupported as error:
        raise _CopyRefused(str(translate(error)), sqlstate=error.sqlstate) from error


def _sift_rows(
    connection: Connection,
    lines: Sequence[bytes],
    put: Callable[[Connection, bytes], None],
    instead: Callable[[bytes, RefusedRows], bytes],
) -> None:
    """Store by parts, each in a savepoint: before a refused row, its substitute, after it."""
    parts = [lines[start : start + SIFT_ROWS] for start in range(0, len(lines), SIFT_ROWS)][::-1]
    while parts:
        part = parts.pop()
        try:
            with connection.transaction():
                put(connection, b"".join([line + b"\n" for line in part]))
        except psycopg.Error as error:
            refused = translate(error)
            if not isinstance(refused, RefusedRows):
                raise
            place = _refused_place(error, len(part))
            if len(part) == 1:
                put(connection, instead(part[0], refused) + b"\n")
            elif place is None:
                middle = len(part) // 2
                parts += [part[middle:], part[:middle]]
            else:
                rest = (part[place + 1 :], part[place : place + 1], part[:place])
                parts += [some for some in rest if some]


def _refused_place(error: psycopg.Error, rows: int) -> int | None:
    """The line that COPY failed at, from 0; None if unknown."""
    found = _COPY_LINE.search(error.diag.context or "")
    place = int(found[1]) - 1 if found else rows
    return place if 0 <= place < rows else None


def _stage_rows(connection: Connection, rows: bytes) -> None:
    connection.execute(query("staging_create"), prepare=False)
    with connection.cursor() as cursor, cursor.copy(query("staging_copy")) as copy:
        copy.write(rows)


def _insert_rows(connection: Connection, rows: bytes) -> None:
    if not rows:
        return
    _stage_rows(connection, rows)
    connection.execute(query("staging_insert"), prepare=False)


def _merge_rows(connection: Connection, rows: bytes) -> Resolution:
    _stage_rows(connection, rows)
    try:
        stored = [row[0] for row in connection.execute(query("staging_store"), prepare=False)]
    except psycopg.errors.UniqueViolation as error:
        raise RefusedRows(str(translate(error)), sqlstate=error.sqlstate) from error
    taken = connection.execute(
        query("staging_compare"), {"stored": stored}, prepare=False
    ).fetchall()
    return Resolution(
        stored=tuple(sorted(stored)),
        already=tuple(event_id for event_id, same in taken if same),
        clashes=tuple(event_id for event_id, same in taken if not same),
    )
