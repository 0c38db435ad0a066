"""How a page is searched, so that its cost depends on the page and not on the size of the table.

In this order: among the nearest rows; for a time range, between the two ids that bound it; by the
index of the most selective condition. Only if many rows meet each condition and hardly any meets
all of them must they all be scanned: the statement timeout ends that.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from ..connection import Connection, Row
from ..database import Database
from ..errors import TimedOut
from ..named_queries import query
from .event_filter import EventFilter

# This many rows are searched in some 10 ms.
FEW_ROWS: Final = 5_000
# So far before and behind the ids of two moments their rows may lie: first for what is read in one
# moment and numbered in another, then for a clock that was set by some minutes. Beyond that the
# whole is searched.
MARGINS: Final = (1_000, 200_000)
# Where the index (id, ts) is missing (a host's table) it is not worth waiting for the bounds.
BOUNDS_LIMIT_MS: Final = 1_000

Given = dict[str, Any]
Named = Callable[[str], bytes]


def search(database: Database, event_filter: EventFilter, given: Given, named: Named) -> list[Row]:
    """The rows of a page, in its order.

    Args:
        database: the database.
        event_filter: at least one condition.
        given: the parameters of the page queries, `low`, `high` and `limit` among them.
        named: the text of a page query in the direction that is wanted.

    Raises:
        TimedOut: too many rows would have to be scanned.
        StoreError: and its other kinds.
    """
    given = given | {"scan": FEW_ROWS}
    if event_filter.from_ts is not None or event_filter.to_ts is not None:
        given = given | _bounds_in_time(database, given)
        if given["high"] - given["low"] < FEW_ROWS:
            return database.rows(named("events_near"), given, planned_once=True)
    name = _most_selective(database, event_filter, given)
    # The planner has to see the parameters.
    return database.rows(named(name), given, prepare=False)


def _most_selective(database: Database, event_filter: EventFilter, given: Given) -> str:
    """The query whose index leaves the fewest rows to examine."""
    types, source = bool(event_filter.types), event_filter.source is not None
    if not types and not source:
        return "events_search"
    if types and source and _are_few(database, "events_few_of_source", given):
        return "events_of_source"
    if event_filter.processed and _are_few(database, "events_few_marked", given):
        return "events_search"
    return "events_of_types" if types else "events_of_source"


def _are_few(database: Database, name: str, given: Given) -> bool:
    return int(database.rows(query(name), given, prepare=False)[0][0]) < FEW_ROWS


def _bounds_in_time(database: Database, given: Given) -> dict[str, int]:
    """Bounds of all ids in the time range; the page's own if unknown."""
    page = {"low": given["low"], "high": given["high"]}
    reading = database.transaction(timeout_ms=BOUNDS_LIMIT_MS, planned_once=True)
    with suppress(TimedOut), reading as connection:
        first, last = (_id_at(connection, given[name]) for name in ("from_ts", "to_ts"))
        connection.execute(query("events_brin_only"))
        for margin in MARGINS:
            low, high = page["low"], page["high"]
            if first is not None:
                low = max(low, first - margin)
            if last is not None:
                high = min(high, last + margin)
            if not _are_outside(connection, given, low=low, high=high):
                return {"low": low, "high": high}
    return page


def _are_outside(connection: Connection, given: Given, *, low: int, high: int) -> bool:
    """Whether rows of the time range lie outside two ids, but within those of the page."""
    outer = {"low": None if low == given["low"] else low}
    outer["high"] = None if high == given["high"] else high
    rows = connection.execute(query("events_outside"), given | outer).fetchall()
    return bool(rows[0][0])


def _id_at(connection: Connection, moment: str | None) -> int | None:
    """The first id that is not older; none if no moment is given."""
    if moment is None:
        return None
    row = connection.execute(query("events_at"), {"moment": moment}).fetchone()
    return int(row[0]) if row is not None and row[0] is not None else 0
