"""The journal's bytes: records, segments and the head, without any I/O.

A segment is records one after the other, in this order of bytes (little-endian)::

    magic      8   bytes that no UTF-8 text contains, so no payload can pretend to be a record
    length     4   of all that follows the checksum
    checksum   4   crc32 of all that follows
    version    1   of this format
    kind       1   see RecordKind
    ranges     2   how many ranges of ids follow the header
    offset     2   how many bytes of stream offset follow the ranges
    runs       2   how many runs follow the stream offset
    number     8   contiguous from 1; a batch offered twice has the same number
    at         8   when it was journalled, in milliseconds since the epoch
    before     8   rows journalled before this record, ever: says how many a lost record held
    rows       4   lines of the body
    …              ranges (first, last: 8 + 8 each), stream offset, runs (from which source,
                   how many rows, how many of them bus.rejected: 4 + 4 + 4 each), body

The body is rows as COPY's text format, without the id (see ``rows``). A damaged place costs what
it covers, no more: reading goes on at the next magic. The head is two slots, written in turn,
so that one of them is always whole; it says what the last record was, so that a missing end
of the last segment is noticed too. (docs/adr/0002.)
"""

import struct
import zlib
from collections.abc import Iterator
from enum import IntEnum
from typing import TypeAlias

import msgspec

from ..sources import SOURCES, Run, Runs

MAGIC = b"\xff\xfeOJNL\xfd\xfc"
FORMAT_VERSION = 2
# A length beyond this is damage: a batch has at most 1,000 rows and, but for escaped payloads, a
# few MiB.
MAX_RECORD_BYTES = 64 * 1024 * 1024
# Disks write sectors of at least 512 bytes whole.
SLOT_BYTES = 512

_PREFIX = struct.Struct("<8sII")
_HEADER = struct.Struct("<BBHHHQQQI")
_RANGE = struct.Struct("<QQ")
_RUN = struct.Struct("<III")
_ASSIGNED = struct.Struct("<QQQ")
_HEAD = struct.Struct("<4sIQQQQQQQQI")
_HEAD_MAGIC = b"OJHD"
_HEAD_VERSION = 1
_CRC = struct.Struct("<I")
_SOURCE_CODES = {source: code for code, source in enumerate(SOURCES)}

IdRange: TypeAlias = tuple[int, int]
"""First and last id, both included."""


class RecordKind(IntEnum):
    """What a record holds."""

    EVENTS = 1
    """Rows, with their ids or (none at hand) without."""
    IDS = 2
    """The ids of records that were journalled without."""
    MOVED = 3
    """A row whose id another writer had used, with its new id; the offset is the old id."""


_KINDS = frozenset(RecordKind)


class Record(msgspec.Struct, frozen=True, gc=False):
    """One batch as the journal keeps it."""

    number: int
    """Contiguous from 1, in the order of receipt."""
    kind: RecordKind
    """What it holds."""
    rows: int
    """Lines of ``body``."""
    body: bytes
    """Rows in COPY's text format without the id, a newline after each; or packed assignments."""
    ranges: tuple[IdRange, ...] = ()
    """The rows' ids in order; empty if none were at hand."""
    at_ms: int = 0
    """When it was journalled, in milliseconds since the epoch."""
    stream_offset: bytes = b""
    """Where in a stream the batch ends; empty for what came by PUBLISH."""
    rows_before: int = 0
    """Rows journalled before this record, ever; the journal sets it."""
    runs: Runs = ()
    """From which sources its rows came, in order."""

    @property
    def last_id(self) -> int:
        """The highest id in it, 0 without ids."""
        return self.ranges[-1][1] if self.ranges else 0


class Damage(msgspec.Struct, frozen=True):
    """A place in a segment that is not a record."""

    offset: int
    """Where it begins."""
    size_bytes: int
    """How far the next whole record (or the end) is."""
    reason: str
    """What was wrong at its beginning."""


class Head(msgspec.Struct, frozen=True):
    """What the journal knows of itself."""

    sequence: int = 0
    """Rises by one with each writing; its parity says which slot."""
    last_number: int = 0
    """The last record appended."""
    highest_id: int = 0
    """The highest id journalled."""
    rows_total: int = 0
    """Rows journalled, ever."""
    committed_number: int = 0
    """All records up to this one are committed in PostgreSQL."""
    committed_id: int = 0
    """All our ids up to this one are committed in PostgreSQL."""
    committed_rows: int = 0
    """Rows of the records up to ``committed_number``."""
    last_at_ms: int = 0
    """When the last record was journalled, in milliseconds since the epoch; 0 if never."""


def encode(record: Record) -> tuple[bytes, bytes]:
    """Form ``record`` as (everything before the body, the body), to be written as they are."""
    header = _HEADER.pack(
        FORMAT_VERSION,
        record.kind,
        len(record.ranges),
        len(record.stream_offset),
        len(record.runs),
        record.number,
        record.at_ms,
        record.rows_before,
        record.rows,
    )
    ranges = b"".join(_RANGE.pack(first, last) for first, last in record.ranges)
    runs = b"".join(
        _RUN.pack(_SOURCE_CODES.get(run.source, 0), run.rows, run.rejected) for run in record.runs
    )
    front = header + ranges + record.stream_offset + runs
    checksum = zlib.crc32(record.body, zlib.crc32(front))
    length = len(front) + len(record.body)
    return _PREFIX.pack(MAGIC, length, checksum) + front, record.body


