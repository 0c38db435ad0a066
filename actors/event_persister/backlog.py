"""Batches on their way to PostgreSQL: in memory up to a bound, beyond it in the journal (pure).

In order of number, always::

    front (in memory) ─▶ span (only in the journal) ─▶ rear (in memory: the journal refused them)

Batches that the journal refused (a full disk) live in memory alone. Above the bound the oldest
market data among them is given up first, then other events; never ``risk.*``, nor what came from
the durable stream (of which nothing is taken in while the journal refuses). So what must not be
lost may exceed the bound.
"""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

from ...sql.events.stream_position import StreamPosition
from ..sources import rows_by_source
from .batch import Batch

MAX_BLOCK_ROWS: Final = 5_000
"""A COPY of this many rows takes some 50 ms: long enough that its fixed costs do not count."""

MARKET = b"data.market."
RISK = b"risk."


class Backlog:
    """What is to be stored, next first.

    Args:
        max_bytes: Of rows in memory.
    """

    def __init__(self, max_bytes: int = 32 * 1024 * 1024) -> None:
        self.max_bytes = max_bytes
        self.size_bytes = 0
        self.counts: Counter[str] = Counter()
        """Rows in it, by source: counted up when they come in, and down when they go."""
        self.missing: Counter[str] = Counter()
        """Rows that the journal had and could not give back, by source."""
        self.front: deque[Batch] = deque()
        self.span: tuple[int, int] | None = None
        """First and last number of what must be read from the journal."""
        self.rear: deque[Batch] = deque()

    def __bool__(self) -> bool:
        return bool(self.front or self.span or self.rear)

    def put(self, batch: Batch) -> None:
        """Take in a batch, whose number is above all before."""
        for run in batch.runs:
            self.counts[run.source] += run.rows
        if self.span is None and (self._has_room(batch) or not batch.journalled):
            self._keep(self.front, batch)
        elif batch.journalled:
            self._leave_to_journal(batch)
        else:
            self._keep(self.rear, batch)

    def note_journalled(self) -> None:
        """All batches in the rear are in the journal by now: memory may forget them."""
        while self.rear:
            batch = self.rear.popleft()
            self.size_bytes -= len(batch.body)
            self._leave_to_journal(batch)

    def _has_room(self, batch: Batch) -> bool:
        return not self.front or self.size_bytes + len(batch.body) <= self.max_bytes

    def _keep(self, where: deque[Batch], batch: Batch) -> None:
        where.append(batch)
        self.size_bytes += len(batch.body)

    def _leave_to_journal(self, batch: Batch) -> None:
        first = self.span[0] if self.span else batch.number
        self.span = (first, batch.number)

    def needs_reading(self) -> bool:
        """Whether the next batch is only in the journal."""
        return not self.front and self.span is not None

    def take_read(self, batch: Batch | None) -> None:
        """Take in what was read from the journal: the next batch of the span, None at its end."""
        if batch is None or self.span is None:
            self.span = None
        else:
            self._keep(self.front, batch)
            self.span = (batch.number + 1, self.span[1]) if batch.number < self.span[1] else None
        if self.span is None:
            self._note_missing()

    def _note_missing(self) -> None:
        """All of the span was read: what came in and is not here was damaged meanwhile."""
        there: Counter[str] = Counter()
        for batch in (*self.front, *self.rear):
            there.update(rows_by_source(batch.runs))
        gone = self.counts - there
        self.missing += gone
        self.counts.subtract(gone)

    def next_block(self, max_rows: int, max_bytes: int = 8 * 1024 * 1024) -> list[Batch]:
        """The batches to store next, within both bounds together (or one batch)."""
        if not self.front and self.span is None:
            self.front, self.rear = self.rear, self.front
        block: list[Batch] = []
        rows = size_bytes = 0
        for batch in self.front:
            rows += batch.rows
            size_bytes += len(batch.body)
            if block and (rows > max_rows or size_bytes > max_bytes):
                break
            block.append(batch)
        return block

    def done(self, block: list[Batch]) -> None:
        """Remove the batches of ``block``, the first ones: they are stored."""
        for batch in block:
            assert self.front[0] is batch  # noqa: S101 one storer, in order
            self.front.popleft()
            self.size_bytes -= len(batch.body)
            self.counts.subtract(rows_by_source(batch.runs))

    def shed(self, *, but: int) -> Counter[str]:
        """Keep the bound: give up rows that only memory has; returns how many of each type.

        Args:
            but: Batches up to this number stay whole (they are being stored).
        """
        lost: Counter[str] = Counter()
        if self.size_bytes <= self.max_bytes:
            return lost
        for step, is_lost in enumerate((_is_market, _is_not_risk), start=1):
            for batch in self._sheddable(but, step):
                if self.size_bytes <= self.max_bytes:
                    break
                self.size_bytes -= len(batch.body)
                self.counts.subtract(rows_by_source(batch.runs))
                lost += batch.shed(is_lost)
                batch.shed_for = step  # no second time: what is left is left for good
                self.counts.update(rows_by_source(batch.runs))
                self.size_bytes += len(batch.body)
        if lost:
            self._drop_empty(but)
        return lost

    def _sheddable(self, but: int, step: int) -> Iterator[Batch]:
        for batch in chain(self.front, self.rear):
            if batch.shed_for < step and _is_in_memory_only(batch, but):
                yield batch

    def _drop_empty(self, but: int) -> None:
        """Remove empty batches: they would pile up for as long as the disk refuses."""
        for where in (self.front, self.rear):
            kept = [one for one in where if one.rows or not _is_in_memory_only(one, but)]
            if len(kept) < len(where):
                where.clear()
                where.extend(kept)


def _is_in_memory_only(batch: Batch, but: int) -> bool:
    return not batch.journalled and batch.number > but and batch.stream is None


def _is_market(line: bytes) -> bool:
    return line.startswith(MARKET)


def _is_not_risk(line: bytes) -> bool:
    return not line.startswith(RISK)


def stream_of(block: Sequence[Batch]) -> StreamPosition | None:
    """How far the durable stream is read by ``block``, if any of it came from there."""
    return next((batch.stream for batch in reversed(block) if batch.stream is not None), None)
