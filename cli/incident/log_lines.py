"""The daemon's log around a moment, rotated files included."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ..errors import ExitCode, Failure
from .span import Span

MAX_READ_BYTES: Final = 256 * 1024 * 1024
"""The end of each file that is searched."""
MAX_KEPT_BYTES: Final = 8 * 1024 * 1024
TAIL_LINES: Final = 200
"""Kept where no line is of the time asked for."""
MAX_LINE_BYTES: Final = 64 * 1024

_TIME: Final = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3})?Z")


def log_lines(file: Path, rotated: int, span: Span) -> list[str]:
    """The lines of a span, else the last ones; a line without a time belongs to the one before.

    Args:
        file: Where the daemon logs.
        rotated: How many files ``<file>.N`` there may be.
        span: Which time.

    Raises:
        Failure: It cannot be read.
    """
    within: list[bytes] = []
    tail: list[bytes] = []
    kept, inside = 0, False
    try:
        for line in _lines(file, rotated):
            if found := _TIME.search(line[:200]):
                inside = span.holds(found[0].decode())
            if inside and kept < MAX_KEPT_BYTES:
                within.append(line)
                kept += len(line)
            tail.append(line)
            del tail[:-TAIL_LINES]
    except OSError as error:
        raise Failure(
            f"cannot read {file}",
            code="log_unreadable",
            cause=error.strerror or str(error),
            exit_code=ExitCode.PARTIAL,
        ) from error
    return [line.decode("utf-8", "replace").rstrip("\n") for line in within or tail]


def _lines(file: Path, rotated: int) -> Iterator[bytes]:
    """All lines, the oldest file first."""
    older = [file.with_name(f"{file.name}.{number}") for number in range(rotated, 0, -1)]
    for path in [*(path for path in older if path.is_file()), file]:
        with path.open("rb") as opened:
            opened.seek(max(0, path.stat().st_size - MAX_READ_BYTES))
            while line := opened.readline(MAX_LINE_BYTES):
                yield line
