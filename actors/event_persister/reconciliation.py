"""The sums by which every event is accounted for, by source; see ``sources.SourceBalance``."""

from collections import Counter
from collections.abc import Sequence

import structlog

from ..journal.record_format import RecordKind
from ..journal.rows import ids_of
from ..journal.survey import Inventory
from ..sources import (
    EARLIER,
    SOURCES,
    SourceBalance,
    rejected_by_source,
    rows_by_source,
    source_of_each_row,
)
from .backlog import Backlog
from .batch import Batch
from .inbox import Inbox
from .ingest import Ingest


class Reconciliation:
    """Sums that outlive the actor's runs; what is pending is counted where it is pending.

    Args:
        inbox: Counts what was received.
        ingest: Counts what was left out.
        backlog: Counts what is to be stored.
        held: Counts what needs ids.
    """

    def __init__(self, inbox: Inbox, ingest: Ingest, backlog: Backlog, held: Backlog) -> None:
        self.stored = 0
        """Rows committed."""
        self.rejected = 0
        """Events that became ``bus.rejected``, before or by PostgreSQL."""
        self.dropped = 0
        """Rows given up."""
        self.clashes = 0
        """Events that got a new id."""
        self.dropped_types: Counter[str] = Counter()
        """Dropped and not reported yet."""
        self.damaged_rows: int | None = None
        """Rows of the journal that were found damaged, if that was not reported yet."""
        self._inbox = inbox
        self._ingest = ingest
        self._backlog = backlog
        self._held = held
        self._unread: Counter[str] = Counter()
        self._carried: Counter[str] = Counter()
        self._stored: Counter[str] = Counter()
        self._rejected: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._moving: Counter[str] = Counter()
        """Journalled again under new ids; the rows under the old ids are still in the backlog."""
        self._refused: Counter[str] = Counter()
        """Rows that PostgreSQL refused, of the block that is being stored."""
        self._log = structlog.get_logger(actor="EventPersister")

    # -- what the journal brings -----------------------------------------------------------------

    def carry_over(self, rows: int) -> None:
        """The journal holds `rows` rows; the survey will say from which sources they came."""
        self._unread = Counter({EARLIER: rows})
        self._backlog.counts.update(self._unread)
        self._carried.update(self._unread)

    def take_over(self, found: Inventory) -> None:
        """Replace that sum by what the survey found of each source."""
        report, unread = found.report, self._unread
        missing = Counter({EARLIER: report.missing_rows})
        self._moving.update(found.moved_rows)
        self._carried = self._carried - unread + found.uncommitted - found.moved_rows + missing
        self._dropped += missing
        self._held.counts.update(found.unassigned_rows)
        self._backlog.counts.subtract(unread)
        self._backlog.counts.update(found.uncommitted - found.unassigned_rows)
        if report.missing_rows or report.missing_records:
            self.damaged_rows = report.missing_rows

    def note_missing(self) -> None:
        """Rows that the journal had and could not give back are given up, and reported."""
        for backlog in (self._backlog, self._held):
            if backlog.missing:
                lost = backlog.missing.total()
                self._log.error("the journal was damaged while running", rows=lost)
                self._dropped.update(backlog.missing)
                self.dropped += lost
                self.damaged_rows = (self.damaged_rows or 0) + lost
                backlog.missing.clear()

    # -- what becomes of it ----------------------------------------------------------------------

    def shed(self) -> bool:
        """Keep to the bound of memory, where the disk does not take what is pending.

        Returns:
            Whether anything was given up for that.
        """
        front = self._backlog.front
        storing = front[0].number if front else 0
        before = self._backlog.counts + self._held.counts
        lost = self._backlog.shed(but=storing) + self._held.shed(but=storing)
        if lost:
            self._dropped += before - (self._backlog.counts + self._held.counts)
            if not self.dropped_types:
                self._log.error("no room for events, neither on disk nor in memory")
            self.dropped += lost.total()
            self.dropped_types += lost
        return bool(lost)

    def note_refused(self, event_id: int) -> None:
        """PostgreSQL did not take an event of the block that is being stored."""
        self.rejected += 1
        self._refused[self.source_of(event_id)] += 1

    def note_moved(self, batch: Batch) -> None:
        """An event whose id another writer had used is journalled under a new one."""
        self._moving.update(rows_by_source(batch.runs))
        self.clashes += 1

    def note_stored(self, block: Sequence[Batch], moved: set[int]) -> None:
        """A block is committed, but for rows whose ids are ``moved``."""
        elsewhere = _rows_at(block, moved)
        runs = [run for batch in block for run in batch.runs]
        rejected = rejected_by_source(runs) + self._refused
        self._stored.update(rows_by_source(runs))
        self._stored.subtract(rejected)
        self._stored.subtract(elsewhere)
        self._rejected.update(rejected)
        self._moving.subtract(elsewhere)
        self._refused.clear()
        self.stored += sum(batch.rows for batch in block) - elsewhere.total()

    def source_of(self, event_id: int) -> str:
        """From which source an event of the block that is being stored came."""
        for batch in self._backlog.front:
            if batch.ranges and event_id <= batch.last_id:
                sources = zip(ids_of(batch.ranges), source_of_each_row(batch.runs), strict=False)
                return next((source for number, source in sources if number == event_id), EARLIER)
        return EARLIER

    def balances(self, current: Batch | None) -> tuple[SourceBalance, ...]:
        """What became of everything that came, by source; of one moment.

        Args:
            current: The batch that is neither in the inbox nor in a backlog.
        """
        received, ingest = self._inbox.received, self._ingest
        here = self._backlog.counts + self._held.counts
        if current is not None and current.kind is RecordKind.EVENTS:
            here.update(rows_by_source(current.runs))
        here.subtract(self._moving)
        known = {*SOURCES[1:], *received, *here, *self._carried}
        return tuple(
            SourceBalance(
                source=source,
                carried=self._carried[source],
                received=received[source],
                stored=self._stored[source],
                rejected=self._rejected[source],
                journal=here[source],
                dropped=self._dropped[source],
                copies=ingest.copies[source],
                echoes=ingest.echoes[source],
                aside=ingest.aside[source],
            )
            for source in sorted(known)
        )


def _rows_at(block: Sequence[Batch], ids: set[int]) -> Counter[str]:
    """How many rows of ``block`` have one of ``ids``, by source."""
    if not ids:
        return Counter()
    return Counter(
        source
        for batch in block
        for number, source in zip(
            ids_of(batch.ranges), source_of_each_row(batch.runs), strict=False
        )
        if number in ids
    )
