"""``doctor``'s checks of PostgreSQL."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..formatting import duration, plural
from .check_results import CheckResult, critical, ok, unknown, warning
from .redis import clock_result

if TYPE_CHECKING:
    from ...sql.connection import Connection

LEAST_VERSION = 130000
"""``gen_random_uuid()`` is built in since 13."""
LIMIT_S = 3
_TABLES = ("agents", "events", "orchestrator_state")

_ROW_SECURITY = """
    SELECT count(*) FILTER (WHERE row_security_active(c.oid)), bool_or(c.relrowsecurity)
    FROM pg_class AS c
    WHERE c.oid = ANY (ARRAY[to_regclass('agents'), to_regclass('events'),
                             to_regclass('orchestrator_state')]::oid[])
"""
_PRIVILEGES = """
    SELECT name || ' (' || privilege || ')'
    FROM unnest(%s::text[]) AS name, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE']) AS privilege
    WHERE to_regclass(name) IS NOT NULL AND NOT has_table_privilege(name, privilege)
"""
# Grants to others than the owner and us; row security without a policy for them keeps them out.
_OTHERS = """
    SELECT format('%s (%s: %s)', name, grantee, string_agg(privilege, ', ' ORDER BY privilege))
    FROM (
        SELECT class.oid::regclass::text AS name, granted.privilege_type AS privilege,
               CASE granted.grantee WHEN 0 THEN 'PUBLIC' ELSE granted.grantee::regrole::text END
                   AS grantee
        FROM pg_class AS class, aclexplode(class.relacl) AS granted
        WHERE (class.oid = ANY (ARRAY[to_regclass('agents'), to_regclass('events')]::oid[])
               OR class.relname LIKE 'orchestrator\\_%' AND class.relkind = 'r')
          AND pg_table_is_visible(class.oid)
          AND granted.privilege_type IN ('INSERT', 'UPDATE', 'DELETE')
          AND granted.grantee NOT IN (class.relowner, current_user::regrole::oid)
          AND NOT (class.relrowsecurity AND NOT EXISTS (
              SELECT FROM pg_policy WHERE polrelid = class.oid AND polcmd <> 'r'
                AND polname <> 'orchestrator_own'
                AND (0 = ANY (polroles) OR granted.grantee = ANY (polroles))))
    ) AS others
    GROUP BY name, grantee ORDER BY name, grantee
"""
_SIZE = "SELECT pg_size_pretty(pg_database_size(current_database()))"
_CLOCK = "SELECT extract(epoch FROM clock_timestamp())::float8"


def check_postgres(url: str) -> Iterator[CheckResult]:
    """Check the server and our tables; only the first result if it does not answer."""
    from ...sql.connection import connect
    from ...sql.errors import Denied, StoreError

    began = time.monotonic()
    try:
        connection = connect(url, connect_timeout=str(LIMIT_S))
    except Denied as error:
        yield critical("postgresql", str(error), "correct user, password or database in PG_URL")
        return
    except StoreError as error:
        advice = 'start it, correct postgres.url or PG_URL, or set it to "embedded"'
        yield critical("postgresql", str(error), advice)
        return
    with connection:
        yield ok("postgresql", f"answers in {duration(time.monotonic() - began)}")
        yield _version(connection)
        yield _encoding(connection)
        yield _pooler(connection)
        yield _writable(connection)
        yield _schema(connection)
        yield _privileges(connection)
        yield _row_security(connection)
        yield _other_writers(connection)
        yield ok("postgresql size", str(_one(connection, _SIZE)))
        yield clock_result("postgresql clock", _skew_s(connection))


def _one(connection: "Connection", statement: str) -> object:
    row = connection.execute(statement.encode()).fetchone()
    return row[0] if row else None


def _version(connection: "Connection") -> CheckResult:
    text = str(_one(connection, "SHOW server_version"))
    if connection.info.server_version < LEAST_VERSION:
        return critical("postgresql version", text, "use PostgreSQL 13 or newer")
    return ok("postgresql version", text)


def _encoding(connection: "Connection") -> CheckResult:
    from ...sql.connection import encoding_problem

    name = "postgresql encoding"
    if problem := encoding_problem(connection):
        said, _, advice = problem.partition(": ")
        return critical(name, said, advice)
    return ok(name, "UTF8")


def _pooler(connection: "Connection") -> CheckResult:
    from ...sql.connection import pooled

    name = "postgresql pooler"
    if pooled(connection):
        return ok(name, "one is in front (as PgBouncer is): statements are not prepared")
    return ok(name, "none")


def _writable(connection: "Connection") -> CheckResult:
    name = "postgresql writes"
    if _one(connection, "SELECT pg_is_in_recovery()"):
        return critical(name, "this is a standby: it only reads", "name the primary in PG_URL")
    if str(_one(connection, "SHOW default_transaction_read_only")) == "on":
        return critical(name, "it is set to read only", "free space, or unset read-only mode")
    return ok(name, "allowed")


def _schema(connection: "Connection") -> CheckResult:
    from ...sql.errors import StoreError
    from ...sql.schema.migrator import MigrationState, schema_problems, status

    name = "schema"
    try:
        states = status(connection)
        pending = [entry.name for entry in states if entry.state is MigrationState.PENDING]
        # A migration that is pending creates the tables that are missing.
        problems = schema_problems(connection, only_existing=bool(pending))
    except StoreError as error:
        return unknown(name, str(error), "see `orchestrator db status`")
    newer = [entry.name for entry in states if entry.state is MigrationState.UNKNOWN]
    if newer:
        return critical(name, f"made by a newer version: {newer[-1]}", "upgrade orchestrator-lite")
    changed = [entry.name for entry in states if entry.state is MigrationState.CHANGED]
    if changed:
        return critical(name, f"{changed[0]} was applied with another text", "restore that file")
    if problems:
        advice = "bring these tables into the right shape; `orchestrator db status` lists all"
        return critical(name, "; ".join(problems[:3]), advice)
    if pending:
        said = f"{plural(len(pending), 'migration')} not applied yet"
        return warning(name, said, "`orchestrator db migrate`; the daemon does it at its start too")
    return ok(name, f"up to date ({states[-1].name})")


def _privileges(connection: "Connection") -> CheckResult:
    name = "postgresql privileges"
    missing = [row[0] for row in connection.execute(_PRIVILEGES.encode(), [list(_TABLES)])]
    if missing:
        return critical(name, f"not granted: {', '.join(missing)}", "GRANT them to this user")
    return ok(name, "all there")


def _row_security(connection: "Connection") -> CheckResult:
    name = "row security"
    active, enabled = connection.execute(_ROW_SECURITY.encode()).fetchone() or (0, False)
    if active:
        return warning(
            name,
            "applies to this user: COPY is refused, storing is slower, rows may be hidden",
            "connect as the tables' owner, or ALTER ROLE ... BYPASSRLS",
        )
    return ok(name, "on, but not for this user" if enabled else "off")


def _other_writers(connection: "Connection") -> CheckResult:
    name = "postgresql other writers"
    others = [row[0] for row in connection.execute(_OTHERS.encode())]
    if others:
        advice = "REVOKE INSERT, UPDATE, DELETE ON these FROM those, unless it is meant"
        return warning(name, "; ".join(others[:5]), advice)
    return ok(name, "none")


def _skew_s(connection: "Connection") -> float:
    before = time.time()
    theirs = _one(connection, _CLOCK)
    middle = (before + time.time()) / 2
    return float(theirs) - middle if isinstance(theirs, float) else 0.0
