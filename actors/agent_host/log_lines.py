"""What an agent inside the daemon logs, kept as the output of a child process is.

An agent logs with the standard library: by ``self.log``, or by any logger from its handlers. Both
are taken, the first by the logger's name, the others by the greenlet they are called in.
"""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from ...runtime.processes.output import (
    MAX_FIELDS,
    MAX_LINE_BYTES,
    OutputLine,
    ProcessOutput,
    level_word,
)

STREAM: Final = "log"
"""In place of ``stdout`` and ``stderr``: what is printed inside the daemon is the daemon's."""

MAX_RECORD_LINES: Final = 50
"""Lines kept of one record: a stack has its end, the error itself, at its end."""

_agent: ContextVar[str | None] = ContextVar("agent", default=None)
_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What every record has; all else are fields (``extra=``)."""
_OF_STRUCTLOG: Final = frozenset({"event", "level", "timestamp", "logger", "exc_info"})


class AgentLines(logging.Handler):
    """Keeps the last lines of one agent.

    Args:
        agent_id: Whose.
        output: Where they are kept; outlives the agent's runs.
    """

    def __init__(self, agent_id: str, output: ProcessOutput) -> None:
        super().__init__()
        self._agent_id = agent_id
        self._output = output
        self._logger = f"agent.{agent_id}"

    def createLock(self) -> None:  # noqa: N802 the standard library's name
        """Do without: a line is added in one step, and agents' threads log, too."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Filter and emit; without the lock that the base class takes."""
        passed = self.filter(record)
        if passed:
            self.emit(record)
        return passed

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is this agent's."""
        return record.name == self._logger or _agent.get() == self._agent_id

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it: a line for each of its lines, the fields with the first."""
        try:
            text, fields = self._read(record)
            first, *more = _texts(text)
            level = level_word(record.levelno)
            kept = [OutputLine(record.created, STREAM, first, level, fields)]
            kept += [OutputLine(record.created, STREAM, text, level) for text in more]
        except Exception:  # noqa: BLE001 the border: what an agent hands over may be anything
            self.handleError(record)
            return
        for line in kept:
            self._output.add(line)

    def _read(self, record: logging.LogRecord) -> tuple[str, dict[str, Any]]:
        if isinstance(record.msg, dict):  # structlog's, as the daemon has configured it
            return str(record.msg.get("event", "")), _plain(record.msg, _OF_STRUCTLOG)
        return self.format(record), _plain(vars(record), _OWN)


@contextmanager
def kept_lines(agent_id: str, output: ProcessOutput | None) -> Iterator[None]:
    """Keep the lines of an agent for the duration of the block."""
    if output is None:
        yield
        return
    handler = AgentLines(agent_id, output)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)


def log_as(agent_id: str) -> None:
    """What this greenlet logs from now on is that agent's."""
    _agent.set(agent_id)


def end_line(error: BaseException) -> OutputLine:
    """The line that says why its run has failed."""
    text = " ".join(_texts(f"ended: {type(error).__name__}: {error}"))
    return OutputLine(time.time(), STREAM, text, "error")


def _texts(text: str) -> list[str]:
    lines = text[: MAX_RECORD_LINES * MAX_LINE_BYTES].splitlines() or [""]
    if len(lines) > MAX_RECORD_LINES:
        left_out = len(lines) - MAX_RECORD_LINES + 1
        lines = [lines[0], f"[{left_out} lines left out]", *lines[left_out + 1 :]]
    return [line if len(line) <= MAX_LINE_BYTES else f"{line[:MAX_LINE_BYTES]} …" for line in lines]


def _plain(found: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """Fields that are text, numbers or truths: at most `MAX_FIELDS`."""
    fields = [(key, value) for key, value in found.items() if key not in known]
    plain = [(k, v) for k, v in fields if isinstance(v, str | int | float)]
    return {k: v[:MAX_LINE_BYTES] if isinstance(v, str) else v for k, v in plain[:MAX_FIELDS]}
