"""``db dump|restore|refill`` and ``backup verify``: backup and restore."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import BadUsage, ExitCode, Failure
from ..formatting import plural
from ..local_settings import POSTGRES_FOLDER, Place, config_option, read_settings
from ..offline.database import database_failures
from ..offline.postgres_programs import run_program
from ..offline.progress import Progress
from ..options import Invocation, command, confirm, noun, pass_invocation

if TYPE_CHECKING:
    from ...actors.journal.refill import Refilled
    from ...runtime.datadir import DataDir
    from ...settings import Settings
    from ...sql.events.event_writer import EventWriter


@command(
    "dump",
    examples="""
        orc db dump orchestrator.dump
    """,
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE")
@click.option("--force", is_flag=True, help="Replace an existing file.")
@config_option
@pass_invocation
def dump_command(invocation: Invocation, *, file: Path, force: bool, config: Path | None) -> None:
    """Write the whole database to FILE, as it is at this moment (pg_dump's custom format).

    The daemon may run, and goes on storing meanwhile. What is stored later is in the journal's
    segments, if [journal] keep_hours is set.
    """
    from ...protocol.files import draft_of, replace_durably

    if file.exists() and not force:
        raise BadUsage(
            f"{file} already exists", advice="name another, or add --force to replace it"
        )
    url = Place(read_settings(config)).needed_pg_url()
    draft = draft_of(file)
    run_program("pg_dump", url, "--format=custom", "--no-owner", f"--file={draft}")
    replace_durably(draft, file)
    invocation.screen.note(f"written: {file}")


@command(
    "restore",
    examples="""
        orc db restore orchestrator.dump
    """,
)
@click.argument(
    "file", type=click.Path(path_type=Path, dir_okay=False, exists=True), metavar="FILE"
)
@config_option
@pass_invocation
def restore_command(invocation: Invocation, *, file: Path, config: Path | None) -> None:
    """Replace our tables by a dump, then add events from the journal's segments (refill).

    All of the dump or nothing. The daemon must not run.
    """
    settings = read_settings(config)
    with _alone(settings) as data, _served(Place(settings)) as url:
        rows = _rows_there(url)
        if rows:
            confirm(invocation, f"{rows} stored events will be replaced by those of {file}")
        _restore(file, url)
        invocation.screen.note(f"restored: {file}")
        _refill(invocation, settings, data, url)


@command(
    "refill",
    examples="""
        orc db refill
    """,
)
@config_option
@pass_invocation
def refill_command(invocation: Invocation, *, config: Path | None) -> None:
    """Store events that are in the journal and not in the database, after a restore.

    Reads the journal's segments and those kept for [journal] keep_hours. Stored events stay as
    they are, so this may be repeated. The daemon must not run.
    """
    settings = read_settings(config)
    with _alone(settings) as data, _served(Place(settings)) as url:
        _refill(invocation, settings, data, url)


@noun("backup", examples="orc backup verify orchestrator.dump")
def backup_command() -> None:
    """Check that a backup can be restored."""


@backup_command.command("verify", examples="orc backup verify orchestrator.dump")
@click.argument(
    "file", type=click.Path(path_type=Path, dir_okay=False, exists=True), metavar="FILE"
)
@config_option
@pass_invocation
def verify_command(invocation: Invocation, *, file: Path, config: Path | None) -> int:
    """Restore a dump into an embedded server of its own, and compare it with the database.

    Nothing of the database changes, and the daemon may run. Exit code 0: all that was stored up to
    the dump's last event is in it; 1: the database could not be compared; 2: the dump is of no use.
    """
    from ..doctor.check_results import show
    from ..offline.restore_drill import drill

    results = drill(file, Place(read_settings(config)).pg_url())
    return show("backup_verify", results, invocation.screen)


@contextmanager
def _alone(settings: "Settings") -> Iterator["DataDir"]:
    """The data directory, locked against the start of a daemon."""
    from ...runtime.datadir import DataDir, DataDirError

    try:
        with DataDir.open(settings.data.dir) as data:
            yield data
    except DataDirError as error:
        raise Failure(
            "the data directory is in use",
            code="in_use",
            cause=str(error),
            advice="stop the daemon first",
            exit_code=ExitCode.FAILED,
        ) from error


@contextmanager
def _served(place: Place) -> Iterator[str]:
    """URL of the database; an embedded server that is down runs for the block."""
    url = place.pg_url()
    if url is not None:
        yield url
        return
    from ...runtime.embedded import EmbeddedPostgres, ServerStartFailed

    server = EmbeddedPostgres(place.data_dir / POSTGRES_FOLDER)
    try:
        yield server.start()
    except ServerStartFailed as error:
        raise Failure(
            "there is no database", code="not_running", cause=str(error), advice=error.advice
        ) from error
    finally:
        server.stop()


def _rows_there(url: str) -> int:
    from ...sql.connection import connect

    with database_failures(), connect(url) as connection:
        found = connection.execute("SELECT to_regclass('events') IS NOT NULL").fetchone()
        if not found or not found[0]:
            return 0
        row = connection.execute("SELECT count(*) FROM events").fetchone()
        return int(row[0]) if row else 0


def _restore(file: Path, url: str) -> None:
    """Rename our tables, restore, and drop them; after a failure rename them back."""
    from ...sql.connection import connect
    from ...sql.schema.rename_tables import renamed_tables

    whole = ("--single-transaction", "--exit-on-error", "--no-owner")
    with database_failures(), connect(url) as connection, renamed_tables(connection):
        run_program("pg_restore", url, *whole, str(file))


def _refill(invocation: Invocation, settings: "Settings", data: "DataDir", url: str) -> None:
    from ...actors.journal.refill import Refilled, refill
    from ...sql.connection import connect
    from ...sql.schema.migrator import migrate

    progress = Progress(invocation.screen, "events")
    done = Refilled()
    with database_failures():
        with connect(url) as connection:
            migrate(connection)
        with _writer(settings, data, url) as writer:
            for done in refill(data.path / "journal", writer):
                progress.advance(done.rows - progress.done, done.segments / done.of_segments)
    progress.end()
    _tell(invocation, done)


@contextmanager
def _writer(settings: "Settings", data: "DataDir", url: str) -> Iterator["EventWriter"]:
    from ...sql.database import Database
    from ...sql.events.event_writer import EventWriter

    writer = EventWriter(Database(settings.postgres, url=url))
    writer.claim(
        instance=data.instance,
        host=socket.gethostname(),
        pid=os.getpid(),
    )
    try:
        yield writer
        writer.release()
    finally:
        writer.close()


def _tell(invocation: Invocation, done: "Refilled") -> None:
    screen = invocation.screen
    row = {
        name: getattr(done, name)
        for name in ("segments", "rows", "stored", "already", "clashes", "rejected")
    } | {"damaged_places": done.damaged_places}
    screen.record("refilled", row, lambda: [_sentence(done)], "stored")
    if done.clashes:
        what = plural(done.clashes, "event")
        screen.warn(f"{what} not stored: another row has the id (or PostgreSQL refused it before)")
    if done.damaged_places:
        what = plural(done.damaged_places, "place")
        screen.warn(f"{what} in segments cannot be read: what was there is not restored")


def _sentence(done: "Refilled") -> str:
    found = f"{plural(done.rows, 'event')} in {plural(done.segments, 'segment')}"
    return f"{found}: {done.stored} were missing and are stored now, {done.already} were there"
