"""Which part of history a command is about, and reading it from the database page by page."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from ...protocol.timestamps import timestamp
from ..errors import BadUsage
from ..formatting import read_moment
from ..local_settings import missing_extra
from .database import connection, store_failures

if TYPE_CHECKING:
    from pathlib import Path

    from ...sql.events.history import Bounds, Page


@dataclass(frozen=True)
class Span:
    """What is wanted of history."""

    patterns: tuple[str, ...] = ()
    """Types or patterns; none: all."""
    source: str | None = None
    """Only from this agent."""
    since: str | None = None
    """Not before this time (ISO 8601)."""
    until: str | None = None
    """Not after this time."""


def span_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that make a span."""
    options = (
        click.argument("patterns", nargs=-1),
        click.option("--source", metavar="AGENT", help="Only from this agent."),
        click.option("--since", metavar="WHEN", help="Not before: 15m, 09:30, or a time."),
        click.option("--until", metavar="WHEN", help="Not after.  [now]"),
    )
    for option in reversed(options):
        function = option(function)
    return function


def moment_of(option: str, text: str | None) -> str | None:
    """A time as it was written on the command line, as the contract writes it.

    Raises:
        BadUsage: it is no time.
    """
    if text is None:
        return None
    moment = read_moment(text, datetime.now(UTC))
    if moment is None:
        raise BadUsage(
            f"{option} {text!r} is no time", advice="write 15m, 09:30 or 2026-01-31T09:30:00Z"
        )
    return timestamp(moment.timestamp())


class History:
    """Pages of a span of history, read from the database."""

    def __init__(self, connection: Any, span: Span) -> None:
        self._connection = connection
        self._span = span

    def bounds(self) -> "Bounds":
        """The ids to look at; what comes later is not part of it."""
        from ...sql.events.history import bounds_between

        since, until = (
            None if text is None else datetime.fromisoformat(text)
            for text in (self._span.since, self._span.until)
        )
        with store_failures():
            return bounds_between(self._connection, since, until)

    def pages(self, after: int, up_to: int) -> Iterator["Page"]:
        """Pages between two ids."""
        from ...sql.events.event_filter import EventFilter
        from ...sql.events.history import Bounds, pages

        span = self._span
        wanted = EventFilter(span.patterns, span.source, span.since, span.until)
        with store_failures():
            yield from pages(self._connection, Bounds(after, up_to), wanted)


@contextmanager
def history_of(config: "Path | None", span: Span) -> Iterator[History]:
    """The history in the database of these settings.

    Raises:
        Failure: it cannot be reached.
    """
    try:
        with connection(config) as opened:
            yield History(opened, span)
    except ModuleNotFoundError as error:
        raise missing_extra(error, "daemon") from error