def decode(data: bytes, offset: int) -> tuple[Record, int] | str:
    """Read the record at ``offset``: it and where it ends, or what is wrong there."""
    if len(data) - offset < _PREFIX.size + _HEADER.size:
        return "cut off"
    magic, length, checksum = _PREFIX.unpack_from(data, offset)
    if magic != MAGIC:
        return "no magic"
    if not _HEADER.size <= length <= MAX_RECORD_BYTES:
        return "impossible length"
    start = offset + _PREFIX.size
    if start + length > len(data):
        return "cut off"
    return _checked(data, start, start + length, checksum)


def _checked(data: bytes, start: int, end: int, checksum: int) -> tuple[Record, int] | str:
    if zlib.crc32(memoryview(data)[start:end]) != checksum:
        return "wrong checksum"
    version, kind = data[start], data[start + 1]
    if version != FORMAT_VERSION or kind not in _KINDS:
        return f"written by another version (format {version}, kind {kind})"
    return _record(data, start, end), end


def _record(data: bytes, start: int, end: int) -> Record:
    fields = _HEADER.unpack_from(data, start)
    _version, kind, range_count, offset_size, run_count, number, at_ms, rows_before, rows = fields
    ranges_at = start + _HEADER.size
    offset_at = ranges_at + range_count * _RANGE.size
    runs_at = offset_at + offset_size
    body_at = runs_at + run_count * _RUN.size
    return Record(
        number=number,
        kind=RecordKind(kind),
        rows=rows,
        body=data[body_at:end],
        ranges=tuple(_RANGE.iter_unpack(data[ranges_at:offset_at])),
        at_ms=at_ms,
        stream_offset=data[offset_at:runs_at],
        rows_before=rows_before,
        runs=tuple(
            Run(SOURCES[code], rows, rejected)
            for code, rows, rejected in _RUN.iter_unpack(data[runs_at:body_at])
        ),
    )


def scan(data: bytes, offset: int = 0) -> Iterator[tuple[int, Record | Damage]]:
    """Read a segment from ``offset``: each record, or damage, with the place where it ends."""
    while offset < len(data):
        found = decode(data, offset)
        if isinstance(found, str):
            resume = _next_record(data, offset + 1)
            yield resume, Damage(offset, resume - offset, found)
            offset = resume
        else:
            record, offset = found
            yield offset, record


def records_in(data: bytes) -> list[Record]:
    """The whole records of a segment."""
    return [found for _end, found in scan(data) if isinstance(found, Record)]


def _next_record(data: bytes, offset: int) -> int:
    """Where the next whole record begins; the end of ``data`` if there is none."""
    while (offset := data.find(MAGIC, offset)) != -1:
        if not isinstance(decode(data, offset), str):
            return offset
        offset += 1
    return len(data)


def encode_assigned(assigned: dict[int, tuple[IdRange, ...]]) -> bytes:
    """Form the body of an IDS record: the ranges that each record number got."""
    return b"".join(
        _ASSIGNED.pack(number, first, last)
        for number, ranges in assigned.items()
        for first, last in ranges
    )


def decode_assigned(body: bytes) -> dict[int, tuple[IdRange, ...]]:
    """Read the body of an IDS record."""
    assigned: dict[int, tuple[IdRange, ...]] = {}
    for number, first, last in _ASSIGNED.iter_unpack(body):
        assigned[number] = (*assigned.get(number, ()), (first, last))
    return assigned


def encode_head(head: Head) -> tuple[int, bytes]:
    """Form ``head`` as (where in the file, what)."""
    values = msgspec.structs.astuple(head)
    packed = _HEAD.pack(_HEAD_MAGIC, _HEAD_VERSION, *values, 0)[: -_CRC.size]
    return head.sequence % 2 * SLOT_BYTES, packed + _CRC.pack(zlib.crc32(packed))


def decode_head(data: bytes) -> Head | None:
    """Read the newest whole slot of a head file; none, if there is no whole one."""
    slots = (_slot(data[:SLOT_BYTES]), _slot(data[SLOT_BYTES:]))
    whole = [slot for slot in slots if slot is not None]
    return max(whole, key=lambda head: head.sequence, default=None)


def _slot(data: bytes) -> Head | None:
    if len(data) < _HEAD.size:
        return None
    magic, version, *values, checksum = _HEAD.unpack_from(data)
    if magic != _HEAD_MAGIC or version != _HEAD_VERSION:
        return None
    if zlib.crc32(data[: _HEAD.size - _CRC.size]) != checksum:
        return None
    return Head(*values)


def holds_rows(record: Record) -> bool:
    """Whether ``record`` is one to store, not one about others."""
    return record.kind is not RecordKind.IDS
