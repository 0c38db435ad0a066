"""What a journal's segments hold, found by reading all of them once; no I/O.

Numbers are contiguous, so what is missing shows: between two records, before the first (all above
the committed one must be there) and after the last (the head says which that was). A
place that is no record and where no number is missing is the end of an append that was cut short
before it counted: torn, and nothing is lost by it. Nor is it where numbers are missing between two
records, no rows, and nothing is damaged: those batches were given up before the disk took them.
(But where records wait for ids, one that gives some may be missing.)

Ids are given in the order of receipt. So where a record without ids has one with ids after it, the
record that gave it its ids is damaged; which they were is unknown, and its rows count as missing.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec

from ...sql.events.stream_position import StreamPosition
from ..sources import rows_by_source
from .record_format import (
    Damage,
    Head,
    IdRange,
    Record,
    RecordKind,
    decode_assigned,
    scan,
)
from .stream_offset import decode_position


class JournalReport(msgspec.Struct):
    """What opening found; all counts are of this opening."""

    records: int = 0
    """Whole records."""
    damaged_places: int = 0
    """Places where records were and are not readable any more."""
    damaged_bytes: int = 0
    """Their size; their segments are set aside, not deleted."""
    missing_records: int = 0
    """Records that were appended, are not known to be stored, and are not there (or their ids)."""
    missing_rows: int = 0
    """The rows they held."""
    torn_bytes: int = 0
    """Appends that were cut short before they counted: nothing is lost by them."""
    head_lost: bool = False
    """Neither slot of the head is whole although there are segments."""


class Segment(msgspec.Struct):
    """One file of the journal."""

    path: Path
    """Where it is; named by its first record's number."""
    last_number: int = 0
    """Its last record, 0 if it has none; before it is read: none after this one is in it."""
    size_bytes: int = 0
    """As far as it has been written."""
    damaged: bool = False
    """Whether it is set aside instead of deleted."""

    @property
    def first_number(self) -> int:
        """The record it was begun for."""
        return int(self.path.stem)


def segment_name(number: int) -> str:
    """The name of a segment that begins with record ``number``; names sort as numbers do."""
    return f"{number:020d}.seg"


