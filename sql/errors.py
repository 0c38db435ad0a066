"""Errors of PostgreSQL, by what the caller has to do about them.

StoreError                  anything else the server said (`sqlstate`); nothing was stored
├── Unavailable             no server, or it is busy or lost; nothing was stored: try again later
│   ├── TimedOut            the statement took longer than it may
│   ├── TooManyConnections  role, database or server have no slot left
│   └── PreparedElsewhere   a pooler in front gave the prepared statement's session to others
├── CommitUnknown           the connection was lost while committing: `EventWriter.resolve`
├── RefusedRows             PostgreSQL cannot take one of these rows: find it by halving
│   └── KeptOut             something of the host's leaves the row out without a word
├── UniqueClash             an id is taken: `EventWriter.resolve`
├── HostChanged             another host of the URL serves us than the one we claimed: claim there
├── Fenced                  another daemon has taken over: stop writing
├── WriterClaimed           another daemon writes to this database: do not start
├── Denied                  a password or a permission is missing: the operator's turn
└── SchemaError             tables are missing or not as they should be: `orchestrator db migrate`
    ├── WrongEncoding       the database is not in UTF-8: `CREATE DATABASE ... ENCODING 'UTF8'`
    ├── MigrationChanged    an applied migration is not the one we ship
    └── MigrationUnknown    the database was migrated by a newer version
"""

import re
from dataclasses import dataclass

import psycopg

# Server states that pass: connections (08), resources (53), shutdown and recovery (57P0x), deadlock
# and serialisation (40), locks not to be had (55P03), a server that is read-only for now (25006).
_PASSING_CLASSES = ("08", "40", "53", "57")
_PASSING_STATES = frozenset({"55P03", "55006", "25006"})
# Data that cannot be stored: bad values (22), limits of the program (54), constraints of the
# host's own (23, but unique), a trigger of the host's own that says no (P0001, 44000, 09000).
_DATA_CLASSES = ("22", "23", "54", "09", "44")
_DATA_STATES = frozenset({"P0001"})
_PREPARED_STATES = frozenset({"42P05", "26000"})
_FULL = re.compile(r"too many (connections|clients)|remaining connection slots")
_UNIQUE_VIOLATION = "23505"
_QUERY_CANCELED = "57014"
_DENIED_CLASSES = ("28",)
_DENIED_STATES = frozenset({"42501"})
_SCHEMA_STATES = frozenset({"42P01", "42703", "3F000", "42883", "42804", "42P10"})
_NO_DATABASE = "3D000"
# The statement failed at a live server because of what it touches: another row may succeed.
_ROW_WISE = ("40", "55P03", "57014")


