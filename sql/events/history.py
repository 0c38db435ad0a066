"""The whole of what is stored, from end to end: for exports and replays of any size.

Reads in pages behind an id (keyset), so memory is bounded by a page, nothing is held open on the
server between two pages, and a reader that knows the last id goes on from there.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from ..connection import Connection
from ..named_queries import query
from .event_filter import ALL, EventFilter, parameters
from .event_reader import EventRow

# Rows looked at in one statement: some 20 ms and a few MB.
SCAN_ROWS: Final = 5_000
# Rows lie in the order of time but for a few (clocks that were set, rows of others): so far before
# and behind the ids found for two moments is looked all the same.
MARGIN_IDS: Final = 10_000
# Rows are sampled from at most this many pages (160 MB).
SAMPLE_PAGES: Final = 20_000


class Bounds(msgspec.Struct, frozen=True):
    """A range of ids."""

    after: int
    """After this one."""
    up_to: int
    """Up to this one, included."""


class Page(msgspec.Struct, frozen=True):
    """The result of one statement."""

    last_id: int
    """The last id examined; the next page starts after it."""
    events: list[EventRow]
    """The selected events, in order of id."""


class Size(msgspec.Struct, frozen=True):
    """Disk space of one type on one day."""

    type: str
    """The type."""
    day: str | None
    """The day (UTC), `2026-01-31`."""
    rows: int
    """Rows; an estimate if a sample was taken."""
    bytes: int
    """Its part of the disk, indexes included."""


class Sizes(msgspec.Struct, frozen=True):
    """Disk space of `events`."""

    bytes: int
    """On disk, indexes and all."""
    partitions: int
    """How many tables it is; 0 if one."""
    estimated: bool
    """The rows come from a sample of pages."""
    sizes: list[Size]
    """Newest day first, the largest type of a day first."""


class Ends(NamedTuple):
    """How much there is, and where it begins and ends."""

    events: int
    """Rows of `events`."""
    first_id: int | None
    """The lowest id; None without any."""
    last_id: int | None
    """The highest."""
    last: str | None
    """Type and time of the last event."""
    agents: int
    """Rows of `agents`."""
    keys: int
    """Rows of `orchestrator_state`."""


def ends(connection: Connection, *, first: int = 0, up_to: int = 2**63 - 1) -> Ends:
    """Count the events of a range of ids, both included; agents and keys are counted whole."""
    row = connection.execute(query("backup_ends"), {"from": first, "up_to": up_to}).fetchone()
    assert row is not None  # noqa: S101 an aggregate
    return Ends(*row)


def bounds_between(
    connection: Connection, since: datetime | None = None, until: datetime | None = None
) -> Bounds:
    """The range of ids for a time range, with a few more rows on either side."""
    low, high = _row(connection, "history_bounds")
    after = low - 1 if since is None else max(low, _id_at(connection, since) - MARGIN_IDS) - 1
    up_to = high if until is None else min(high, _id_at(connection, until) + MARGIN_IDS)
    return Bounds(int(after), int(up_to))


def pages(
    connection: Connection,
    bounds: Bounds,
    event_filter: EventFilter = ALL,
    *,
    scan_rows: int = SCAN_ROWS,
) -> Iterator[Page]:
    """Selected events of a range of ids, page by page; pages may be empty.

    Raises:
        psycopg.Error: a page could not be read; resume after the last one's `last_id`.
    """
    given = parameters(event_filter) | {"up_to": bounds.up_to, "scan": scan_rows}
    after = bounds.after
    while after < bounds.up_to:
        rows = connection.execute(query("history_page"), given | {"after": after}).fetchall()
        after = bounds.up_to if len(rows) < scan_rows else rows[-1][0]
        yield Page(after, [_event(row) for row in rows if row[1]])


def newest_before(
    connection: Connection, types: Sequence[str], moment: datetime, limit: int
) -> list[EventRow]:
    """The newest events of each type (no patterns) up to a moment, newest first.

    Args:
        connection: To the database.
        types: Which ones.
        moment: Not after it.
        limit: Of each type, at most.
    """
    up_to = bounds_between(connection, None, moment).up_to
    given = {"types": list(types), "moment": moment, "up_to": up_to, "limit": limit}
    rows = connection.execute(query("events_newest_before"), given).fetchall()
    return [_event(row) for row in rows]


def sizes(connection: Connection, *, exact: bool = False) -> Sizes:
    """Disk space per type and day; from a sample of pages if the table is large."""
    total, page_count, partitions = _row(connection, "events_disk")
    estimated = page_count > SAMPLE_PAGES and not exact
    percent = 100.0 * SAMPLE_PAGES / page_count if estimated else 100.0
    rows = connection.execute(query("events_size"), {"percent": percent}, prepare=False).fetchall()
    whole = sum(row[3] for row in rows) or 1
    found = [Size(row[0], row[1], row[2], int(total * row[3] / whole)) for row in rows]
    found.sort(key=lambda size: (size.day or "", size.bytes), reverse=True)
    return Sizes(total, partitions, estimated, found)


def _id_at(connection: Connection, moment: datetime) -> int:
    """The first id not older than a time, by binary search: ids rise with time."""
    low, high = _row(connection, "history_bounds")
    while low <= high:
        middle = (low + high) // 2
        row = connection.execute(query("history_at"), {"id": middle}).fetchone()
        if row is None or row[0] > high or (row[1] is not None and row[1] >= moment):
            high = middle - 1
        else:
            low = row[0] + 1
    return int(low)


def _row(connection: Connection, name: str) -> tuple[int, ...]:
    row = connection.execute(query(name)).fetchone()
    return tuple(map(int, row)) if row is not None else ()


def _event(row: tuple[object, ...]) -> EventRow:
    event_id, _, event_type, source, ts, processed, payload = row
    return EventRow(
        id=event_id,  # type: ignore[arg-type]
        type=event_type,  # type: ignore[arg-type]
        payload=msgspec.Raw(str(payload).encode()),
        ts=ts,  # type: ignore[arg-type]
        source=source,  # type: ignore[arg-type]
        processed=bool(processed),
    )
