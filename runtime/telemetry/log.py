"""Logging: structlog over the standard library, as JSON or for eyes, written by a thread.

A line is made in the greenlet that logs it and put into a bounded queue; one real thread writes,
so that a full pipe or a slow disk does not block the loop. Dropped lines are counted and reported
once there is room again. Fields bound by structlog's ``bound_contextvars`` (a request's id) belong
to the greenlet; gevent gives those it starts an empty context.

Holds nothing that must survive; lines in the queue are written at exit, for two seconds at most.
"""

import atexit
import json
import logging
import sys
import traceback
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

import msgspec
import structlog
from pydantic import BaseModel, ConfigDict, Field

from ...protocol.excerpt import excerpt, shortened
from ...protocol.printable import printable_values
from ...protocol.timestamps import utc_now
from ..linked import log_hub_errors
from .ecs import ecs_fields
from .log_writer import LogWriter, Rotation

EventDict = MutableMapping[str, Any]

# By `_trace`, and structlog's own on the way to a formatter.
_BOUND_ELSEWHERE: Final = frozenset(("trace", "_record", "_from_structlog"))

# A deep stack says where it broke at its ends; the frames between are machinery.
_MAX_FRAMES: Final = 12

# Callers size reasons, channels and payloads: a field of a line is cut to this many characters. A
# stop's reason (500) and an error with its SQL fit.
_MAX_FIELD: Final = 2_000

# Libraries that report each frame or each request at DEBUG or INFO.
_NOISY: Final = ("websockets", "geventwebsocket", "urllib3", "asyncio", "psycopg.pool")

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

_BY_METHOD: Final = {**_LEVELS, "warn": logging.WARNING, "exception": logging.ERROR}


class LogSettings(BaseModel):
    """Section ``[log]`` of supervisor.toml."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is logged; ``DEBUG`` in the environment makes it ``debug``."""
    format: Literal["json", "ecs", "console", "auto"] = "auto"
    """One JSON object a line (``ecs``: with the Elastic Common Schema's names), or lines for eyes;
    ``auto``: for eyes on a terminal only."""
    file: Path | None = None
    """Where lines are appended (it may be rotated by moving it away); by default stdout."""
    rotate_bytes: int = Field(default=0, ge=0)
    """The file is moved to ``<file>.1`` once it is so large; 0: never (``logrotate`` may)."""
    rotate_keep: int = Field(default=5, ge=1, le=100)
    """How many such files are kept."""
    queue_lines: int = Field(default=10_000, ge=100, le=1_000_000)
    """Lines that may wait for the writer before further ones are counted and dropped."""


def configure_logging(settings: LogSettings) -> LogWriter:
    """Send all logging, ours, libraries' and the loop's own, to one writer; returns it.

    May be called again: the former writer is closed.

    Raises:
        OSError: the file cannot be opened.
    """
    rotation = Rotation(settings.rotate_bytes, settings.rotate_keep)
    writer = LogWriter(settings.file, capacity=settings.queue_lines, rotation=rotation)
    level = _LEVELS[settings.level]
    chosen = settings.format
    if chosen == "auto":
        chosen = "console" if writer.is_terminal else "json"
    handler = _QueueHandler(writer)
    handler.setFormatter(_formatter(chosen))
    _install(handler, level)
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=_BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    log_hub_errors()
    return writer


def set_log_level(level: Literal["debug", "info", "warning", "error"]) -> None:
    """Log from ``level`` on, from now on."""
    _set_level(_LEVELS[level])


def _install(handler: "_QueueHandler", level: int) -> None:
    root = logging.getLogger()
    for former in [one for one in root.handlers if isinstance(one, _QueueHandler)]:
        root.removeHandler(former)
        former.close()
    root.addHandler(handler)
    _set_level(level)
    atexit.register(handler.close)


def _set_level(level: int) -> None:
    _BoundLogger.level = level
    logging.getLogger().setLevel(level)
    quiet = logging.WARNING if level > logging.DEBUG else logging.INFO
    for name in _NOISY:
        logging.getLogger(name).setLevel(quiet)


class _BoundLogger(structlog.make_filtering_bound_logger(logging.DEBUG)):  # type: ignore[misc] # made at run time
    """Looks at the level with each line: loggers are kept for good once they were used."""

    level: ClassVar[int] = logging.INFO

    def _proxy_to_logger(self, method_name: str, event: str | None = None, **fields: Any) -> Any:
        if _BY_METHOD.get(method_name, logging.CRITICAL) < self.level:
            return None
        return super()._proxy_to_logger(method_name, event, **fields)


