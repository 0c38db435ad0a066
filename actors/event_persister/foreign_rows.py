"""Rows that other programs insert into ``events``: found within two seconds, shown by their time.

The rule: ids that the daemon gave are in the window and in order; a row of any other id was written
by others. Such a row never moves a cursor. Between our ids it can only lie where we gave none:
below the oldest row, in the holes between the ranges that we took, and above the newest id given.
Those places are looked at once a second, by the primary key.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import gevent
import structlog

from ...sql.errors import StoreError
from ...sql.events.event_reader import MAX_ID, EventReader, EventRow
from ..event_query import EventQuery, matcher
from ..events import Event
from ..journal.record_format import IdRange

LOOK_S: Final = 1.0
"""Between two looks; a row is shown within 2 s of its commit."""
MAX_ROWS: Final = 2_000
"""Kept in memory, the newest by time; ten pages of the largest size."""
MAX_BYTES: Final = 8 * 1024 * 1024
MAX_HOLES: Final = 500
"""The newest ones; a hole is seconds old when rows come into it, and there are few."""


class IdMap:
    """Which ids are ours. Pure."""

    def __init__(self) -> None:
        self.is_known = False
        """Whether PostgreSQL has been asked what there was at the start."""
        self._low_end = -1
        self._base = 0
        self._ranges: list[IdRange] = []

    def begin(self, *, oldest_id: int | None, highest_id: int) -> None:
        """What is up to ``highest_id`` is read from PostgreSQL as it is, by any writer.

        Args:
            oldest_id: The table's lowest id; ``None``: it is empty.
            highest_id: Of the table, or given by us.
        """
        if not self.is_known:
            self._low_end = highest_id if oldest_id is None else max(-1, oldest_id - 1)
        self.is_known = True
        self._base = max(self._base, highest_id)

    def add(self, ranges: Iterable[IdRange]) -> None:
        """These were taken for us; ascending."""
        for first, last in ranges:
            before = self._ranges[-1] if self._ranges else (0, -MAX_ID)
            if first == before[1] + 1:
                self._ranges[-1] = before[0], last
            elif last > before[1]:
                self._ranges.append((max(first, before[1] + 1), last))
        del self._ranges[:-MAX_HOLES]

    def holes(self, newest_id: int) -> list[IdRange]:
        """Where no id of ours is, ``newest_id`` being the newest given; ascending."""
        found, at = [], self._base + 1
        if len(self._ranges) == MAX_HOLES:
            at = max(at, self._ranges[0][0])
        for first, last in self._ranges:
            if at < first <= newest_id:
                found.append((at, first - 1))
            at = max(at, last + 1)
        return [(-MAX_ID, self._low_end), *found, (max(newest_id, self._base) + 1, MAX_ID)]

    def is_ours(self, event_id: int, newest_id: int) -> bool:
        """Whether an id was given by us, or may have been."""
        given = self._base < event_id <= newest_id
        return given and any(first <= event_id <= last for first, last in self._ranges)


class ForeignRows:
    """The newest of them, by id. Pure."""

    def __init__(self) -> None:
        self._rows: dict[int, Event] = {}

    @property
    def ids(self) -> list[int]:
        """Of all that are known."""
        return list(self._rows)

    def keep(self, ids: Iterable[int]) -> bool:
        """Forget those that are not there any more; whether there were any."""
        there = set(ids)
        gone = [row_id for row_id in self._rows if row_id not in there]
        for row_id in gone:
            del self._rows[row_id]
        return bool(gone)

    def add(self, rows: Sequence[EventRow]) -> None:
        """Take these in; beyond the bounds the oldest by time go."""
        for row in rows:
            self._rows[row.id] = Event(
                row.id, row.type, bytes(row.payload), row.ts or "", row.source, row.processed
            )
        size = sum(len(event.payload) for event in self._rows.values())
        for event in sorted(self._rows.values(), key=lambda event: event.ts):
            if len(self._rows) <= MAX_ROWS and size <= MAX_BYTES:
                break
            size -= len(event.payload)
            del self._rows[event.id]

    def mark_processed(self, ids: Iterable[int]) -> None:
        """Set ``processed`` of those that are here."""
        for row_id in ids:
            if (row := self._rows.get(row_id)) is not None:
                self._rows[row_id] = Event(
                    row.id, row.type, row.payload, row.ts, row.source, processed=True
                )

    def matching(self, query: EventQuery, boundary: Event | None) -> tuple[Event, ...]:
        """Those that a page may show, newest first by time.

        Args:
            query: Of the page.
            boundary: Ours that ``before`` names, where that is known.
        """
        if not self._rows or not query.others or query.after is not None:
            return ()
        found = list(filter(matcher(query), self._rows.values()))
        if query.before is not None:
            found = [row for row in found if boundary is not None and row.ts < boundary.ts]
        return tuple(sorted(found, key=lambda event: event.ts, reverse=True))


class ForeignRowsWatch:
    """Looks for them; run it in a linked greenlet.

    Args:
        ids: Which are ours.
        rows: Gets what is found.
        reader: Reads the table.
        newest_id: The newest id given.
        on_change: Called when a page that was read before may be out of date.
    """

    def __init__(
        self,
        ids: IdMap,
        rows: ForeignRows,
        reader: EventReader,
        *,
        newest_id: Callable[[], int],
        on_change: Callable[[], None],
    ) -> None:
        self._ids = ids
        self._rows = rows
        self._reader = reader
        self._newest_id = newest_id
        self._on_change = on_change
        self._said = False
        self._log = structlog.get_logger(actor="EventPersister")

    def run(self) -> None:
        """Look until killed."""
        while True:
            gevent.sleep(LOOK_S)
            if self._ids.is_known:
                self.look()

    def look(self) -> None:
        """Look once; without PostgreSQL what is known stays."""
        try:
            self._look()
        except StoreError as error:
            self._log.debug("could not look for rows of other programs", reason=str(error))

    def _look(self) -> None:
        known = set(self._rows.ids)
        holes = self._ids.holes(self._newest_id())
        there = self._reader.ids_within(holes, known, limit=MAX_ROWS)
        newest_id = self._newest_id()
        new = [found for found in there if found not in known]
        new = [found for found in new if not self._ids.is_ours(found, newest_id)]
        changed = self._rows.keep(there)
        if new:
            self._rows.add(self._reader.rows(new))
        if new and not self._said:
            self._said = True
            self._log.info("another program writes to events", first_id=min(new), rows=len(new))
        if new or changed:
            self._on_change()
