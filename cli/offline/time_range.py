"""Selection of stored events, and reading them from the database page by page."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from ..filters import Filter, filter_options
from ..local_settings import missing_extra
from ..options import time_option
from .database import connection, database_failures

if TYPE_CHECKING:
    from pathlib import Path

    from ...sql.events.history import Bounds, Page


def selection_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Declare the options of a selection."""
    options = (
        filter_options,
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

    def __init__(self, connection: Any, wanted: Filter) -> None:
        self._connection = connection
        self._wanted = wanted

    def bounds(self) -> "Bounds":
        """The range of ids to read; events stored later are excluded."""
        from ...sql.events.history import bounds_between

        since, until = (
            None if text is None else datetime.fromisoformat(text)
            for text in (self._wanted.begin, self._wanted.end)
        )
        with database_failures():
            return bounds_between(self._connection, since, until)

    def pages(self, after: int, up_to: int) -> Iterator["Page"]:
        """Pages between two ids; a whole page is examined by what no column tells."""
        from ...actors.event_query import where_test
        from ...sql.events.event_filter import EventFilter
        from ...sql.events.history import Bounds, Page, pages

        wanted, text = self._wanted, self._wanted.whole
        wants = None if text is None else where_test(text)
        narrowed = EventFilter(wanted.types, wanted.source, wanted.begin, wanted.end)
        with database_failures():
            for page in pages(self._connection, Bounds(after, up_to), narrowed):
                events = page.events if wants is None else list(filter(wants, page.events))
                yield Page(page.last_id, events)


@contextmanager
def open_history(config: "Path | None", wanted: Filter) -> Iterator[History]:
    """The history in the configured database.

    Raises:
        Failure: it cannot be reached.
    """
    try:
        with connection(config) as opened:
            yield History(opened, wanted)
    except ModuleNotFoundError as error:
        raise missing_extra(error, "daemon") from error
