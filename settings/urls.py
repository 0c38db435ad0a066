"""Whether the URLs of the servers can be used at all, found out before anything connects.

The texts say what was expected, never what was found: a password that should have been
percent-encoded may have become any part of the URL.
"""

import re
from urllib.parse import urlsplit

import psycopg
import redis
from psycopg.conninfo import conninfo_to_dict
from redis.connection import parse_url

_EXPECTED_PORT = "expected a port from 1 to 65535 (percent-encode : / ? # @ in a password)"
_MAX_PORT = 65_535
# libpq looks at these only when it connects.
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_NUMBERS = ("connect_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count")


def redis_problem(url: str) -> str | None:
    """What was expected of ``url`` and is not so; None if redis-py can use it."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("redis", "rediss", "unix"):
            return "expected redis://…, rediss://…, unix://… or embedded"
        parse_url(url)  # type: ignore[no-untyped-call]
    except ValueError as error:
        return _redis_expectation(str(error))
    # redis-py takes a path that is no number for no path.
    if parts.scheme != "unix" and not re.fullmatch(r"(/\d*)?", parts.path, re.ASCII):
        return "expected the number of a database after the host, as in redis://host:6379/0"
    return _connection_problem(url)


def postgres_problem(url: str) -> str | None:
    """What was expected of ``url`` and is not so; None if libpq can use it."""
    try:
        if urlsplit(url).scheme not in ("postgres", "postgresql"):
            return "expected postgresql://… or embedded"
        options = {key: str(value) for key, value in conninfo_to_dict(url).items()}
    except (psycopg.ProgrammingError, ValueError) as error:
        reason = str(error).strip().partition(":")[0].partition('"')[0].strip()
        return f"expected postgresql://user:password@host:5432/database?parameter=value ({reason})"
    if not all(_is_port(port) for port in options.get("port", "").split(",") if port):
        return _EXPECTED_PORT
    if options.get("sslmode", "prefer") not in _SSL_MODES:
        return f"expected sslmode to be one of {', '.join(_SSL_MODES)}"
    for name in _NUMBERS:
        if not re.fullmatch(r"-?\d+", options.get(name, "0"), re.ASCII):
            return f"expected {name} to be a number"
    return None


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text) <= _MAX_PORT


def _redis_expectation(error: str) -> str:
    if error.startswith("Port"):
        return _EXPECTED_PORT
    if named := re.search(r"Invalid value for '(\w+)'", error):
        return f"expected another kind of value for the parameter {named[1]}"
    return "expected a URL such as redis://user:password@host:6379/0"


def _connection_problem(url: str) -> str | None:
    """redis-py hands every parameter to the pool or the connection, and those know their own."""
    try:
        pool = redis.ConnectionPool.from_url(url)
        pool.connection_class(**pool.connection_kwargs)  # connects only when it is used
    except (TypeError, ValueError, AttributeError, redis.RedisError):
        return "expected only parameters that redis-py's connections have"
    return None
