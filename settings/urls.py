"""Whether the URLs of the servers can be used at all, found out before anything connects.

The texts say what was expected, never what was found: a password that should have been
percent-encoded may have become any part of the URL.
"""

from ..protocol.bus_url import BadBusUrl, read_bus_url
from ..sql.pg_url import BadPgUrl, read_pg_url


def redis_problem(url: str) -> str | None:
    """What was expected of ``url`` and is not so; ``None`` if it can be used."""
    try:
        read_bus_url(url)
    except BadBusUrl as error:
        return str(error)
    return None


def postgres_problem(url: str) -> str | None:
    """What was expected of ``url`` and is not so; ``None`` if it can be used."""
    try:
        read_pg_url(url)
    except BadPgUrl as error:
        return str(error)
    return None