class Inventory:
    """Takes segments in order, then says what there is and what is not.

    Args:
        head: What the head file says; None if it is lost.
        first_number: The first segment's, None without segments.
        heed: Called with each record, once it was noted.
    """

    def __init__(
        self,
        head: Head | None,
        first_number: int | None,
        heed: Callable[[Record], object] = lambda _record: None,
    ) -> None:
        self.report = JournalReport(head_lost=head is None and first_number is not None)
        self.head = head or Head(committed_number=(first_number or 1) - 1)
        self.assigned: dict[int, tuple[IdRange, ...]] = {}
        """Ids given later, by the numbers of the records that were journalled without."""
        self.moved: set[int] = set()
        """Ids whose rows were journalled again under new ids."""
        self.stream: StreamPosition | None = None
        """How far the durable stream was read."""
        self.uncommitted: Counter[str] = Counter()
        """Rows of records that are not known to be committed, by source."""
        self.moved_rows: Counter[str] = Counter()
        """Rows that such a record holds and that were journalled again, by source."""
        self.first_id: int | None = None
        """The first id of those records, if there is one."""
        self.highest_id = self.head.highest_id
        self.last_at_ms = self.head.last_at_ms
        self._heed = heed
        self._bare: dict[int, tuple[Segment, Record]] = {}
        behind_committed = self.head.committed_number + 1
        self._expected = min(behind_committed, first_number or behind_committed)
        at_committed = self._expected == behind_committed and not self.report.head_lost
        self._rows = self.head.committed_rows if at_committed else None
        self._unjudged: list[tuple[Segment, Damage]] = []

    @property
    def unassigned(self) -> list[int]:
        """Records that have no ids yet, in order."""
        return list(self._bare)

    @property
    def unassigned_rows(self) -> Counter[str]:
        """Their rows, by source."""
        counts: Counter[str] = Counter()
        for _segment, record in self._bare.values():
            counts += rows_by_source(record.runs)
        return counts

    def add(self, segment: Segment, data: bytes) -> None:
        """Read one segment."""
        last_number = 0
        for _end, found in scan(data):
            if isinstance(found, Damage):
                self._unjudged.append((segment, found))
            else:
                last_number = max(last_number, found.number)
                self._note(segment, found)
                self._heed(found)
        segment.last_number = last_number

    def add_unreadable(self, segment: Segment, reason: str) -> None:
        """Take a segment that the disk does not give back: damaged as a whole."""
        self._unjudged.append((segment, Damage(0, segment.size_bytes, reason)))

    def finish(self) -> Head:
        """Judge the end; the head to go on from."""
        rows_total = self.head.rows_total
        self._judge(self.head.last_number + 1, rows_total)
        last_number = max(self.head.last_number, self._expected - 1, self.head.committed_number)
        return msgspec.structs.replace(
            self.head,
            last_number=last_number,
            highest_id=self.highest_id,
            last_at_ms=self.last_at_ms,
            rows_total=max(rows_total, self._rows or 0),
        )

    def _note(self, segment: Segment, record: Record) -> None:
        if self._unjudged or self._bare or record.rows_before != self._rows:
            self._judge(record.number, record.rows_before)
        self.report.records += 1
        self.last_at_ms = max(self.last_at_ms, record.at_ms)
        self.highest_id = max(self.highest_id, record.last_id)
        self._expected = max(self._expected, record.number + 1)
        self._rows = record.rows_before + record.rows
        if record.kind is RecordKind.IDS:
            self._note_assigned(decode_assigned(record.body))
            return
        if record.number > self.head.committed_number:
            self.uncommitted += rows_by_source(record.runs)
            self._note_ids(segment, record)
        if record.kind is RecordKind.MOVED:
            self._note_moved(record)
        else:
            self._note_position(record)

    def _note_ids(self, segment: Segment, record: Record) -> None:
        if not record.rows:
            return
        if not record.ranges:
            # Without the body: there may be a gigabyte of them.
            self._bare[record.number] = segment, msgspec.structs.replace(record, body=b"")
            return
        self.first_id = self.first_id or record.ranges[0][0]
        if record.kind is RecordKind.EVENTS:
            self._give_up_bare()

    def _give_up_bare(self) -> None:
        """Records with ids follow, so these had got theirs; but not by any record that is whole."""
        for segment, record in self._bare.values():
            segment.damaged = True
            self.report.missing_records += 1
            self.report.missing_rows += record.rows
            self.uncommitted -= rows_by_source(record.runs)
        self._bare.clear()

    def _note_moved(self, record: Record) -> None:
        old_id = int.from_bytes(record.stream_offset)
        if old_id > self.head.committed_id and old_id not in self.moved:
            self.moved_rows += rows_by_source(record.runs)
        self.moved.add(old_id)

    def _note_position(self, record: Record) -> None:
        position = decode_position(record.stream_offset)
        if position is not None and (self.stream is None or position > self.stream):
            self.stream = position

    def _note_assigned(self, assigned: dict[int, tuple[IdRange, ...]]) -> None:
        self.assigned.update(assigned)
        for number, ranges in assigned.items():
            if self._bare.pop(number, None) is not None:
                self.first_id = self.first_id or ranges[0][0]

    def _judge(self, number: int, rows_before: int) -> None:
        """Compare the number that comes next with the one expected."""
        if number > self._expected:
            first_needed = max(self._expected, self.head.committed_number + 1)
            missing = max(0, number - first_needed)
            self.report.missing_records += missing
            if missing and self._rows is not None:
                self.report.missing_rows += max(0, rows_before - self._rows)
        for segment, damage in self._unjudged:
            if number > self._expected:
                segment.damaged = True
                self.report.damaged_places += 1
                self.report.damaged_bytes += damage.size_bytes
            else:
                self.report.torn_bytes += damage.size_bytes
        self._unjudged.clear()