class _QueueHandler(logging.Handler):
    """Formats in the caller's greenlet and hands on; has no lock, since the queue needs none."""

    def __init__(self, writer: LogWriter) -> None:
        super().__init__()
        self._writer = writer

    def createLock(self) -> None:  # noqa: N802 the standard library's name
        """Do without: threads outside the loop log too, and greenlets' locks are not theirs."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Filter and emit; without the lock that the base class takes."""
        passed = bool(self.filter(record))
        if passed:
            self.emit(record)
        return passed

    def emit(self, record: logging.LogRecord) -> None:
        """Put the line into the queue."""
        try:
            self._writer.write(self.format(record).encode("utf-8", "backslashreplace") + b"\n")
        except Exception:  # noqa: BLE001 the border: one line must not break its speaker
            self.handleError(record)

    def close(self) -> None:
        """Write pending lines and stop the writer."""
        atexit.unregister(self.close)
        self._writer.close()
        super().close()


# -- what a line looks like ----------------------------------------------------------------------


def _add_time(_logger: Any, _method: str, event: EventDict) -> EventDict:
    event["timestamp"] = utc_now()
    return event


def _compact_exception(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Replace ``exc_info`` by ``error`` (class and text) and ``trace`` (one string a frame)."""
    exc_info = event.pop("exc_info", None)
    if exc_info is None or exc_info is False:
        return event
    error = exc_info if isinstance(exc_info, BaseException) else None
    if error is None:
        error = (exc_info if isinstance(exc_info, tuple) else sys.exc_info())[1]
    if error is not None:
        event.setdefault("error", _text_of(error))
        event["trace"] = _trace(error)
    return event


def _text_of(error: BaseException) -> str:
    return shortened("".join(traceback.format_exception_only(error)).strip(), _MAX_FIELD)


def _trace(error: BaseException) -> list[str]:
    """Frames of ``error`` and, after ``<-``, of its causes; long stacks without their middle."""
    lines: list[str] = []
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen and len(seen) < _MAX_FRAMES:
        seen.add(id(cause))
        if cause is not error:
            lines.append("<- " + _text_of(cause))
        frames = [
            f"{frame.filename}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(cause.__traceback__)
        ]
        if len(frames) > _MAX_FRAMES:
            half = _MAX_FRAMES // 2
            frames = [*frames[:half], f"… {len(frames) - 2 * half} frames", *frames[-half:]]
        lines += frames
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return lines


def _bounded(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Cut what others size; of a list or an object that does not fit the beginning is kept."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = shortened(value, _MAX_FIELD)
        elif not isinstance(value, bool | float | None) and key not in _BOUND_ELSEWHERE:
            text = excerpt(value, _MAX_FIELD)
            event[key] = text if text.endswith("…") else value
    return event


def _in_order(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Begin every JSON line the same way."""
    head = {key: event.pop(key, "") for key in ("timestamp", "level", "event")}
    return {**head, **event}


def _in_ecs(_logger: Any, _method: str, event: EventDict) -> EventDict:
    return ecs_fields(event)


def _in_one_line(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Texts of others move no cursor; JSON escapes by itself."""
    return printable_values(dict(event))


def _trace_for_eyes(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Put the frames below the line."""
    trace = event.pop("trace", None)
    if trace:
        event["exception"] = "\n".join(f"    {frame}" for frame in trace)
    return event


def _to_json(_logger: Any, _method: str, event: EventDict) -> str:
    # repr for what JSON does not know: a log line never fails for its values.
    try:
        return msgspec.json.encode(dict(event), enc_hook=repr).decode()
    except (UnicodeEncodeError, TypeError, OverflowError):  # a lone surrogate, an odd key
        return json.dumps(dict(event), default=repr, skipkeys=True)


_SHARED: Final[list[Any]] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    _add_time,
    _compact_exception,
    _bounded,
]


def _formatter(chosen: Literal["json", "ecs", "console"]) -> structlog.stdlib.ProcessorFormatter:
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    render: list[Any]
    if chosen == "json":
        render = [remove_meta, _in_order, _to_json]
    elif chosen == "ecs":
        render = [remove_meta, _in_ecs, _to_json]
    else:
        console = structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())
        render = [remove_meta, _in_one_line, _trace_for_eyes, console]
    joined = [structlog.stdlib.ExtraAdder(), structlog.stdlib.add_logger_name, *_SHARED]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=joined, processors=render, keep_exc_info=False
    )
