"""Selection of stored events, and reading them from the database page by page."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from ..local_settings import missing_extra
from ..options import time_option
from .database import connection, database_failures

if TYPE_CHECKING:
    from pathlib import Path

    from ...sql.events.history import Bounds, Page


@dataclass(frozen=True)
class Selection:
    """Which stored events a command processes."""

    patterns: tuple[str, ...] = ()
    """Types or patterns; empty: all."""
    source: str | None = None
    """Only of this agent."""
    since: str | None = None
    """Earliest time (ISO 8601)."""
    until: str | None = None
    """Not after this time."""


def selection_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Declare the options of a selection."""
    options = (
        click.argument("patterns", nargs=-1),
        click.option("--source", metavar="AGENT", help="Only of this agent."),
        click.option("--since", metavar="WHEN", help="Not before: 15m, 09:30, or a time."),
        click.option("--until", metavar="WHEN", help="Not after.  [now]"),
    )
    for option in reversed(options):
        function = option(function)
    return function


def selected_times(since: str | None, until: str | None) -> tuple[str | None, str | None]:
    """``--since`` and ``--until`` in the contract's form.

    Raises:
        BadUsage: one of them is not a time.
    """
    return (
        None if since is None else time_option("--since", since),
        None if until is None else time_option("--until", until),
    )


class History:
    """Pages of selected events, read from the database."""

    def __init__(self, connection: Any, selection: Selection) -> None:
        self._connection = connection
        self._selection = selection

    def bounds(self) -> "Bounds":
        """The range of ids to read; events stored later are excluded."""
        from ...sql.events.history import bounds_between

        since, until = (
            None if text is None else datetime.fromisoformat(text)
            for text in (self._selection.since, self._selection.until)
        )
        with database_failures():
            return bounds_between(self._connection, since, until)

    def pages(self, after: int, up_to: int) -> Iterator["Page"]:
        """Pages between two ids."""
        from ...sql.events.event_filter import EventFilter
        from ...sql.events.history import Bounds, pages

        selection = self._selection
        wanted = EventFilter(selection.patterns, selection.source, selection.since, selection.until)
        with database_failures():
            yield from pages(self._connection, Bounds(after, up_to), wanted)


@contextmanager
def open_history(config: "Path | None", selection: Selection) -> Iterator[History]:
    """The history in the configured database.

    Raises:
        Failure: it cannot be reached.
    """
    try:
        with connection(config) as opened:
            yield History(opened, selection)
    except ModuleNotFoundError as error:
        raise missing_extra(error, "daemon") from error
