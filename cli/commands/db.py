"""``db migrate|status|prune``."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..failures import ExitCode, Failure
from ..machine import Place, config_option, missing_extra, read_settings
from ..options import Invocation, noun, pass_invocation
from ..output import Column
from ..wording import plural

if TYPE_CHECKING:
    from ...sql.connection import Connection

MIGRATION_COLUMNS = (
    Column("STATE", "state", state=True),
    Column("MIGRATION", "name"),
    Column("APPLIED", "applied_at", lambda row, screen: screen.moment(row.get("applied_at"))),
)
PRUNE_COLUMNS = (
    Column("TYPE", "type"),
    Column("DUE", "due", lambda row, screen: screen.number(row["due"]), right=True),
    Column("DELETED", "deleted", lambda row, screen: screen.number(row["deleted"]), right=True),
)


@noun("db", examples="orc db status")
def db_command() -> None:
    """Prepare and clean the database."""


@contextmanager
def _store_failures() -> Iterator[None]:
    """What the database refuses, as a failure with a next step."""
    try:
        from ...sql.errors import Denied, SchemaError, StoreError, Unavailable
    except ModuleNotFoundError as error:
        raise missing_extra(error, "daemon") from error
    try:
        yield
    except StoreError as error:
        kinds: tuple[tuple[type[StoreError], str, ExitCode, str], ...] = (
            (Unavailable, "unreachable", ExitCode.UNREACHABLE, "see `orchestrator doctor`"),
            (Denied, "denied", ExitCode.FORBIDDEN, "correct user and password in PG_URL"),
            (SchemaError, "schema", ExitCode.FAILED, "see `orchestrator db status`"),
            (StoreError, "database", ExitCode.FAILED, "see `orchestrator doctor`"),
        )
        _, code, exit_code, advice = next(row for row in kinds if isinstance(error, row[0]))
        raise Failure(
            "the database did not do it",
            code=code,
            cause=str(error),
            advice=advice,
            exit_code=exit_code,
        ) from error


@contextmanager
def _connection(config: Path | None) -> Iterator["Connection"]:
    with _store_failures():
        from ...sql.connection import connect

        with connect(Place(read_settings(config)).needed_pg_url()) as connection:
            yield connection


@db_command.command(
    "migrate",
    examples="""
        orc db migrate
        PG_URL=postgresql://orch@db/orch orc db migrate
    """,
)
@config_option
@pass_invocation
def db_migrate(invocation: Invocation, *, config: Path | None) -> None:
    """Create what is missing; tables that exist are accepted.

    The daemon does the same at its start.
    """
    with _connection(config) as connection:
        from ...sql.migrator import migrate

        names = migrate(connection)
    screen = invocation.screen
    rows = [{"state": "applied", "name": name} for name in names]
    screen.records("migrations", rows, MIGRATION_COLUMNS[:2], "name")
    if not screen.for_programs:
        screen.note(f"{plural(len(names), 'migration')} applied" if names else "nothing to do")


@db_command.command("status", examples="orc db status -o json")
@config_option
@pass_invocation
def db_status(invocation: Invocation, *, config: Path | None) -> int:
    """How the schema stands. Exit code 1: migrations are missing, 2: tables are not right."""
    with _connection(config) as connection:
        from ...sql.migrator import schema_problems, status

        rows = [
            {"state": str(entry.state), "name": entry.name, "applied_at": entry.applied_at}
            for entry in status(connection)
        ]
        problems = schema_problems(connection)
    screen = invocation.screen
    screen.records("migrations", rows, MIGRATION_COLUMNS, "name")
    states = {row["state"] for row in rows}
    if states & {"changed", "unknown"} or (problems and "pending" not in states):
        for problem in problems:
            screen.warn(problem)
        return ExitCode.USAGE
    if "pending" in states:
        screen.note("apply what is pending: `orchestrator db migrate`")
        return ExitCode.FAILED
    return ExitCode.DONE


@db_command.command(
    "prune",
    examples="""
        orc db prune --dry-run
        orc db prune
    """,
)
@click.option("--dry-run", is_flag=True, help="Only count.")
@config_option
@pass_invocation
def db_prune(invocation: Invocation, *, dry_run: bool, config: Path | None) -> None:
    """Delete events that are older than [retention] says, in small batches.

    May be broken off at any time. The daemon does the same by itself.
    """
    screen = invocation.screen
    sums: dict[str, dict[str, int]] = {}
    with _store_failures():
        for event_type, due, deleted in _pruned(config, dry_run=dry_run):
            row = sums.setdefault(event_type, {"due": 0, "deleted": 0})
            row["due"] += due
            row["deleted"] += deleted
    rows = [{"type": event_type, **row} for event_type, row in sums.items()]
    screen.records("pruned", rows, PRUNE_COLUMNS, "type")
    if not screen.for_programs:
        total = plural(sum(row["due"] for row in sums.values()), "event")
        screen.note(f"{total} would be deleted" if dry_run else f"{total} deleted")


def _pruned(config: Path | None, *, dry_run: bool) -> Iterator[tuple[str, int, int]]:
    from ...sql.database import Database
    from ...sql.retention import RetentionRule, prune

    settings = read_settings(config)
    rules = [
        RetentionRule(pattern, kept.total_seconds()) for pattern, kept in settings.retention.items()
    ]
    database = Database(settings.postgres, url=Place(settings).needed_pg_url())
    database.open()
    try:
        for step in prune(database, rules, datetime.now(UTC), dry_run=dry_run):
            yield step.type, step.due, step.deleted
    finally:
        database.close()
