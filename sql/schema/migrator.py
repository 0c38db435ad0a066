"""Migrates a database to this package's schema: numbered files, each applied once, under a lock.

(Not `migrations.py`: a module and the folder `migrations/` would shadow each other.)
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Final

import msgspec
import psycopg

from ..connection import Connection, encoding_problem
from ..errors import MigrationChanged, MigrationUnknown, SchemaError, WrongEncoding, translate
from ..named_queries import query

# A number that is unlikely to be used by other advisory locks: "orch" in ASCII.
LOCK_KEY: Final = 0x6F726368
# Another `db migrate` may be building indexes on a large table.
# Run again after every later one, which may have made tables.
RIGHTS: Final = "0007_rights"
LIMITS: Final = (
    b"SET LOCAL lock_timeout = '60s'; SET LOCAL statement_timeout = 0;"
    b" SET LOCAL idle_in_transaction_session_timeout = 0"
)

COLUMNS: Final[Mapping[str, Mapping[str, str]]] = {
    "agents": {
        "id": "text",
        "name": "text",
        "agent_group": "text",
        "status": "text",
        "last_beat": "timestamp with time zone",
        "last_error": "text",
        "created_at": "timestamp with time zone",
        "updated_at": "timestamp with time zone",
    },
    "events": {
        "id": "bigint",
        "type": "text",
        "payload": "jsonb",
        "ts": "timestamp with time zone",
        "source": "text",
        "processed": "boolean",
        "created_at": "timestamp with time zone",
    },
    "orchestrator_state": {
        "id": "uuid",
        "key": "text",
        "value": "jsonb",
        "created_at": "timestamp with time zone",
        "updated_at": "timestamp with time zone",
    },
    "orchestrator_writer": {
        "epoch": "bigint",
        "instance": "text",
        "host": "text",
        "pid": "integer",
        "started_at": "timestamp with time zone",
        "renewed_at": "timestamp with time zone",
    },
}


class MigrationState(StrEnum):
    """State of a migration."""

    APPLIED = "applied"
    PENDING = "pending"
    CHANGED = "changed"
    UNKNOWN = "unknown"


class MigrationStatus(msgspec.Struct, frozen=True):
    """One migration of this package or of the database."""

    name: str
    """The file's name without `.sql`."""
    state: MigrationState
    """`changed`: applied, but not this text; `unknown`: applied, but not in this package."""
    applied_at: str | None
    """When it was applied (ISO 8601, UTC)."""


@cache
def shipped() -> dict[str, str]:
    """Name → text of the migrations in this package, in order."""
    room = __package__.rpartition(".")[0]
    folder = files(room).joinpath("migrations")
    found = (entry for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return {
        entry.name.removesuffix(".sql"): entry.read_text("utf-8")
        for entry in sorted(found, key=lambda entry: entry.name)
    }


def checksum(text: str) -> str:
    """Checksum of a migration's text, as recorded in the database."""
    return hashlib.sha256(text.encode()).hexdigest()


def migrate(connection: Connection) -> list[str]:
    """Apply pending migrations, all or none, and check the tables; returns the names applied.

    Concurrent calls wait for each other (60 s at most). With nothing to do it takes no lock and
    needs no permission to create anything. `connection` must be in autocommit mode.

    Raises:
        WrongEncoding: the database is not in UTF-8; nothing was looked at.
        MigrationChanged: an applied migration has another text in this package.
        MigrationUnknown: the database is ahead of this package.
        SchemaError: a table exists in another shape than the seed's.
        StoreError: and its other kinds.
    """
    if problem := encoding_problem(connection):
        raise WrongEncoding(problem)
    if not _pending(status(connection)):
        _check_columns(connection)
        return []
    with _errors_translated(), connection.transaction():
        connection.execute(LIMITS)
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK_KEY])
        _check_columns(connection, only_existing=True)
        connection.execute(query("migrations_create"))
        names = _pending(status(connection))
        for name in names:
            _apply(connection, name, shipped()[name])
        if names and names[-1] > RIGHTS:
            connection.execute(shipped()[RIGHTS].encode())
        _check_columns(connection)
    return names


def status(connection: Connection) -> list[MigrationStatus]:
    """State of each migration, in order of name; changes nothing.

    Raises:
        StoreError: and its kinds.
    """
    with _errors_translated():
        applied = _applied(connection)
    names = sorted(shipped().keys() | applied.keys())
    return [_status_of(name, applied.get(name)) for name in names]


def schema_problems(connection: Connection, *, only_existing: bool = False) -> list[str]:
    """Problems of the tables, a line each; empty if the schema is right.

    Args:
        connection: in autocommit mode.
        only_existing: ignore missing tables.

    Raises:
        StoreError: and its kinds.
    """
    with _errors_translated():
        found: dict[str, dict[str, str]] = {}
        for table, column, kind in connection.execute(query("schema_columns")):
            found.setdefault(table, {})[column] = kind
    return [
        problem
        for table, columns in COLUMNS.items()
        if table in found or not only_existing
        for problem in _problems(table, columns, found)
    ]


def _problems(
    table: str, columns: Mapping[str, str], found: Mapping[str, Mapping[str, str]]
) -> Iterator[str]:
    if table not in found:
        yield f"table {table} is missing"
        return
    for column, kind in columns.items():
        there = found[table].get(column)
        if there is None:
            yield f"column {table}.{column} is missing"
        elif there != kind:
            yield f"column {table}.{column} is {there}, not {kind}"


def _check_columns(connection: Connection, *, only_existing: bool = False) -> None:
    if problems := schema_problems(connection, only_existing=only_existing):
        raise SchemaError("; ".join(problems))


def _applied(connection: Connection) -> dict[str, tuple[str, str]]:
    (there,) = connection.execute(
        "SELECT to_regclass('orchestrator_migrations')::text"
    ).fetchone() or (None,)
    if there is None:
        return {}
    rows = connection.execute(query("migrations_applied"))
    return {name: (digest, applied_at) for name, digest, applied_at in rows}


def _status_of(name: str, applied: tuple[str, str] | None) -> MigrationStatus:
    if applied is None:
        return MigrationStatus(name, MigrationState.PENDING, None)
    digest, applied_at = applied
    if name not in shipped():
        return MigrationStatus(name, MigrationState.UNKNOWN, applied_at)
    same = digest == checksum(shipped()[name])
    state = MigrationState.APPLIED if same else MigrationState.CHANGED
    return MigrationStatus(name, state, applied_at)


def _pending(migrations: list[MigrationStatus]) -> list[str]:
    for migration in migrations:
        if migration.state is MigrationState.CHANGED:
            raise MigrationChanged(f"{migration.name} was applied with another text")
        if migration.state is MigrationState.UNKNOWN:
            raise MigrationUnknown(
                f"the database has {migration.name}, unknown to this version: use a newer one"
            )
    return [entry.name for entry in migrations if entry.state is MigrationState.PENDING]


def _apply(connection: Connection, name: str, text: str) -> None:
    connection.execute(text.encode())
    connection.execute(query("migrations_record"), {"name": name, "checksum": checksum(text)})


@contextmanager
def _errors_translated() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise translate(error) from error
