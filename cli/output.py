"""Results and notes: tables for people, plain lines in a pipe, JSON for programs.

On a terminal columns are aligned and coloured, times are short and lines fit its width. In a pipe
there is no colour, times are ISO 8601 in UTC, numbers plain digits, and nothing is cut.
"""

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click

from ..protocol.printable import printable, printable_json
from ..protocol.timestamps import timestamp
from . import formatting
from .errors import Failure

OUTPUTS = ("table", "wide", "json", "jsonl", "csv", "name")
JSON_VERSION = 1
"""Of the shapes below; rises when a field is renamed, dropped or gets another type."""
NOTHING = "-"
ELLIPSIS = "…"
MIN_SHRUNK_CHARS = 12
"""Least width of a column that shrinks."""

Row = Mapping[str, Any]

STATE_COLORS = {
    "up": "green",
    "ok": "green",
    "active": "green",
    "allowed": "green",
    "applied": "green",
    "late": "yellow",
    "warning": "yellow",
    "pending": "yellow",
    "unknown": "magenta",
    "down": "red",
    "error": "red",
    "critical": "red",
    "halted": "red",
    "halt": "red",
    "fatal": "red",
}
"""Colour is never the only sign: the word stands there too."""


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    title: str
    """Its heading."""
    key: str
    """The row's field; also the heading in CSV."""
    show: Callable[[Row, "Screen"], str] | None = None
    """The text for people; by default the field as text."""
    right: bool = False
    """Right-aligned."""
    wide: bool = False
    """Only shown by ``-o wide``."""
    shrinks: bool = False
    """May be truncated on a narrow terminal. Never an id."""
    state: bool = False
    """Coloured by its value."""


class Screen:
    """Where results are written, and in which form.

    Args:
        output: one of `OUTPUTS`, or None for the command's own default.
        color: ``auto``, ``always`` or ``never``.
        time: ``utc``, ``local``, ``relative``, ``iso`` or None for utc on a terminal, else iso.
        quiet: omit notes.
    """

    def __init__(
        self,
        *,
        output: str | None = None,
        color: str = "auto",
        time: str | None = None,
        quiet: bool = False,
    ) -> None:
        self.terminal = sys.stdout.isatty()
        self.output = output or "table"
        self.color = wants_color(color, terminal=self.terminal)
        self.color_err = wants_color(color, terminal=sys.stderr.isatty())
        self.quiet = quiet
        self.time = time or ("utc" if self.terminal else "iso")
        self.thin = self.terminal and "utf" in (sys.stdout.encoding or "").lower()
        self.width = shutil.get_terminal_size().columns if self.terminal else None

    @property
    def for_programs(self) -> bool:
        """Whether the output is one for programs."""
        return self.output in ("json", "jsonl", "csv", "name")

    # -- lines ------------------------------------------------------------------------------

    def line(self, text: str = "") -> None:
        """One line of a result."""
        click.echo(_one_line(text), color=self.color)

    def note(self, text: str) -> None:
        """Additional information, on stderr."""
        if not self.quiet:
            click.echo(self._dim(_one_line(text)), err=True, color=self.color_err)

    def warn(self, text: str) -> None:
        """A warning, on stderr."""
        text = click.style(_one_line(text), fg="yellow")
        click.echo(text, err=True, color=self.color_err)

    def failure(self, failure: Failure) -> None:
        """An error: three lines for people, an object for programs."""
        if self.output in ("json", "jsonl"):
            text = json.dumps(failure.as_json(), ensure_ascii=False)
            click.echo(printable_json(text), err=True, color=False)
            return
        for label, text in failure.lines():
            is_error = label == "error"
            head = click.style(f"{label:<6}", fg="red" if is_error else None, bold=is_error)
            click.echo(f"{head} {printable(text)}", err=True, color=self.color_err)

    def state(self, word: str) -> str:
        """A state's word in its colour."""
        return click.style(word, fg=STATE_COLORS.get(word.lower()), bold=word.isupper() or None)

    def strong(self, text: str) -> str:
        """Bold text."""
        return click.style(text, bold=True)

    def _dim(self, text: str) -> str:
        return click.style(text, dim=True)

    # -- numbers and times --------------------------------------------------------------------

    def number(self, value: float | None) -> str:
        """A number, formatted for a terminal or a pipe."""
        return NOTHING if value is None else formatting.number(value, thin=self.thin)

    def moment(self, text: object, *, now: datetime | None = None) -> str:
        """A time in the contract's form, as `--time` says."""
        moment = formatting.read_iso(text)
        if moment is None:
            return NOTHING if text in (None, "") else printable(str(text))
        now = now or datetime.now(UTC)
        if self.time == "relative":
            return f"{formatting.duration((now - moment).total_seconds())} ago"
        if self.time == "local":
            return formatting.clock_time(moment, now.astimezone())
        if self.time == "utc":
            return formatting.clock_time(moment, now)
        return timestamp(moment.timestamp())

    def age(self, text: object, seconds: float | None = None) -> str:
        """The age on a terminal; the time itself in a pipe, or with `--time iso` or `local`."""
        if not self.terminal or self.time in ("iso", "local"):
            return self.moment(text)
        moment = formatting.read_iso(text)
        if seconds is None and moment is not None:
            seconds = (datetime.now(UTC) - moment).total_seconds()
        return NOTHING if seconds is None else formatting.duration(seconds)

    # -- whole results --------------------------------------------------------------------------

    def records(self, kind: str, rows: Sequence[Row], columns: Sequence[Column], name: str) -> None:
        """A list: ``{"version", "kind", "items"}`` as JSON, else a line each.

        Args:
            kind: the word in JSON, a plural.
            rows: as the daemon sent them.
            columns: for people and for CSV.
            name: the field that ``-o name`` writes.
        """
        if self.output == "json":
            self.json({"version": JSON_VERSION, "kind": kind, "items": list(rows)})
        elif self.output == "jsonl":
            for row in rows:
                self.json_line(row)
        elif self.output == "name":
            for row in rows:
                self.name(str(row.get(name) or ""))
        elif self.output == "csv":
            write_csv(rows, columns)
        elif rows:
            self.table(rows, columns)

    def record(self, kind: str, row: Row, lines: Callable[[], Iterable[str]], name: str) -> None:
        """One thing: ``version``, ``kind`` and its fields as JSON, else the given lines."""
        if self.output == "json":
            self.json({"version": JSON_VERSION, "kind": kind, **row})
        elif self.output == "jsonl":
            self.json_line(row)
        elif self.output == "name":
            self.name(str(row.get(name) or ""))
        elif self.output == "csv":
            write_csv([row], [Column(key, key) for key in row])
        else:
            for line in lines():
                self.line(line)

    def name(self, name: str) -> None:
        """One name on a line of its own, for `xargs`; one that is no line is left out, and said."""
        if printable(name) == name:
            self.line(name)
        else:
            self.warn(f"left out, a name that is not one line of text: {printable(name)}")

    def json(self, value: object) -> None:
        """A whole document."""
        text = json.dumps(value, indent=2, ensure_ascii=False)
        click.echo(printable_json(text), color=False)

    def json_line(self, value: object) -> None:
        """One line of a stream."""
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        click.echo(printable_json(text), color=False)

    def table(self, rows: Sequence[Row], columns: Sequence[Column]) -> None:
        """Aligned columns with headings."""
        shown = [column for column in columns if self.output == "wide" or not column.wide]
        cells = [[cell(row, column, self) for column in shown] for row in rows]
        widths = fit([len(column.title) for column in shown], cells, shown, self.width)
        self.line(self.strong(_joined([column.title for column in shown], shown, widths)))
        for texts in cells:
            self.line(self._table_line(texts, shown, widths))

    def _table_line(
        self, texts: Sequence[str], columns: Sequence[Column], widths: Sequence[int]
    ) -> str:
        padded = _padded(texts, columns, widths)
        styled = [
            text.replace(word, self.state(word), 1) if column.state else text
            for text, word, column in zip(padded, texts, columns, strict=True)
        ]
        return "  ".join(styled).rstrip()

    def facts(self, pairs: Iterable[tuple[str, str]]) -> list[str]:
        """Aligned labels and values of one thing; empty values are omitted."""
        known = [(label, value) for label, value in pairs if value]
        width = max((len(label) for label, _ in known), default=0)
        return [f"{self.strong(f'{label:<{width}}')}  {value}" for label, value in known]