class StoreError(Exception):
    """A statement failed; nothing of it is stored.

    Attributes:
        sqlstate: the server's five characters, or None if it did not answer.
    """

    def __init__(self, message: str, *, sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class Unavailable(StoreError):
    """PostgreSQL cannot be reached, or is too busy; trying again later may help."""


class HostChanged(StoreError):
    """The claim was made on another host of the URL than the one that serves now."""


class TimedOut(Unavailable):
    """The statement ran into its time limit."""


class TooManyConnections(Unavailable):
    """Role, database or server have no slot left."""


class PreparedElsewhere(Unavailable):
    """A prepared statement is there twice or not at all: a pooler is in front."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """What tells the transaction whose commit is unknown from all others."""

    backend_pid: int
    """The server process that worked on it."""
    xid: int
    """Its 64-bit transaction id."""


class CommitUnknown(StoreError):
    """The connection was lost while committing: the rows are stored, or not.

    Attributes:
        doubt: the transaction, for `EventWriter.resolve`.
    """

    def __init__(self, message: str, doubt: Doubt) -> None:
        super().__init__(message)
        self.doubt = doubt

    @property
    def backend_pid(self) -> int:
        """The server process that was committing."""
        return self.doubt.backend_pid


class RefusedRows(StoreError):
    """PostgreSQL cannot take one of the rows, now or ever; none of the block is stored."""


class KeptOut(RefusedRows):
    """A trigger, a rule or row security of the host's leaves the row out without a word."""

    def __init__(self) -> None:
        super().__init__("a trigger, a rule or row security keeps it out")


class UniqueClash(StoreError):
    """A unique value, usually the id, is in the table already; none of the block is stored."""


class Fenced(StoreError):
    """Another daemon took over since; nothing is stored under our epoch any more."""


class WriterClaimed(StoreError):
    """Another daemon writes to this database.

    Attributes:
        instance: its name.
        host: where it runs.
        pid: its process there.
        renewed_s_ago: seconds since it last said that it lives.
    """

    def __init__(self, *, instance: str, host: str, pid: int, renewed_s_ago: float) -> None:
        super().__init__(
            f"another daemon writes to this database: instance {instance} on {host}, "
            f"process {pid}, seen {renewed_s_ago:.0f} s ago"
        )
        self.instance = instance
        self.host = host
        self.pid = pid
        self.renewed_s_ago = renewed_s_ago


class Denied(StoreError):
    """PostgreSQL does not let this user in, or not do this."""


class SchemaError(StoreError):
    """Tables or columns are missing, or are not as they should be."""


class WrongEncoding(SchemaError):
    """The database is not in UTF-8."""


class MigrationChanged(SchemaError):
    """A migration that was applied differs from the one in this package."""


class MigrationUnknown(SchemaError):
    """The database has migrations that this package does not know."""


def is_refusal(error: StoreError) -> bool:
    """Whether trying the same row again is of no use before it, the table or a right changes."""
    if isinstance(error, RefusedRows):
        return True
    state = error.sqlstate
    if state is None or isinstance(error, Unavailable):
        return False
    return not state.startswith(_DENIED_CLASSES) and state != _NO_DATABASE


def is_row_wise(error: StoreError) -> bool:
    """Whether the trouble passes, but may be of some rows only: a lock, a trigger that is slow."""
    return error.sqlstate is not None and error.sqlstate.startswith(_ROW_WISE)


def translate(error: psycopg.Error) -> StoreError:
    """The error of this room for one of psycopg's; raise it `from` that one."""
    state = error.sqlstate
    text = _text_of(error)
    if state is None:
        return _without_state(error, text)
    if state == _QUERY_CANCELED:
        return TimedOut(text, sqlstate=state)
    return _class_of(state)(text, sqlstate=state)


def _class_of(state: str) -> type[StoreError]:
    if state == _UNIQUE_VIOLATION:
        return UniqueClash
    if state in _PREPARED_STATES:
        return PreparedElsewhere
    if state.startswith(_PASSING_CLASSES) or state in _PASSING_STATES:
        return Unavailable
    if state.startswith(_DATA_CLASSES) or state in _DATA_STATES:
        return RefusedRows
    if state.startswith(_DENIED_CLASSES) or state in _DENIED_STATES or state == _NO_DATABASE:
        return Denied
    return SchemaError if state in _SCHEMA_STATES else StoreError


def _without_state(error: psycopg.Error, text: str) -> StoreError:
    """No answer from the server; but libpq tells a refused login by its text only."""
    if isinstance(error, psycopg.OperationalError):
        if advice := _tls_advice(text):
            return Unavailable(f"{text}; {advice}")
        if _FULL.search(text):
            return TooManyConnections(text)
        refused = "authentication failed" in text or "no password supplied" in text
        missing = "does not exist" in text
        return Denied(text) if refused or missing else Unavailable(text)
    if isinstance(error, psycopg.DataError):
        return RefusedRows(text)
    return StoreError(text)


def _tls_advice(text: str) -> str:
    """What to do when the server is not whom the URL asks for; nothing where that is not it."""
    if "does not support SSL" in text:
        return "enable TLS there, or omit sslmode in PG_URL on a trusted network"
    if "does not match host name" in text:
        return "name the server in PG_URL as its certificate does"
    if "certificate verify failed" in text:
        return (
            "its certificate has expired, or is signed by an authority that sslrootcert in PG_URL "
            "does not have"
        )
    if "root certificate file" in text:
        return "name the authority's certificate in PG_URL: sslrootcert=FILE, or sslrootcert=system"
    return ""


def _text_of(error: psycopg.Error) -> str:
    """Message and detail, without the statement's own text."""
    parts = (error.diag.message_primary, error.diag.message_detail)
    said = " ".join(part for part in parts if part)
    return said or (str(error).strip().splitlines() or [type(error).__name__])[0]
