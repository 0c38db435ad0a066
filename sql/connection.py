"""How a connection to PostgreSQL is opened: its limits, and that it waits as greenlets must.

What our statements rely on is set at the connect, whatever role, database, URL or environment say:
UTF-8, how literals and times are written, no limits but our own. A pooler is known by the process
that serves a statement: it is not the one that introduced itself.
"""

import sys
from typing import Any

import psycopg
from psycopg import waiting
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from .errors import StoreError, translate
from .named_queries import query
from .pg_url import BadPgUrl, PgUrl, read_pg_url

Row = tuple[Any, ...]
Connection = psycopg.Connection[Row]

# What the URL does not say itself. A peer that went without a word is noticed after 15 s: by
# tcp_user_timeout while we send, by keepalives while we wait for it.
ALWAYS: dict[str, str] = {"client_encoding": "UTF8"}
DEFAULTS: dict[str, str] = {
    "connect_timeout": "5",
    "application_name": "orchestrator",
    "keepalives_idle": "6",
    "keepalives_interval": "3",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
}


class WrongWait(StoreError):
    """psycopg would wait in C and block every greenlet: gevent patched too late."""


def check_wait() -> None:
    """Check that waiting for PostgreSQL yields to other greenlets.

    psycopg chooses its wait function when it is imported: in Python where the standard library is
    patched by then, in C otherwise. In a process without gevent either is right.

    Raises:
        WrongWait: the process is patched, but psycopg was imported before.
    """
    monkey = sys.modules.get("gevent.monkey")
    patched = monkey is not None and monkey.is_module_patched("select")
    if patched and waiting.wait is getattr(waiting, "wait_c", None):
        raise WrongWait("psycopg was imported before gevent patched the standard library")


def conninfo(url: str, **overrides: str) -> str:
    """The connection string for a URL: all it says stays (TLS too), our limits fill the gaps.

    Raises:
        StoreError: it is not a PostgreSQL URL.
    """
    return make_conninfo("", **parameters(url, **overrides))


def parameters(url: str, **overrides: str) -> dict[str, str]:
    """The same by libpq's keywords; `password` and `sslpassword` are secrets.

    Raises:
        StoreError: it is not a PostgreSQL URL.
    """
    return {**DEFAULTS, **_read(url).parameters, **overrides, **ALWAYS}


def prepares(url: str) -> bool:
    """Whether the URL leaves preparing statements to us.

    Raises:
        StoreError: it is not a PostgreSQL URL.
    """
    return _read(url).prepares


def connect(url: str, *, prepare_threshold: int | None = 5, **overrides: str) -> Connection:
    """Open a connection in autocommit mode; waits for `connect_timeout` (5 s) at most, per address.

    Raises:
        TooManyConnections: role, database or server have no slot left.
        Unavailable: there is no server, or it does not accept connections now.
        Denied: the user, the password or the database is wrong.
    """
    try:
        connection = psycopg.connect(
            conninfo(url, **overrides), autocommit=True, prepare_threshold=prepare_threshold
        )
        try:
            settle(connection)
        except BaseException:  # a kill, too
            connection.close()
            raise
    except psycopg.Error as error:
        raise translate(error) from error
    return connection


def settle(connection: Connection) -> None:
    """Make the session ours. Behind a pooler statements are not prepared: the next may serve us.

    Raises:
        psycopg.Error: the connection is of no use.
    """
    row = connection.execute(query("session_reported"), prepare=False).fetchone()
    if row is not None and row[0] != connection.info.backend_pid:
        connection.prepare_threshold = None
        return
    connection.execute(query("session_own"), prepare=False)


def pooled(connection: Connection) -> bool:
    """Whether a pooler is between us and the server; known from the connect on."""
    row = connection.execute("SELECT pg_backend_pid()", prepare=False).fetchone()
    return row is not None and row[0] != connection.info.backend_pid


def encoding_problem(connection: Connection) -> str | None:
    """Why text would not come back as it was stored; ``None`` if the database is in UTF-8."""
    encoding = connection.info.parameter_status("server_encoding")
    if encoding in (None, "UTF8"):
        return None
    return (
        f"the database's encoding is {encoding}, not UTF8: name another one in PG_URL, made with "
        "CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
    )


def _read(url: str) -> PgUrl:
    """A URL, or libpq's ``key=value`` form, which needs no reading."""
    try:
        if "://" in url:
            return read_pg_url(url)
        return PgUrl({name: str(value) for name, value in conninfo_to_dict(url).items()})
    except (BadPgUrl, psycopg.ProgrammingError) as error:
        reason = error if isinstance(error, BadPgUrl) else "not key=value"
        raise StoreError(f"not a PostgreSQL URL: {reason}") from None
