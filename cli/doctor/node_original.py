"""``doctor --from-node``: what is different for those who come from the Node original."""

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ...protocol.rehearsal import wants_test
from ..formatting import plural
from .check_results import CheckResult, ok, unknown, warning

if TYPE_CHECKING:
    from ...settings import Settings
    from ...sql.connection import Connection

_PAGE = "docs/moving.md"
_KEPT = """
    SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM agents),
           (SELECT value ->> 'enabled' FROM orchestrator_state WHERE key = 'killswitch_status')
"""
# Ours are whole channels; the original kept the last word of those with market data.
_SHORT_TYPES = """
    SELECT type, count(*) FROM events
    WHERE strpos(type, '.') = 0 AND type <> 'heartbeat' GROUP BY type ORDER BY type LIMIT 20
"""


def check_node(
    settings: "Settings", url: str | None, environ: Mapping[str, str] = os.environ
) -> Iterator[CheckResult]:
    """Check settings, and the tables at ``url`` if there is a database."""
    yield _address(settings)
    yield _hosts(settings)
    yield _test_mode(environ)
    if url is None:
        yield unknown("from node: tables", "the embedded database does not run")
        return
    import psycopg

    from ...sql.connection import connect
    from ...sql.errors import StoreError, translate

    try:
        with connect(url) as connection:
            yield from _tables(connection)
    except psycopg.Error as error:
        yield unknown("from node: tables", str(translate(error)), "see `orchestrator db status`")
    except StoreError as error:
        yield unknown("from node: tables", str(error), "see the checks of postgresql above")


def _address(settings: "Settings") -> CheckResult:
    name, http = "from node: address", settings.http
    if http.auth.tokens or http.insecure:
        return ok(name, f"{http.host}, as set")
    return warning(
        name,
        f"{http.host} only; the original listened on every address, without tokens",
        f"pages and agents elsewhere need tokens and http.host, or a proxy: {_PAGE}",
    )


def _hosts(settings: "Settings") -> CheckResult:
    name, http = "from node: host names", settings.http
    if not http.front_origin or http.allowed_hosts or http.auth.tokens:
        return ok(name, ", ".join(http.allowed_hosts) or "those of this machine")
    said = "FRONT_ORIGIN is set, and only loopback names are answered"
    return warning(name, said, "http.allowed_hosts = [the name that the proxy passes on]")


def _test_mode(environ: Mapping[str, str]) -> CheckResult:
    name = "from node: NODE_ENV"
    if wants_test(environ):
        said = "test: the daemon would run on servers of its own, and keep nothing"
        return warning(name, said, "unset NODE_ENV, or set ORCHESTRATOR_ENV")
    return ok(name, environ.get("NODE_ENV", "not set"))


def _tables(connection: "Connection") -> Iterator[CheckResult]:
    events, agents, enabled = connection.execute(_KEPT.encode()).fetchone() or (0, 0, None)
    said = f"{plural(events, 'event')} and {plural(agents, 'agent')} are kept"
    yield ok("from node: tables", said)
    name = "from node: killswitch"
    if enabled == "true":
        said = "engaged in its row; the original could not release it: the daemon starts halted"
        yield warning(name, said, "after the start: `orchestrator killswitch status`, then release")
    else:
        yield ok(name, "not engaged")
    rows = connection.execute(_SHORT_TYPES.encode()).fetchall()
    name = "from node: types"
    if not rows:
        yield ok(name, "whole channels")
        return
    said = ", ".join(f"{event_type} ({count})" for event_type, count in rows)
    command = f"orchestrator db rename-type {rows[0][0]} 'data.market.{{symbol}}.{rows[0][0]}'"
    yield warning(name, f"{said}: the last word of a channel; they stay so", f"`{command}`")
