"""One reading of a PostgreSQL URL, for the daemon, the checks and the command line.

libpq's own syntax counts. Options of other clients (node-pg, Prisma, JDBC, poolers' documentation)
are taken where they change nothing or say what we have a setting for, else refused by name with
what to write instead. No text that is raised repeats a part of the URL that could be a secret: a
password whose ``: / ? @`` are not percent-encoded ends up in host, port, path or query.
"""

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

import psycopg
from psycopg.conninfo import conninfo_to_dict

IGNORED: Final = frozenset(
    (
        "uselibpqcompat", "pgbouncer", "prepareThreshold", "connection_limit", "pool_timeout",
        "pool_mode", "socket_timeout", "statement_cache_size", "supa", "workaround", "binary",
        "keepAlive", "max", "min", "idleTimeoutMillis", "connectionTimeoutMillis",
    )
)  # fmt: skip
"""Options of other clients that are taken off; ours are settings, or libpq's behaviour."""

_LIMIT: Final = "limits are the daemon's own; set postgres.statement_timeout_ms"
_REFUSED: Final = {
    "ssl": "write sslmode=require, or sslmode=verify-full to check whom you talk to",
    "sslaccept": "write sslmode=require, or sslmode=verify-full to check whom you talk to",
    "sslidentity": "write sslcert=FILE&sslkey=FILE",
    "statement_timeout": _LIMIT,
    "query_timeout": _LIMIT,
    "lock_timeout": _LIMIT,
    "idle_in_transaction_session_timeout": _LIMIT,
    "ApplicationName": "write application_name",
    "encoding": "leave it out: the connection always speaks UTF-8",
}
_VALUES: Final = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "target_session_attrs": (
        "any", "read-write", "read-only", "primary", "standby", "prefer-standby",
    ),
}  # fmt: skip
"""What libpq takes; it looks at these only when it connects."""
_MEANT: Final = {"no-verify": "require"}
_NUMBERS: Final = ("connect_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count")
_SCHEMAS: Final = ("schema", "currentSchema", "search_path")
_SECRETS: Final = ("password", "sslpassword")
_WITH_AT: Final = (*_SECRETS, "user", "host", "dbname", "options", "application_name")
_OFF: Final = ("", "0", "false", "no", "off")
_MAX_PORT: Final = 65_535

_ENCODE: Final = (
    "percent-encode: in a user name or password write @ as %40, : as %3A, / as %2F, ? as %3F, "
    "% as %25"
)
_SHAPE: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?]*)(?P<path>[^?]*)(?:\?(?P<query>.*))?"
)
_EXAMPLE: Final = "expected postgresql://user:password@host:5432/database?parameter=value"


class BadPgUrl(ValueError):
    """A PostgreSQL URL that is refused; the text says what to write, and repeats no secret."""


@dataclass(frozen=True, slots=True)
class PgUrl:
    """A URL as libpq takes it."""

    parameters: dict[str, str] = field(repr=False)
    """libpq's, by name."""
    prepares: bool = True
    """Whether statements may be prepared; a URL may say that a transaction pooler is in front."""
    ignored: tuple[str, ...] = ()
    """Options that were taken off; worth one line in the log."""


def read_pg_url(url: str) -> PgUrl:
    """Read a URL. Connects to nothing.

    Raises:
        BadPgUrl: it is refused.
    """
    base, query = _split(url)
    options = [part.partition("=")[::2] for part in query.split("&") if part]
    for name, value in options:
        _check_option(name, unquote(value))
    secret = any(name in _SECRETS for name, _ in options)
    kept = "&".join(f"{name}={value}" for name, value in options if name not in IGNORED)
    given = {name: unquote(value).lower() for name, value in options}
    parameters = _libpq(f"{base}?{kept}" if kept else base, secret=secret)
    _check_parameters(parameters)
    prepares = given.get("pgbouncer", "") in _OFF and given.get("prepareThreshold") != "0"
    ignored = tuple(name for name in given if name in IGNORED and name != "pgbouncer")
    return PgUrl(parameters, prepares and given.get("statement_cache_size") != "0", ignored)


def _split(url: str) -> tuple[str, str]:
    """What is before ``?`` and what is after, once no secret can have run over into the latter."""
    found = _SHAPE.fullmatch(url)
    if found is None:
        raise BadPgUrl(f"{_EXAMPLE}; no line breaks")
    scheme, authority, path, query = found.groups(default="")
    if scheme not in ("postgres", "postgresql"):
        raise BadPgUrl("expected postgresql://… or embedded")
    if authority.count("@") > 1 or "@" in path:
        raise BadPgUrl(f"more than one @, or one after the host: {_ENCODE}")
    return f"{scheme}://{authority}{path}", query


def _check_option(name: str, value: str) -> None:
    if re.fullmatch(r"\w{1,40}", name, re.ASCII) is None:
        raise BadPgUrl(f"an option without a plain name (invalid URI query parameter): {_ENCODE}")
    if "@" in value and name not in _WITH_AT:  # where a password had a ? in it
        raise BadPgUrl(f"an @ after the host: {_ENCODE}")
    if name in _SCHEMAS:
        shown = value if re.fullmatch(r"[A-Za-z_]\w{0,62}", value, re.ASCII) else "NAME"
        raise BadPgUrl(f"{name}: write options=-csearch_path%3D{shown}")
    if name in _REFUSED:
        raise BadPgUrl(f"{name}: {_REFUSED[name]}")


def _libpq(url: str, *, secret: bool) -> dict[str, str]:
    try:
        return {key: str(value) for key, value in conninfo_to_dict(url).items()}
    except (psycopg.ProgrammingError, ValueError) as error:
        text = str(error).strip()
        named = re.search(r'invalid URI query parameter: "(\w{1,40})"', text, re.ASCII)
        if named and not secret:  # else it may be what follows an & in a password
            raise BadPgUrl(f"{named[1]}: an option that libpq does not have") from None
        reason = text.partition(":")[0].partition('"')[0].strip()
        raise BadPgUrl(f"{_EXAMPLE} ({reason}); {_ENCODE}") from None


def _check_parameters(parameters: dict[str, str]) -> None:
    if not all(_is_port(port) for port in parameters.get("port", "").split(",") if port):
        raise BadPgUrl(f"expected a port from 1 to {_MAX_PORT} after the host; {_ENCODE}")
    for name, known in _VALUES.items():
        if (value := parameters.get(name, known[0])) not in known:
            meant = f"; for {value} write {_MEANT[value]}" if value in _MEANT else ""
            raise BadPgUrl(f"expected {name} to be one of {', '.join(known)}{meant}")
    for name in _NUMBERS:
        if re.fullmatch(r"-?[0-9]+", parameters.get(name, "0")) is None:
            raise BadPgUrl(f"expected {name} to be a number")


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text) <= _MAX_PORT
