"""A filter applied to rows of PostgreSQL: a bounded number of them, however few are wanted.

Only the filter itself is applied here; types, source, times and marks narrow the rows by their
indexes. So there is one implementation of the filter, and a page costs what it may cost.
"""

import time
from typing import Final, NamedTuple

from ...actors.event_query import DatabaseRange, where_test
from ...runtime import give_way
from ...sql.events.event_filter import EventFilter
from ...sql.events.event_reader import OWN_IDS_END, EventReader, EventRow

MAX_ROWS: Final = 20_000
"""Examined for one page."""

_BATCH_ROWS: Final = 500
# One large payload more than this at most, from PostgreSQL at once.
_BATCH_BYTES: Final = 1024 * 1024
_MAX_BYTES: Final = 8 * 1024 * 1024
_LIMIT_S: Final = 1.0


class Found(NamedTuple):
    """What a search has brought."""

    rows: list[EventRow]
    """Those that are wanted, in the order of the range; at most as many as it asks for."""
    looked_to: int | None
    """The last id examined; None: all of the range, or as many as were asked for."""


def search(reader: EventReader, where: str, narrowed: EventFilter, wanted: DatabaseRange) -> Found:
    """Rows of a range that a filter wants; blocks the caller's greenlet for some 1 s at most.

    Args:
        reader: Reads the table.
        where: The filter.
        narrowed: All other conditions.
        wanted: The range.

    Raises:
        BadWhere: It is no filter.
        StoreError: PostgreSQL.
    """
    wants, rows = where_test(where), list[EventRow]()
    position, examined, size_bytes = _begin(wanted), 0, 0
    until = time.monotonic() + _LIMIT_S
    while examined < MAX_ROWS and size_bytes < _MAX_BYTES and time.monotonic() < until:
        batch = _batch(reader, narrowed, wanted, position)
        rows += filter(wants, batch)
        if len(rows) >= wanted.limit:
            return Found(rows[: wanted.limit], None)
        batch_bytes = sum(memoryview(row.payload).nbytes for row in batch)
        if len(batch) < _BATCH_ROWS and batch_bytes < _BATCH_BYTES:
            return Found(rows, None)
        position, examined = batch[-1].id, examined + len(batch)
        size_bytes += batch_bytes
        give_way()
    return Found(rows, position)


def _begin(wanted: DatabaseRange) -> int:
    if wanted.oldest_first:
        return wanted.after or 0
    return (OWN_IDS_END if wanted.through is None else wanted.through) + 1


def _batch(
    reader: EventReader, narrowed: EventFilter, wanted: DatabaseRange, position: int
) -> list[EventRow]:
    if wanted.oldest_first:
        return reader.after(
            position, _BATCH_ROWS, narrowed, up_to_id=wanted.through, max_bytes=_BATCH_BYTES
        )
    return reader.latest(_BATCH_ROWS, narrowed, up_to_id=position - 1, max_bytes=_BATCH_BYTES)
