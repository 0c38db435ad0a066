"""What the last segments of a journal say: enough to go on writing behind them.

A journal may hold gigabytes when its daemon starts. Where new records go, and which ids they may
have, follows from the head and from what was appended last; all else is found by reading the whole
journal, which has time (``Inventory``).
"""

from collections import deque
from collections.abc import Sequence

import msgspec

from .record_format import Head, Record, RecordKind, decode_assigned, records_in
from .survey import Segment


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
