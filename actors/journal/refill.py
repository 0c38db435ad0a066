"""Bring a restored database up to date: store what the journal has and the table has not.

Reads all segments there are: those of the journal, those that were kept after their rows were
committed, and what is whole in those that were set aside as damaged. For use while no daemon runs
(the journal is only read); what the journal holds as not committed yet is stored here too, which
the daemon takes for what it is: stored already.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from ...sql.errors import RefusedRows, UniqueClash
from ...sql.events.copy_text import copy_field
from ...sql.events.event_writer import EventWriter
from ..events import REJECTED, channel_of
from ..payloads import reject
from .record_format import Damage, IdRange, Record, RecordKind, decode_assigned, scan
from .rows import halves, parse_row, row_prefix, split_rows, with_ids

BLOCK_ROWS: Final = 5_000
BLOCK_BYTES: Final = 8 * 1024 * 1024
FOLDERS: Final = ("kept", ".", "damaged")


class Refilled(msgspec.Struct):
    """What was done so far."""

    rows: int = 0
    """Rows looked at."""
    stored: int = 0
    """Rows that the table lacked."""
    already: int = 0
    """Rows that it had."""
    clashes: int = 0
    """Rows whose id another row has: not stored."""
    rejected: int = 0
    """Rows that PostgreSQL refused and that became `bus.rejected`; among `stored`."""
    damaged_places: int = 0
    """Places in segments that cannot be read."""
    first_ms: int = 0
    """When the first of them was journalled (ms since the epoch); 0: there are none."""
    last_ms: int = 0
    """When the last of them was."""
    segments: int = 0
    """Segments read through."""
    of_segments: int = 0
    """Segments there are."""


class _Known(msgspec.Struct):
    """What records say about others."""

    assigned: dict[int, tuple[IdRange, ...]]
    moved: set[int]


def segments_of(journal: Path) -> list[Path]:
    """All segments, oldest record first."""
    found = [path for name in FOLDERS for path in (journal / name).glob("*.seg")]
    return sorted(found, key=lambda path: path.stem)


def refill(journal: Path, writer: EventWriter) -> Iterator[Refilled]:
    """Store what is missing, segment by segment, in order; memory for one segment.

    Args:
        journal: The journal's folder.
        writer: Which has claimed the fence.

    Raises:
        StoreError: What was stored before stays; it can be done again at any time.
        OSError: A segment cannot be read.
    """
    paths = segments_of(journal)
    known = _read_known(paths)
    done = Refilled(of_segments=len(paths))
    for path in paths:
        block: list[bytes] = []
        rows = size_bytes = 0
        for record in _records(path, done):
            lines = _rows_of(record, known, done)
            rows, size_bytes = rows + record.rows, size_bytes + len(lines)
            block.append(lines)
            if rows >= BLOCK_ROWS or size_bytes >= BLOCK_BYTES:
                _store(writer, b"".join(block), done)
                block, rows, size_bytes = [], 0, 0
        _store(writer, b"".join(block), done)
        done.segments += 1
        yield done


def _read_known(paths: list[Path]) -> _Known:
    """Ids that were given later, and ids that were given up, wherever it is said."""
    known = _Known({}, set())
    for path in paths:
        for record in _records(path, Refilled()):
            if record.kind is RecordKind.IDS:
                known.assigned.update(decode_assigned(record.body))
            elif record.kind is RecordKind.MOVED:
                known.moved.add(int.from_bytes(record.stream_offset))
    return known


def _records(path: Path, done: Refilled) -> Iterator[Record]:
    for _end, found in scan(path.read_bytes()):
        if isinstance(found, Damage):
            done.damaged_places += 1
        else:
            yield found


def _rows_of(record: Record, known: _Known, done: Refilled) -> bytes:
    """The rows of a record as COPY takes them; none without ids (the daemon will give them)."""
    ranges = record.ranges or known.assigned.get(record.number)
    if record.kind is RecordKind.IDS or not ranges:
        return b""
    done.rows += record.rows
    done.first_ms = min(done.first_ms or record.at_ms, record.at_ms)
    done.last_ms = max(done.last_ms, record.at_ms)
    rows = with_ids(record.body, ranges)
    if not known.moved:
        return rows
    kept = (line for line in split_rows(rows) if _id_of(line) not in known.moved)
    return b"".join([line + b"\n" for line in kept])


def _store(writer: EventWriter, rows: bytes, done: Refilled) -> None:
    """Store those rows of a block that are not there; one that is refused becomes an event."""
    if not rows:
        return
    count = rows.count(b"\n")
    try:
        _put(writer, rows, count, done)
    except RefusedRows as error:
        lines = split_rows(rows)
        if count == 1:
            done.rejected += 1
            _put(writer, _rejected(lines[0], str(error)), 1, done)
            return
        for half in halves(lines):
            _store(writer, half, done)


def _put(writer: EventWriter, rows: bytes, count: int, done: Refilled) -> None:
    try:
        writer.store(rows)
    except UniqueClash:
        outcome = writer.resolve(rows)
        done.stored += len(outcome.stored)
        done.already += len(outcome.already)
        done.clashes += len(outcome.clashes)
    else:
        done.stored += count


def _rejected(line: bytes, reason: str) -> bytes:
    """The row of `bus.rejected` at the id of one that PostgreSQL refuses."""
    event = parse_row(_id_of(line), line.partition(b"\t")[2])
    payload = reject(channel_of(event), event.payload, reason.partition(" Failing row")[0])
    prefix = row_prefix(REJECTED, None, event.ts)
    return b"%d\t%b%b\n" % (event.id, prefix, copy_field(payload))


def _id_of(line: bytes) -> int:
    return int(line[: line.index(b"\t")])
