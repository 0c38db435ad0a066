"""``db migrate|status|prune|size|rename-type``; ``db dump|restore|refill`` are in `backup`."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from ..errors import ExitCode
from ..formatting import plural, size_text
from ..local_settings import Place, config_option, read_settings
from ..offline.database import connection as connection_to
from ..offline.database import database_failures
from ..offline.progress import Progress
from ..options import Invocation, noun, pass_invocation
from ..output import Column
from .backup import dump_command, refill_command, restore_command

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


SIZE_COLUMNS = (
    Column("DAY", "day"),
    Column("TYPE", "type"),
    Column("EVENTS", "rows", lambda row, screen: screen.number(row["rows"]), right=True),
    Column("SIZE", "bytes", lambda row, _: size_text(row["bytes"]), right=True),
)


@noun("db", examples="orc db status")
def db_command() -> None:
    """Prepare, clean, back up and restore the database."""


for _command in (dump_command, restore_command, refill_command):
    db_command.add_command(_command)


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
    with connection_to(config) as connection:
        from ...sql.schema.migrator import migrate

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
    """Show the state of the schema. Exit code 1: migrations are pending, 2: tables differ.

    Existing tables must have our columns; differences are listed.
    """
    with connection_to(config) as connection:
        from ...sql.schema.migrator import schema_problems, status

        rows = [
            {"state": str(entry.state), "name": entry.name, "applied_at": entry.applied_at}
            for entry in status(connection)
        ]
        is_pending = any(row["state"] == "pending" for row in rows)
        # A migration that is pending creates the tables that are missing.
        problems = schema_problems(connection, only_existing=is_pending)
    screen = invocation.screen
    screen.records("migrations", rows, MIGRATION_COLUMNS, "name")
    for problem in problems:
        screen.warn(problem)
    if problems:
        screen.note("alter these tables, or use another database")
    if problems or any(row["state"] in ("changed", "unknown") for row in rows):
        return ExitCode.USAGE
    if is_pending:
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
    """Delete events that are older than [retention] says.

    Whole partitions where events came fast, small batches elsewhere. May be interrupted at any
    time. The daemon does the same by itself.
    """
    screen = invocation.screen
    progress = Progress(screen, "events")
    sums: dict[str, dict[str, int]] = {}
    with database_failures():
        for event_type, due, deleted in _pruned(config, dry_run=dry_run):
            row = sums.setdefault(event_type, {"due": 0, "deleted": 0})
            row["due"] += due
            row["deleted"] += deleted
            progress.advance(due, None)
    progress.end()
    rows = [{"type": event_type, **row} for event_type, row in sums.items()]
    screen.records("pruned", rows, PRUNE_COLUMNS, "type")
    if not screen.for_programs:
        total = plural(sum(row["due"] for row in sums.values()), "event")
        screen.note(f"{total} would be deleted" if dry_run else f"{total} deleted")


def _pruned(config: Path | None, *, dry_run: bool) -> Iterator[tuple[str, int, int]]:
    from ...sql.database import Database
    from ...sql.schema.retention import RetentionRule, prune

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


@db_command.command(
    "size",
    examples="""
        orc db size
        orc db size --exact -o csv
    """,
)
@click.option("--exact", is_flag=True, help="Count every row; slow on a large table.")
@config_option
@pass_invocation
def db_size(invocation: Invocation, *, exact: bool, config: Path | None) -> None:
    """Show the disk space of events, by day and type; estimated from a sample if there are many.

    SIZE is the type's share of the table on disk, indexes included.
    """
    with connection_to(config) as connection:
        from ...sql.events.history import sizes

        found = sizes(connection, exact=exact)
    rows = [
        {"day": size.day, "type": size.type, "rows": size.rows, "bytes": size.bytes}
        for size in found.sizes
    ]
    screen = invocation.screen
    screen.records("sizes", rows, SIZE_COLUMNS, "type")
    if not screen.for_programs:
        tables = f" in {plural(found.partitions, 'partition')}" if found.partitions else ""
        guess = "; numbers are estimates, see --exact" if found.estimated else ""
        screen.note(f"{size_text(found.bytes)} on disk{tables}{guess}")


@db_command.command(
    "rename-type",
    examples="""
        orc db rename-type candidate strategy.candidate
        orc db rename-type 1m 'data.market.{symbol}.1m'
    """,
)
@click.argument("old")
@click.argument("new")
@config_option
@pass_invocation
def db_rename_type(invocation: Invocation, *, old: str, new: str, config: Path | None) -> None:
    """Give stored events of type OLD the type NEW; {field} stands for that field of the payload.

    Events that lack such a field keep their type. May be interrupted and repeated. A daemon that
    runs shows what it has in memory under the old type until its next start.
    """
    screen = invocation.screen
    with connection_to(config) as connection:
        from ...sql.events.type_names import rename_type

        done = list(rename_type(connection, old, new))
    seen, renamed = sum(one.seen for one in done), sum(one.renamed for one in done)
    row = {"old": old, "new": new, "seen": seen, "renamed": renamed}
    screen.record("renamed", row, lambda: [f"{plural(renamed, 'event')} renamed"], "renamed")
    if seen > renamed:
        screen.warn(f"{plural(seen - renamed, 'event')} kept {old!r}: no such field in the payload")
