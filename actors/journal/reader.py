"""Reads the journal back: its end at the opening, then all of it while it is being written.

A journal may hold gigabytes when its daemon starts. Where new records go, and which ids they may
have, follows from the head and from what was appended last; that is what ``find_end`` reads. What
else there is takes reading the whole journal, which has time (``survey``).
"""

import errno
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import structlog

from .record_format import Damage, Head, Record, RecordKind, decode_assigned, records_in, scan
from .survey import Segment

# So fails what will not be better the next time; too many open files or no permission may be.
_GONE: Final = frozenset({errno.EIO, errno.ENOENT, errno.EISDIR, errno.EBADMSG})

_log = structlog.get_logger(actor="EventPersister")


class JournalReader:
    """Reads records in order, one segment's bytes in memory at a time.

    It may reach the end while records are still being appended, and go on later. What it finds
    damaged is passed over, and its segment set aside instead of deleted, as after the survey.

    Args:
        segments: The journal's, oldest first.
        work: Runs a job in the journal's worker and waits for it.
        after: Reading begins with the record after this number.
    """

    def __init__(
        self, segments: Sequence[Segment], work: Callable[..., Any], *, after: int
    ) -> None:
        self.number = after
        """The last record read."""
        self._segments = segments
        self._work = work
        self._first_number = 0
        self._offset = 0
        self._records: list[Record] = []
        self._met = after
        self._unjudged: Segment | None = None

    def next(self) -> Record | None:
        """The next record, None at the end; waits for the worker where it must read.

        Raises:
            OSError: The disk does not give it now; try again.
        """
        while not self._records:
            if not self._work(self._load):
                return None
        record = self._records.pop()
        self.number = record.number
        return record

    def _load(self) -> bool:
        """Read what comes next into memory, in the worker; say whether there was anything."""
        for segment in self._segments:
            if segment.last_number <= self.number:
                continue
            if segment.first_number != self._first_number:
                self._first_number, self._offset = segment.first_number, 0
            self._read(segment)
            if self._records:
                return True
        return False

    def _read(self, segment: Segment) -> None:
        try:
            with segment.path.open("rb") as file:
                file.seek(self._offset)
                data = file.read(segment.size_bytes - self._offset)
        except OSError as error:
            if error.errno not in _GONE:
                raise
            path = str(segment.path)
            _log.error("a segment of the journal is lost", path=path, reason=str(error))
            segment.damaged = True
            return
        self._offset += len(data)
        found = [self._judge(segment, one) for _end, one in scan(data)]
        if self._unjudged is segment and self._met < segment.last_number:
            segment.damaged = True
        found.reverse()
        self._records = [one for one in found if one is not None and one.number > self.number]

    def _judge(self, segment: Segment, found: Record | Damage) -> Record | None:
        """What is no record was one if a number is missing; else an append was cut short there."""
        if isinstance(found, Damage):
            self._unjudged = self._unjudged or segment
            return None
        if self._unjudged is not None and found.number > self._met + 1:
            self._unjudged.damaged = True
        self._unjudged = None
        self._met = found.number
        return found


class JournalEnd(msgspec.Struct):
    """Where a journal goes on."""

    head: Head
    """As the head file has it, and what was appended since it was written."""
    bare_from: int | None = None
    """The journal ends with records that have no ids: one of the first of these; else None."""


def find_end(head: Head | None, segments: Sequence[Segment]) -> JournalEnd:
    """Read backwards until it is known where the journal goes on: one segment, as a rule.

    Notes in each segment it reads which record is its last.

    Args:
        head: None if it is lost; then records are taken for uncommitted from the first segment on.
        segments: Oldest first.

    Raises:
        OSError: A segment cannot be read.
    """
    known = head or _without_head(segments)
    end: deque[Record] = deque()
    for segment in reversed(segments):
        records = _records(segment)
        segment.last_number = records[-1].number if records else 0
        end.extendleft(reversed(records))
        if segment.first_number <= known.last_number + 1 and _suffices(known, segment, end):
            break
    return JournalEnd(_advanced(known, end), _bare_from(known, end))


def _without_head(segments: Sequence[Segment]) -> Head:
    """Nothing that is there is known to be committed; the last record is that of the last file."""
    if not segments:
        return Head()
    rows_before = next((record.rows_before for record in _records(segments[0])), 0)
    return Head(
        last_number=segments[-1].first_number - 1,
        committed_number=segments[0].first_number - 1,
        committed_rows=rows_before,
    )


def _records(segment: Segment) -> list[Record]:
    """A segment's records, without the rows."""
    return [
        record if record.kind is RecordKind.IDS else msgspec.structs.replace(record, body=b"")
        for record in records_in(segment.path.read_bytes())
    ]


def _suffices(head: Head, segment: Segment, end: Sequence[Record]) -> bool:
    said = any(record.rows and record.kind is RecordKind.EVENTS for record in end)
    return said or segment.first_number <= head.committed_number


def _advanced(head: Head, end: Sequence[Record]) -> Head:
    def highest(known: int, found: list[int]) -> int:
        return max(known, *found, 0)

    return msgspec.structs.replace(
        head,
        last_number=highest(
            max(head.last_number, head.committed_number), [record.number for record in end]
        ),
        highest_id=highest(head.highest_id, [record.last_id for record in end]),
        last_at_ms=highest(head.last_at_ms, [record.at_ms for record in end]),
        rows_total=highest(head.rows_total, [record.rows_before + record.rows for record in end]),
    )


def _bare_from(head: Head, end: Sequence[Record]) -> int | None:
    bare: dict[int, None] = {}
    for record in end:
        if record.kind is RecordKind.IDS:
            for number in decode_assigned(record.body):
                bare.pop(number, None)
        elif record.ranges and record.kind is RecordKind.EVENTS:
            bare.clear()
        elif record.rows and not record.ranges and record.number > head.committed_number:
            bare[record.number] = None
    return next(iter(bare), None)