_STYLE = re.compile(r"(\x1b\[[0-9;]*m)")


def _one_line(text: str) -> str:
    """The last line of defence: whatever a command forgot to escape, colours excepted."""
    if text.isprintable():
        return text
    return "".join(
        part if _STYLE.fullmatch(part) else printable(part) for part in _STYLE.split(text)
    )


def wants_color(choice: str, *, terminal: bool) -> bool:
    """Whether to colour; by default on a capable terminal, unless NO_COLOR is set."""
    if choice != "auto":
        return choice == "always"
    return terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def cell(row: Row, column: Column, screen: Screen) -> str:
    """The text of one cell; nothing in it can move the cursor."""
    if column.show is not None:
        text = column.show(row, screen)
    else:
        value = row.get(column.key)
        text = NOTHING if value is None or value == "" else str(value)
    return printable(text)


def fit(
    least: Sequence[int],
    cells: Sequence[Sequence[str]],
    columns: Sequence[Column],
    width: int | None,
) -> list[int]:
    """Width of each column; those that may shrink do on a narrow terminal."""
    widths = [max([least[at], *(len(texts[at]) for texts in cells)]) for at in range(len(columns))]
    if width is None:
        return widths
    excess = sum(widths) + 2 * (len(widths) - 1) - width
    for at, column in enumerate(columns):
        if column.shrinks and excess > 0:
            given = min(excess, max(0, widths[at] - MIN_SHRUNK_CHARS))
            widths[at] -= given
            excess -= given
    return widths


def cut(text: str, width: int) -> str:
    """The text in at most ``width`` characters."""
    return text if len(text) <= width else text[: max(0, width - 1)] + ELLIPSIS


def _padded(texts: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> list[str]:
    return [
        cut(text, width).rjust(width) if column.right else cut(text, width).ljust(width)
        for text, column, width in zip(texts, columns, widths, strict=True)
    ]


def _joined(texts: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> str:
    return "  ".join(_padded(texts, columns, widths)).rstrip()


# The full-width ones are the same to a spreadsheet in Japanese and Chinese.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def write_csv(rows: Sequence[Row], columns: Sequence[Column]) -> None:
    """Heading and values; those other than text and numbers as JSON, each cell one line.

    Text that a spreadsheet would take for a formula begins with an apostrophe (OWASP).
    """
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([column.key for column in columns])
    for row in rows:
        writer.writerow([_csv_value(row.get(column.key)) for column in columns])


def _csv_value(value: object) -> object:
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    text = (
        value if isinstance(value, str) else printable_json(json.dumps(value, ensure_ascii=False))
    )
    return f"'{printable(text)}" if text.startswith(_FORMULA) else printable(text)
