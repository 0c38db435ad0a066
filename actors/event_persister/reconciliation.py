"""What the persister counts, and the books that come of it."""

import time
from collections import Counter, deque
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import structlog

from ..journal.record_format import RecordKind
from ..journal.rows import ids_of
from ..journal.survey import Inventory
from ..sources import LANES, Books, SourceBooks, lane_of_each_row, rows_by_lane
from .backlog import Backlog, Batch
from .current import InHand
from .inbox import Intake
from .ingest import Draft

EARLIER: Final = LANES[0]


class Accounts:
    """Counts that outlive incarnations; what waits is counted where it waits.

    Args:
        intake: Knows what was received.
        backlog: Knows what is to be stored.
        held: Knows what waits for ids.
    """

    def __init__(self, intake: Intake, backlog: Backlog, held: Backlog) -> None:
        self.stored = self.rejected = self.dropped = self.clashes = 0
        self.journalled: Counter[str] = Counter()
        """Events, by lane."""
        self.dropped_types: Counter[str] = Counter()
        """Dropped and not said yet."""
        self.latencies_ms: deque[float] = deque(maxlen=10_000)
        """From the socket to the journal, of the oldest event of each batch."""
        self.damaged_rows: int | None = None
        """Rows of the journal that were found damaged, if that was not said yet."""
        self._books = Books()
        self._intake = intake
        self._backlog = backlog
        self._held = held
        self._unread: Counter[str] = Counter()
        self._log = structlog.get_logger(actor="EventPersister")

    # -- what the journal brings -----------------------------------------------------------------

    def carry_over(self, rows: int) -> None:
        """The journal holds so many rows; by which lanes they came the survey will say."""
        self._unread = Counter({EARLIER: rows})
        self._backlog.counts.update(self._unread)
        self._books.carried.update(self._unread)

    def take_over(self, found: Inventory) -> None:
        """Instead of that sum, note what the survey found by each lane."""
        books, report, unread = self._books, found.report, self._unread
        missing = Counter({EARLIER: report.missing_rows})
        books.moving.update(found.moved_rows)
        books.carried = books.carried - unread + found.uncommitted - found.moved_rows + missing
        books.dropped += missing
        self._held.counts.update(found.unassigned_rows)
        self._backlog.counts.subtract(unread)
        self._backlog.counts.update(found.uncommitted - found.unassigned_rows)
        if report.missing_rows or report.missing_records:
            self.damaged_rows = report.missing_rows

    # -- what becomes of it ----------------------------------------------------------------------

    def note_journalled(self, draft: Draft) -> None:
        """A batch that was formed of ``draft`` is in the journal, or refused by it."""
        self.journalled += draft.lanes
        if draft:
            self.latencies_ms.append(latency_ms(min(set(draft.times))))

    def note_missing(self) -> None:
        """Rows that the journal had and could not give back are given up, and it is said."""
        for backlog in (self._backlog, self._held):
            if backlog.missing:
                lost = backlog.missing.total()
                self._log.error("the journal was damaged while running", rows=lost)
                self._books.dropped.update(backlog.missing)
                self.dropped += lost
                self.damaged_rows = (self.damaged_rows or 0) + lost
                backlog.missing.clear()

    def shed(self) -> bool:
        """Keep to the bound of memory, where the disk does not take what waits.

        Returns:
            Whether anything was given up for that.
        """
        front = self._backlog.front
        storing = front[0].number if front else 0
        before = self._backlog.counts + self._held.counts
        lost = self._backlog.shed(but=storing) + self._held.shed(but=storing)
        if lost:
            self._books.dropped += before - (self._backlog.counts + self._held.counts)
            if not self.dropped_types:
                self._log.error("no room for events, neither on disk nor in memory")
            self.dropped += lost.total()
            self.dropped_types += lost
        return bool(lost)

    def note_refused(self, event_id: int) -> None:
        """PostgreSQL did not take an event of the block that is being stored."""
        self.rejected += 1
        self._books.note_refused(self.lane_of(event_id))

    def note_moved(self, batch: Batch) -> None:
        """An event whose id another writer had used is journalled under a new one."""
        self._books.moving.update(rows_by_lane(batch.runs))
        self.clashes += 1

    def note_stored(self, block: Sequence[Batch], moved: set[int]) -> None:
        """A block is committed, but for rows whose ids are ``moved``."""
        elsewhere = _rows_at(block, moved)
        self._books.note_stored([batch.runs for batch in block], elsewhere)
        self.stored += sum(batch.rows for batch in block) - elsewhere.total()

    def lane_of(self, event_id: int) -> str:
        """By which lane an event of the block that is being stored came."""
        for batch in self._backlog.front:
            if batch.ranges and event_id <= batch.last_id:
                lanes = zip(ids_of(batch.ranges), lane_of_each_row(batch.runs), strict=False)
                return next((lane for number, lane in lanes if number == event_id), EARLIER)
        return EARLIER

    def by_source(self, in_hand: InHand | None) -> tuple[SourceBooks, ...]:
        """What became of all that came; of one moment."""
        intake, books = self._intake, self._books
        here = self._backlog.counts + self._held.counts
        if in_hand is not None and in_hand.kind is RecordKind.EVENTS:
            here.update(rows_by_lane(in_hand.batches[0].runs))
        here.subtract(books.moving)
        known = {*LANES[1:], *intake.received, *here, *books.carried}
        return tuple(
            SourceBooks(
                source=lane,
                carried=books.carried[lane],
                received=intake.received[lane],
                stored=books.stored[lane],
                rejected=books.rejected[lane],
                journal=here[lane],
                dropped=books.dropped[lane],
                copies=intake.copies[lane],
                echoes=intake.echoes[lane],
                aside=intake.aside[lane],
            )
            for lane in sorted(known)
        )


def _rows_at(block: Sequence[Batch], ids: set[int]) -> Counter[str]:
    """How many rows of ``block`` have one of ``ids``, by lane."""
    if not ids:
        return Counter()
    return Counter(
        lane
        for batch in block
        for number, lane in zip(ids_of(batch.ranges), lane_of_each_row(batch.runs), strict=False)
        if number in ids
    )


def latency_ms(ts: str) -> float:
    """Milliseconds since ``ts`` by the wall clock, 0 if that lies ahead."""
    return max(0.0, (time.time() - datetime.fromisoformat(ts).timestamp()) * 1000)
