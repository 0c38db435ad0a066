"""``event export``."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from ..errors import BadUsage
from ..filters import Filter
from ..local_settings import config_option
from ..offline.checkpoint import Checkpoint, load_checkpoint
from ..offline.export_files import open_file
from ..offline.progress import Progress
from ..offline.time_range import History, open_history, selected_times, selection_options
from ..options import Invocation, command, pass_invocation

SAVE_EVERY_S: Final = 1.0
"""Interval of checkpoints; a kill -9 repeats at most this much work."""


@command(
    "export",
    examples="""
        orc event export --since 1d --out day.jsonl
        orc event export 'strategy.*' --where 'data.score >= 0.8' --out good.jsonl
        orc event export 'data.market.*' --format parquet --out market.parquet
        orc event export --out all.jsonl --resume
    """,
)
@selection_options
@click.option(
    "--format",
    "kind",
    type=click.Choice(["jsonl", "parquet"]),
    default="jsonl",
    show_default=True,
    help="parquet needs the extra [parquet].",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Output file.  [stdout]",
)
@click.option("--resume", is_flag=True, help="Resume an interrupted export.")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@config_option
@pass_invocation
def export_command(  # noqa: PLR0913 - its options
    invocation: Invocation,
    *,
    wanted: Filter,
    since: str | None,
    until: str | None,
    kind: str,
    out: Path | None,
    resume: bool,
    force: bool,
    config: Path | None,
) -> None:
    """Write stored events to a file, oldest first.

    Reads the database directly, page by page: memory does not grow with the number of events.
    Events stored after the start are excluded.
    """
    _check(out, kind, resume=resume, force=force)
    options = {"kind": kind, "types": list(wanted.types), "filter": wanted.whole}
    options |= {"since": since, "until": until}
    if resume:
        checkpoint = load_checkpoint(_state_path(out), options)
    else:
        times = selected_times(since, until)
        checkpoint = Checkpoint(_state_path(out), options, *times)
    progress = Progress(invocation.screen, "events")
    wanted = replace(wanted, begin=checkpoint.since, end=checkpoint.until)
    with open_history(config, wanted) as history:
        if not resume:
            bounds = history.bounds()
            checkpoint.last_id, checkpoint.up_to = bounds.after, bounds.up_to
        _export(history, checkpoint, progress, out, kind)
    invocation.screen.note(f"{progress.end()} exported")


def _check(out: Path | None, kind: str, *, resume: bool, force: bool) -> None:
    if out is None and (resume or kind == "parquet"):
        what = "--resume" if resume else "--format parquet"
        raise BadUsage(f"{what} needs a file", advice="name one with --out")
    if out is not None and out.exists() and not resume and not force:
        raise BadUsage(
            f"{out} already exists",
            advice="add --force to overwrite it, or --resume to resume it",
        )


def _state_path(out: Path | None) -> Path:
    return Path(f"{out}.state")


def _export(
    history: History, checkpoint: Checkpoint, progress: Progress, out: Path | None, kind: str
) -> None:
    """Write all pages; the checkpoint follows what has been written."""
    first = checkpoint.last_id
    file = open_file(out, kind, checkpoint.at or None)
    progress.done = checkpoint.done
    done = checkpoint.done
    saved = time.monotonic()
    try:
        for page in history.pages(checkpoint.last_id, checkpoint.up_to):
            settled = file.write(page.events)
            done += len(page.events)
            if settled:
                checkpoint.last_id, checkpoint.done, checkpoint.at = page.last_id, done, file.at()
            if out is not None and settled and time.monotonic() - saved >= SAVE_EVERY_S:
                saved = time.monotonic()
                checkpoint.save()
            part = (page.last_id - first) / max(1, checkpoint.up_to - first)
            progress.advance(len(page.events), part)
        file.finish()
    except BaseException:
        file.close()
        if out is not None:
            checkpoint.save()
        raise
    checkpoint.remove()
