"""``incident export``."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...protocol.timestamps import utc_now
from ..client.pages import Pages
from ..client.rest import Client
from ..errors import BadUsage, ExitCode, Failure
from ..formatting import plural, read_duration, read_moment, size_text
from ..incident.archive import Archive
from ..incident.export import Export
from ..incident.sources import DaemonSource, DatabaseSource, Source
from ..incident.span import Span
from ..local_settings import Place, config_option, read_settings
from ..offline.progress import Progress
from ..options import DEFAULT_URL, Invocation, noun, pass_invocation

if TYPE_CHECKING:
    from ...settings import Settings

MAX_WINDOW_S = 7 * 86_400.0


@noun("incident", examples="orc incident export --around 09:30")
def incident_command() -> None:
    """Collect what was around a moment."""


@incident_command.command(
    "export",
    examples="""
        orc incident export --around 09:30
        orc incident export --around 2026-01-31T09:30:00Z --window 30m --out incident.zip
    """,
)
@click.option("--around", required=True, metavar="WHEN", help="20m (ago), 09:30 (UTC), or a time.")
@click.option("--window", default="5m", show_default=True, help="How much before it and after it.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The archive, a zip.  [incident-<time>.zip]",
)
@click.option(
    "--max-events",
    type=click.IntRange(1, 10_000_000),
    default=200_000,
    show_default=True,
    help="Further ones are left out, and that is said.",
)
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@config_option
@pass_invocation
def incident_export(  # noqa: PLR0913 - its options
    invocation: Invocation,
    *,
    around: str,
    window: str,
    out: Path | None,
    max_events: int,
    force: bool,
    config: Path | None,
) -> int:
    """Write events, acts, states, logs, settings, versions and metrics of a time into one archive.

    A daemon that is away is no obstacle: the database and the files that it left are read, and the
    archive says what is missing. Passwords are not in it, payloads and log lines are: treat it so.
    Exit code 7 if a part is missing that was to be had.
    """
    span = _span(around, window)
    path = out or Path(f"incident-{span.moment:%Y%m%dT%H%M%SZ}.zip")
    if path.exists() and not force:
        raise BadUsage(f"{path} already exists", advice="add --force to overwrite it")
    screen = invocation.screen
    settings = _settings(config)
    progress = Progress(screen, "events")
    with _daemon(invocation) as client, Archive(path, path.stem) as archive:
        source = _source(invocation, client, settings, config)
        screen.note(f"{span.begin_text} to {span.end_text}, from {source.name if source else '-'}")
        Export(archive, span, source, client, settings, max_events, progress).run()
        counted = progress.end()
    _show(invocation, archive, counted)
    failed = [one for one in archive.missing if not one.expected]
    return ExitCode.PARTIAL if failed else ExitCode.DONE


def _span(around: str, window: str) -> Span:
    moment, half_s = read_moment(around, datetime.now(UTC)), read_duration(window)
    if moment is None:
        raise BadUsage(f"--around {around!r} is not a time", advice="20m, 09:30, or ISO 8601")
    if half_s is None or not 0 < half_s <= MAX_WINDOW_S:
        raise BadUsage(f"--window {window!r} is not a duration up to 7 d", advice="5m, or 1h30m")
    moment, half = moment.astimezone(UTC), timedelta(seconds=half_s)
    try:
        return Span(moment - half, moment, moment + half)
    except OverflowError:
        raise BadUsage(f"--around {around!r} is out of range") from None


def _settings(config: Path | None) -> "Settings | None":
    """Those of this machine; only a file that was named has to be good."""
    try:
        return read_settings(config)
    except Failure:
        if config is not None:
            raise
        return None


@contextmanager
def _daemon(invocation: Invocation) -> Iterator[Client | None]:
    with Client.of(invocation) as client:
        try:
            client.get("/health")
        except Failure as failure:
            if failure.exit_code == ExitCode.FORBIDDEN:
                raise
            invocation.screen.warn(f"{failure.message}: going on without it")
            yield None
        else:
            yield client


def _source(
    invocation: Invocation,
    client: Client | None,
    settings: "Settings | None",
    config: Path | None,
) -> Source | None:
    """The database where it is this daemon's: pages over HTTP are limited by the minute."""
    own = settings is not None and invocation.target.url in (DEFAULT_URL, Place(settings).http_url)
    if own or client is None:
        database = DatabaseSource(config)
        try:
            database.acts().__next__()
        except StopIteration:
            return database
        except Failure as failure:
            invocation.screen.warn(f"{failure.message}: {failure.cause}")
        else:
            return database
    if client is None:
        return None
    return DaemonSource(client, Pages(client, invocation.screen.note))


def _show(invocation: Invocation, archive: Archive, counted: str) -> None:
    screen = invocation.screen
    size = archive.path.stat().st_size
    row = {
        "file": str(archive.path),
        "bytes": size,
        "at": utc_now(),
        "parts": archive.parts,
        "missing": [vars(one) for one in archive.missing],
    }
    said = f"{archive.path}  {size_text(size)}, {plural(len(archive.parts), 'part')}, {counted}"
    screen.record("incident", row, lambda: [said], "file")
    for one in archive.missing:
        screen.warn(f"missing: {one.part}: {one.why}")
