"""What a child process prints: lines of bounded length, the last of them kept. Pure."""

from collections import deque
from typing import Any, NamedTuple

import msgspec

MAX_LINE_BYTES = 8 * 1024
"""A longer line is cut; enough for any stack trace's line and most JSON."""
LINES_PER_S = 500
"""A child that prints more floods the log: the rest is read, counted and left out."""
LEVELS = {
    "debug": "debug",
    "info": "info",
    "warning": "warning",
    "warn": "warning",
    "error": "error",
    "critical": "error",
    "fatal": "error",
}
_LEVEL_FIELDS = ("level", "levelname", "severity")
_MESSAGE_FIELDS = ("event", "msg", "message")
_LEVELS_OF_LOGGING = ((40, "error"), (30, "warning"), (20, "info"))
_LEVEL_NUMBERS = ((50, "error"), (40, "warning"), (30, "info"))
MAX_FIELDS = 16
"""Fields of a JSON line that go into the log."""
_LEVEL_AMONG_WORDS = 4
"""A log line says its level early: date, time, level."""


class OutputLine(msgspec.Struct, frozen=True):
    """One line that a process printed, or that code within the daemon logged."""

    at: float
    """Seconds since the epoch."""
    stream: str
    """``stdout`` or ``stderr``; ``log`` of code within the daemon."""
    text: str
    """Without its end."""
    level: str | None = None
    """A level of ours; ``None`` of what was printed: see `read_line`."""
    fields: dict[str, Any] | None = None
    """What was logged with it, at most `MAX_FIELDS`; ``None`` of what was printed."""

    def read(self) -> "LogLine":
        """Level, message and fields."""
        if self.level is None:
            return read_line(self.text)
        return LogLine(self.level, self.text, self.fields or {})


class LineSplitter:
    """Makes lines of the pieces that a pipe delivers.

    Never holds more than `MAX_LINE_BYTES`; what a line has beyond them is left out and
    its length noted at the end of the line.
    """

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_line_bytes = max_line_bytes
        self._begun = bytearray()
        self._cut_bytes = 0

    def feed(self, data: bytes) -> list[str]:
        """The lines that ``data`` completes."""
        *ended, rest = data.split(b"\n")
        lines = []
        for piece in ended:
            self._keep(piece)
            lines.append(self._take())
        self._keep(rest)
        return lines

    def finish(self) -> list[str]:
        """The last line, if the output did not end with one's end."""
        return [self._take()] if self._begun or self._cut_bytes else []

    def _keep(self, piece: bytes) -> None:
        room = self._max_line_bytes - len(self._begun)
        self._begun += piece[:room]
        self._cut_bytes += max(0, len(piece) - room)

    def _take(self) -> str:
        text = self._begun.decode(errors="replace").rstrip("\r")
        if self._cut_bytes:
            text += f" … [{self._cut_bytes} bytes more]"
        self._begun.clear()
        self._cut_bytes = 0
        return text


class ProcessOutput:
    """The last lines of one child, which outlive its runs.

    Args:
        capacity: lines kept; the oldest goes first.
    """

    def __init__(self, capacity: int = 200) -> None:
        self._lines: deque[OutputLine] = deque(maxlen=capacity)
        self._second = 0
        self._in_second = 0
        self.total = 0
        """Lines printed by all runs together."""
        self.unlogged = 0
        """Lines that did not go into the log, since there were too many."""

    def add(self, line: OutputLine) -> bool:
        """Keep a line; says whether it may go into the log."""
        self._lines.append(line)
        self.total += 1
        if int(line.at) != self._second:
            self._second, self._in_second = int(line.at), 0
        self._in_second += 1
        loggable = self._in_second <= LINES_PER_S
        self.unlogged += not loggable
        return loggable

    def last(self, limit: int = 200) -> tuple[OutputLine, ...]:
        """The last lines, the oldest first."""
        return tuple(self._lines)[-limit:] if limit > 0 else ()


class LogLine(NamedTuple):
    """A printed line, read as one of a log."""

    level: str
    """A level of ours."""
    text: str
    """What it says."""
    fields: dict[str, Any]
    """Its other fields, if it is a JSON object: at most `MAX_FIELDS`, no nested ones."""


def read_line(text: str) -> LogLine:
    """Level, message and fields of a printed line: of a JSON object its own, else as `level_of`."""
    fields = _json_object(text)
    if fields is None:
        return LogLine(level_of(text), text, {})
    level = _level_field(fields)
    said = next(
        (fields.pop(key) for key in _MESSAGE_FIELDS if isinstance(fields.get(key), str)), ""
    )
    plain = [(key, value) for key, value in fields.items() if isinstance(value, str | int | float)]
    return LogLine(level, said or text, dict(plain[:MAX_FIELDS]) if said else {})


def _json_object(text: str) -> dict[str, Any] | None:
    if not text.startswith("{"):
        return None
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _level_field(fields: dict[str, Any]) -> str:
    """Of ``level``, ``levelname`` or ``severity``, a word or pino's number (30 is info)."""
    given = next((fields.pop(key) for key in _LEVEL_FIELDS if key in fields), None)
    if isinstance(given, int) and not isinstance(given, bool):
        return next((level for least, level in _LEVEL_NUMBERS if given >= least), "debug")
    return LEVELS.get(str(given).lower(), "info")


def level_word(number: int) -> str:
    """The level of a record of the standard library's ``logging``."""
    return next((word for least, word in _LEVELS_OF_LOGGING if number >= least), "debug")


def level_of(text: str) -> str:
    """The level that a printed log line claims; ``info`` if it claims none."""
    for word in text.split(maxsplit=_LEVEL_AMONG_WORDS)[:_LEVEL_AMONG_WORDS]:
        level = LEVELS.get(word.strip("[]():,-").lower())
        if level is not None and not word.islower():
            return level
    return "info"
