"""Reading events: pages by id with filters, single events, the types there are."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from ..connection import Row
from ..database import Database
from ..named_queries import ascending, query, within_bytes
from .event_filter import ALL, EventFilter, parameters
from .page_search import search

# bigint's largest: no upper bound.
MAX_ID: Final = 2**63 - 1
# Ids from here on are another program's: no JSON number carries them all.
OWN_IDS_END: Final = 2**52
# Rows that are searched first for a filtered page. It is nearly always found there, in some 5 ms.
NEAR_ROWS: Final = 5_000
# Types are counted up to this table size in disk pages (16 MB), else estimated from as many.
COUNTED_PAGES: Final = 2_000
MAX_TYPES: Final = 10_000
"""Types that are listed; a publisher may make up any number of them."""


class EventRow(msgspec.Struct, frozen=True):
    """One row of `events`, ready to be encoded as JSON."""

    id: int
    """bigint."""
    type: str
    """text."""
    payload: msgspec.Raw
    """jsonb, as UTF-8 JSON that need not be encoded again."""
    ts: str | None
    """timestamptz as ISO 8601, UTC, milliseconds; `created_at` if another program left it empty."""
    source: str | None
    """text, nullable."""
    processed: bool
    """boolean; null counts as false."""


class TypeRow(msgspec.Struct, frozen=True):
    """Statistics of one type."""

    type: str
    """The type."""
    count: int
    """Rows; see `estimated`."""
    estimated: bool
    """The count comes from a sample of the table."""
    last_id: int
    """The newest row's id."""
    last_ts: str | None
    """Its time (ISO 8601, UTC)."""
    per_minute: float
    """Rows per minute in the last five minutes."""


class EventReader:
    """Pages of events on pooled connections.

    Each call blocks the caller's greenlet: 2 s for a connection and `statement_timeout_ms` for a
    statement (a page may take up to nine, of which only the last can be long), and raises
    `Unavailable`, `TimedOut` or another `StoreError`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def latest(
        self,
        limit: int,
        event_filter: EventFilter = ALL,
        *,
        up_to_id: int | None = None,
        max_bytes: int | None = None,
    ) -> list[EventRow]:
        """The newest `limit` events (up to an id, included), newest first; `max_bytes` as below."""
        return self._page(limit, event_filter, low=0, high=up_to_id, max_bytes=max_bytes)

    def after(
        self,
        since: int,
        limit: int,
        event_filter: EventFilter = ALL,
        *,
        up_to_id: int | None = None,
        max_bytes: int | None = None,
    ) -> list[EventRow]:
        """The oldest `limit` events after an id (up to another, included), oldest first.

        With `max_bytes` no further ones as soon as their payloads together have that many, but
        for those found in the whole table: these are rare, or a filter's.
        """
        return self._page(
            limit,
            event_filter,
            low=since + 1,
            high=up_to_id,
            forward=True,
            max_bytes=max_bytes,
        )

    def before(self, event_id: int, limit: int, event_filter: EventFilter = ALL) -> list[EventRow]:
        """The newest `limit` events below an id, newest first."""
        return self._page(limit, event_filter, low=0, high=event_id - 1)

    def get(self, event_id: int) -> EventRow | None:
        """One event, or None."""
        rows = self._database.rows(query("event_get"), {"id": event_id})
        return _event(rows[0]) if rows else None

    def newest_id(self) -> int:
        """The highest id in the table, 0 if it is empty."""
        return int(self._database.rows(query("committed_max"))[0][0])

    def ids_within(
        self, ranges: Iterable[tuple[int, int]], known: Iterable[int], *, limit: int
    ) -> list[int]:
        """Ids in some ranges (the highest `limit`), and those of `known` that are still there."""
        lows, highs = zip(*ranges, strict=True)
        given = {"lows": list(lows), "highs": list(highs), "known": list(known), "limit": limit}
        return [row[0] for row in self._database.rows(query("events_within"), given)]

    def rows(self, ids: Sequence[int]) -> list[EventRow]:
        """Those of some events that are there, in no order."""
        return list(map(_event, self._database.rows(query("events_by_ids"), {"ids": list(ids)})))

    def newest_of(self, types: Sequence[str]) -> EventRow | None:
        """The newest event, by time, of some types whose payload is an object."""
        rows = self._database.rows(query("events_newest_of"), {"types": list(types)})
        return _event(rows[0]) if rows else None

    def mark_processed(self, ids: Sequence[int]) -> tuple[list[int], list[int]]:
        """Mark events as processed; returns the ids that exist and those that do not, as given."""
        rows = self._database.rows(query("events_mark_processed"), {"ids": list(ids)})
        there = {row[0] for row in rows}
        return [i for i in ids if i in there], [i for i in ids if i not in there]

    def types(self) -> list[TypeRow]:
        """The types, most frequent first, 10,000 at most; cheap on a table of any size.

        On more than some 16 MB counts are estimates, but for types of fewer than 200 rows.
        """
        pages = int(self._database.rows(query("events_pages"))[0][0])
        percent = 100.0 if pages <= COUNTED_PAGES else 100.0 * COUNTED_PAGES / pages
        given = {"percent": percent, "limit": MAX_TYPES}
        rows = self._database.rows(query("events_types"), given, prepare=False)
        return [TypeRow(*row) for row in rows]

    def _page(  # noqa: PLR0913 one page, one call
        self,
        limit: int,
        event_filter: EventFilter,
        *,
        low: int,
        high: int | None,
        forward: bool = False,
        max_bytes: int | None = None,
    ) -> list[EventRow]:
        """Near first; if that does not fill the page, by the index that fits the filter."""
        bounds = {"low": low, "high": MAX_ID if high is None else high, "limit": limit}
        given = bounds | parameters(event_filter) | {"max_bytes": max_bytes}
        named = ascending if forward else query
        scan = limit if event_filter == ALL else NEAR_ROWS
        near = named("events_near")
        if max_bytes is not None:
            near = within_bytes("events_near", forward=forward)
        rows = self._database.rows(near, given | {"scan": scan}, planned_once=True)
        if event_filter != ALL and len(rows) < limit and not fills(rows, max_bytes):
            rows = search(self._database, event_filter, given, named)
        return [_event(row) for row in rows]


def fills(rows: Sequence[Row], max_bytes: int | None) -> bool:
    """Whether `rows` may have been cut at that many bytes of payload."""
    return max_bytes is not None and sum(len(row[2].encode()) for row in rows) >= max_bytes


def _event(row: Row) -> EventRow:
    event_id, event_type, payload, ts, source, processed = row
    return EventRow(event_id, event_type, msgspec.Raw(payload.encode()), ts, source, processed)
