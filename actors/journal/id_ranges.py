"""Ids for events: ranges taken from PostgreSQL's sequence in advance, so that it may be away.

A range is written to ``<data>/ids`` before an id of it is used; what a stopped or killed daemon
left over is used by the next one. An id is never given twice: after a start only those above
the highest journalled one count. Pure but for the two functions at the end.
"""

import zlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from ...protocol.files import write_atomically
from .record_format import IdRange

# Taking this many is one statement of some 60 ms.
RANGE_SIZE = 100_000
# In hand when there is nothing else to do: a burst then needs no more ids while it is stored.
IN_HAND = 5 * RANGE_SIZE
# How long PostgreSQL may be away before new events have to wait for their ids.
LAST_FOR_S = 600
# Ids are plentiful (2^63), but one call of generate_series should not take long.
MAX_IN_HAND = 5_000_000

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(tuple[IdRange, ...])


class IdRanges:
    """Unused ids, given out in ascending order."""

    def __init__(self, ranges: Iterable[IdRange] = ()) -> None:
        self._ranges: list[IdRange] = []
        self.left = 0
        """How many are left."""
        self.add(ranges)

    @property
    def ranges(self) -> tuple[IdRange, ...]:
        """The unused ranges, ascending."""
        return tuple(self._ranges)

    @property
    def highest(self) -> int:
        """The highest unused id, 0 without any."""
        return self._ranges[-1][1] if self._ranges else 0

    def add(self, ranges: Iterable[IdRange]) -> None:
        """Append ``ranges``; ids that are not above those there already are left out."""
        for first, last in ranges:
            start = max(first, self.highest + 1)
            if start <= last:
                self._ranges.append((start, last))
                self.left += last - start + 1

    def discard_through(self, highest_used: int) -> None:
        """Forget the ids up to ``highest_used``."""
        kept = [(max(first, highest_used + 1), last) for first, last in self._ranges]
        self._ranges, self.left = [], 0
        self.add(kept)

    def take(self, count: int) -> list[IdRange] | None:
        """Give the next ``count`` ids, or none at all if fewer are left."""
        if count > self.left:
            return None
        self.left -= count
        taken: list[IdRange] = []
        while count:
            first, last = self._ranges[0]
            end = min(last, first + count - 1)
            taken.append((first, end))
            count -= end - first + 1
            if end == last:
                del self._ranges[0]
            else:
                self._ranges[0] = (end + 1, last)
        return taken

    def wanted(self, *, rate_per_s: float = 0.0, idle: bool = True) -> int:
        """How many ids to fetch now, 0 if there are enough.

        Args:
            rate_per_s: Events per second of late.
            idle: Whether nothing is pending; else only half a range makes it urgent.
        """
        goal = min(MAX_IN_HAND, max(IN_HAND, int(rate_per_s * LAST_FOR_S)))
        enough = self.left + RANGE_SIZE > goal if idle else self.left > RANGE_SIZE // 2
        return 0 if enough else RANGE_SIZE


def encode_ids(ranges: Iterable[IdRange]) -> bytes:
    """Form the file: a line of JSON, a line with its checksum."""
    line = _ENCODER.encode(tuple(ranges))
    return b"%b\n%08x\n" % (line, zlib.crc32(line))


def decode_ids(data: bytes) -> tuple[IdRange, ...] | None:
    """Read the file; None if it is damaged (its ids are then never used, which is harmless)."""
    line, _, checksum = data.partition(b"\n")
    if checksum != b"%08x\n" % zlib.crc32(line):
        return None
    try:
        return _DECODER.decode(line)
    except msgspec.DecodeError:
        return None


def read_ids(path: Path) -> tuple[IdRange, ...] | None:
    """Read left-over ranges; empty if there is no file, None if it is damaged."""
    try:
        return decode_ids(path.read_bytes())
    except FileNotFoundError:
        return ()


def write_ids(path: Path, ranges: Iterable[IdRange]) -> None:
    """Replace the file in one step, durably; blocking, for the journal's worker.

    Raises:
        OSError: It cannot be written; the ranges must not be used then.
    """
    write_atomically(path, encode_ids(ranges))
