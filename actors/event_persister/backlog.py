"""Batches on their way to PostgreSQL: in memory up to a bound, beyond it in the journal (pure).

In order of number, always::

    front (in memory) ─▶ span (only in the journal) ─▶ rear (in memory: the journal refused them)

Batches that the journal refused (a full disk) live in memory alone. Above the bound the oldest
market data among them goes first, then other events, ``risk.*`` never, nor what came from the
durable stream (of which nothing is taken in while the journal refuses): so the bound may be
passed by what must not be lost.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, compress, repeat
from typing import Final

from ...sql.events.stream_position import StreamPosition
from ..journal.record_format import IdRange, Record, RecordKind, record_runs
from ..journal.rows import ids_of, split_rows
from ..journal.stream_offset import decode_position
from ..sources import LANES, Run, Runs, append_run, lane_of_each_row, rows_by_lane

MAX_BLOCK_ROWS: Final = 5_000
"""A COPY of so many rows takes some 50 ms: long enough that its fixed costs do not count."""

MARKET = b"data.market."
RISK = b"risk."
_REJECTED = b"bus.rejected\t"


class Batch:
    """Rows that were journalled (or could not be) and are not stored yet."""

    __slots__ = (
        "body",
        "journalled",
        "number",
        "ranges",
        "rows",
        "rows_through",
        "runs",
        "shed_for",
        "stream",
    )

    def __init__(self, number: int, body: bytes, rows: int, ranges: tuple[IdRange, ...]) -> None:
        self.number = number
        self.body = body
        self.rows = rows
        self.ranges = ranges
        self.journalled = False
        self.rows_through = 0
        """Rows that the journal ever took, up to and with these; 0 if it refused these."""
        self.runs: Runs = ()
        """By which lanes the rows came, in order."""
        self.stream: StreamPosition | None = None
        """How far the durable stream is read by these, if they came from it."""
        self.shed_for = 0
        """By how many of the steps of giving up its rows were looked through."""

    @property
    def last_id(self) -> int:
        """The highest id, 0 without ids."""
        return self.ranges[-1][1] if self.ranges else 0

    def shed(self, is_lost: Callable[[bytes], bool]) -> Counter[str]:
        """Give up the rows that ``is_lost`` picks; how many of each type that were."""
        lost: Counter[str] = Counter()
        lines = split_rows(self.body)
        keep = [not is_lost(line) for line in lines]
        for line, kept in zip(lines, keep, strict=True):
            if not kept:
                lost[line.partition(b"\t")[0].decode()] += 1
        if lost:
            ids = compress(ids_of(self.ranges), keep)
            self.ranges = tuple((event_id, event_id) for event_id in ids)
            lanes = chain(lane_of_each_row(self.runs), repeat(LANES[0]))
            kept_lines = list(compress(lines, keep))
            self.runs = _runs_of(kept_lines, compress(lanes, keep))
            self.body = b"".join(line + b"\n" for line in kept_lines)
            self.rows = sum(keep)
        return lost


def batch_of(record: Record, ranges: tuple[IdRange, ...]) -> Batch:
    """The batch that a journal's record holds; ``ranges`` where it was journalled without ids."""
    batch = Batch(record.number, record.body, record.rows, record.ranges or ranges)
    batch.journalled = True
    batch.rows_through = record.rows_before + record.rows
    batch.runs = record_runs(record)
    if record.kind is RecordKind.EVENTS:
        batch.stream = decode_position(record.stream_offset)
    return batch


class Backlog:
    """What is to be stored, next first.

    Args:
        max_bytes: Of rows in memory.
    """

    def __init__(self, max_bytes: int = 32 * 1024 * 1024) -> None:
        self.max_bytes = max_bytes
        self.size_bytes = 0
        self.counts: Counter[str] = Counter()
        """Rows in it, by lane: noted when they come in, and again when they go."""
        self.missing: Counter[str] = Counter()
        """Rows that the journal had and could not give back, by lane."""
        self.front: deque[Batch] = deque()
        self.span: tuple[int, int] | None = None
        """First and last number of what must be read from the journal."""
        self.rear: deque[Batch] = deque()

    def __bool__(self) -> bool:
        return bool(self.front or self.span or self.rear)

    def put(self, batch: Batch) -> None:
        """Take in a batch, whose number is above all before."""
        self.counts.update(rows_by_lane(batch.runs))
        if self.span is None and (self._has_room(batch) or not batch.journalled):
            self._keep(self.front, batch)
        elif batch.journalled:
            self._leave_to_journal(batch)
        else:
            self._keep(self.rear, batch)

    def note_journalled(self) -> None:
        """All batches in the rear are in the journal by now: memory may let go of them."""
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
            there.update(rows_by_lane(batch.runs))
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
        """The batches of ``block``, the first ones, are stored."""
        for batch in block:
            assert self.front[0] is batch  # noqa: S101 one storer, in order
            self.front.popleft()
            self.size_bytes -= len(batch.body)
            self.counts.subtract(rows_by_lane(batch.runs))

    def shed(self, *, but: int) -> Counter[str]:
        """Keep the bound: give up rows that only memory has; how many of each type that were.

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
                self.counts.subtract(rows_by_lane(batch.runs))
                lost += batch.shed(is_lost)
                batch.shed_for = step  # no second time: what is left is left for good
                self.counts.update(rows_by_lane(batch.runs))
                self.size_bytes += len(batch.body)
        if lost:
            self._drop_empty(but)
        return lost

    def _sheddable(self, but: int, step: int) -> Iterator[Batch]:
        for batch in chain(self.front, self.rear):
            if batch.shed_for < step and _is_in_memory_only(batch, but):
                yield batch

    def _drop_empty(self, but: int) -> None:
        """Batches of which nothing is left would pile up for as long as the disk refuses."""
        for where in (self.front, self.rear):
            kept = [one for one in where if one.rows or not _is_in_memory_only(one, but)]
            if len(kept) < len(where):
                where.clear()
                where.extend(kept)


def _is_in_memory_only(batch: Batch, but: int) -> bool:
    return not batch.journalled and batch.number > but and batch.stream is None


def _runs_of(lines: list[bytes], lanes: Iterable[str]) -> Runs:
    runs: list[Run] = []
    for line, lane in zip(lines, lanes, strict=False):
        append_run(runs, Run(lane, 1, int(line.startswith(_REJECTED))))
    return tuple(runs)


def _is_market(line: bytes) -> bool:
    return line.startswith(MARKET)


def _is_not_risk(line: bytes) -> bool:
    return not line.startswith(RISK)


def stream_of(block: Sequence[Batch]) -> StreamPosition | None:
    """How far the durable stream is read by ``block``, if any of it came from there."""
    return next((batch.stream for batch in reversed(block) if batch.stream is not None), None)
