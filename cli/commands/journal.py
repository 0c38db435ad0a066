"""``journal status|verify``: the journal, whether the daemon runs or not."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...protocol.timestamps import timestamp
from ..errors import ExitCode, Failure
from ..formatting import plural, size_text
from ..local_settings import Place, config_option, missing_extra, read_settings
from ..options import Invocation, noun, pass_invocation
from ..output import Screen

if TYPE_CHECKING:
    from ...actors.journal.inspection import Inspection

_folder_option = click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="The journal's folder; by default the one of the settings' data directory.",
)


@noun("journal", examples="orc journal status")
def journal_command() -> None:
    """Show what was received and is not in PostgreSQL yet."""


@journal_command.command("status", examples="orc journal status")
@_folder_option
@config_option
@pass_invocation
def journal_status(invocation: Invocation, *, folder: Path | None, config: Path | None) -> None:
    """Show its size, and what is pending. Works without a daemon."""
    found = _inspect(folder, config)
    screen = invocation.screen
    screen.record("journal", _row(found), lambda: _status_lines(found, screen), "folder")


@journal_command.command(
    "verify",
    examples="""
        orc journal verify
        orc journal verify --folder /backup/data/journal -o json
    """,
)
@_folder_option
@config_option
@pass_invocation
def journal_verify(invocation: Invocation, *, folder: Path | None, config: Path | None) -> int:
    """Read all of it, and check every record. Changes nothing.

    Exit code 1 if anything is damaged or missing.
    """
    found = _inspect(folder, config)
    screen = invocation.screen
    screen.record("journal", _row(found), lambda: _verify_lines(found, screen), "folder")
    return ExitCode.DONE if found.healthy else ExitCode.FAILED


def _inspect(folder: Path | None, config: Path | None) -> "Inspection":
    try:
        from ...actors.journal.inspection import inspect
    except ModuleNotFoundError as error:
        raise missing_extra(error, "daemon") from error
    folder = folder or Place(read_settings(config)).data_dir / "journal"
    try:
        return inspect(folder)
    except FileNotFoundError as error:
        raise Failure(
            "there is no journal",
            code="no_journal",
            cause=f"{folder} does not exist",
            advice="name the settings (-c) or the folder (--folder)",
            exit_code=ExitCode.NOT_FOUND,
        ) from error
    except OSError as error:
        raise Failure(
            "the journal cannot be read",
            code="journal_unreadable",
            cause=str(error),
            advice="run this as the daemon's user",
        ) from error


def _row(found: "Inspection") -> dict[str, Any]:
    import msgspec

    row: dict[str, Any] = msgspec.to_builtins(found)
    return {**row, **row.pop("report"), "healthy": found.healthy}


def _status_lines(found: "Inspection", screen: Screen) -> list[str]:
    waiting = sum(found.waiting.values())
    sources = ", ".join(f"{name} {screen.number(count)}" for name, count in found.waiting.items())
    last = "never" if not found.last_at_ms else screen.moment(timestamp(found.last_at_ms / 1000))
    return screen.facts(
        [
            ("STATE", screen.state("ok" if found.healthy else "damaged")),
            ("WAITING", f"{plural(waiting, 'event')}{f' ({sources})' if waiting else ''}"),
            ("SIZE", f"{size_text(found.size_bytes)} in {plural(found.segments, 'segment')}"),
            ("LAST", f"record {screen.number(found.last_record)}, {last}"),
            ("COMMITTED", f"record {screen.number(found.committed_record)}"),
            ("FORMAT", str(found.format)),
            ("SET ASIDE", plural(found.damaged_segments, "damaged segment")),
        ]
    )


def _verify_lines(found: "Inspection", screen: Screen) -> list[str]:
    report = found.report
    damage = f"{plural(report.damaged_places, 'place')}, {size_text(report.damaged_bytes)}"
    missing = f"{plural(report.missing_records, 'record')}, {plural(report.missing_rows, 'row')}"
    return screen.facts(
        [
            ("STATE", screen.state("ok" if found.healthy else "damaged")),
            ("READ", f"{plural(report.records, 'record')}, {size_text(found.size_bytes)}"),
            ("DAMAGED", damage),
            ("MISSING", missing),
            ("TORN", f"{size_text(report.torn_bytes)} (never counted: nothing is lost by it)"),
            ("HEAD", "lost" if report.head_lost else "whole"),
        ]
    )
