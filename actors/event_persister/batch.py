"""A batch of rows: a ``Draft`` before it has ids, then a ``Batch`` until PostgreSQL has it (pure).

The batch holds the rows as the journal writes them. Its draft stays with it only until the events
are shown and their senders answered: batches may be pending for hours, drafts must not.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import chain, compress, repeat
from typing import Final

import msgspec

from ...runtime import DeferredReply
from ...sql.events.stream_position import StreamPosition
from ..events import Event
from ..journal.record_format import IdRange, Record, RecordKind, encode_assigned
from ..journal.rows import ids_of, join_rows, split_rows
from ..journal.stream_offset import decode_position, encode_position
from ..messages.event_persister import PersistEvents
from ..messages.heartbeat_monitor import Canary
from ..sources import EARLIER, Run, Runs, source_of_each_row

_REJECTED = b"bus.rejected\t"
_NO_IDS: Final[dict[int, tuple[IdRange, ...]]] = {}


class Request(msgspec.Struct):
    """Events that the daemon made or that were posted: who asked, and where they are in a draft."""

    message: PersistEvents
    """As it was received."""
    reply: DeferredReply | None
    """Gets a ``StoredEvent`` for each, if the sender asked."""
    start: int
    """The place of the first of them."""
    rejected: list[str | None]
    """For each: why it became a ``bus.rejected``, if so."""


class Draft:
    """Events of one batch before they have ids: columns of equal length."""

    def __init__(self) -> None:
        self.types: list[str] = []
        self.payloads: list[bytes] = []
        self.times: list[str] = []
        self.sources: list[str | None] = []
        self.prefixes: list[bytes] = []
        self.channels: dict[int, str] = {}
        """By place: channels of heartbeats whose source is not the channel's own."""
        self.payload_bytes = 0
        self.rejected = 0
        """Rows that are ``bus.rejected`` instead of what was received."""
        self.runs: list[Run] = []
        """From which sources the rows came, in order; see ``end_run``."""
        self.stream: StreamPosition | None = None
        """How far the durable stream is read with these, if any of them came from there."""
        self.aside: list[Canary | Event] = []
        """Not stored, but passed on: canaries, and durable stops that the stream will bring."""
        self.requests: list[Request] = []
        """The messages whose senders may expect an answer."""
        self._run_rows = self._run_rejected = 0

    def __len__(self) -> int:
        return len(self.types)

    def truncate(self, length: int) -> None:
        """Forget what was added after the first ``length`` events."""
        self.payload_bytes -= sum(map(len, self.payloads[length:]))
        for column in (self.types, self.payloads, self.times, self.sources, self.prefixes):
            del column[length:]
        self.channels = {at: name for at, name in self.channels.items() if at < length}

    def end_run(self, source: str) -> None:
        """All rows since the last run came from ``source``."""
        rows, rejected = len(self.types) - self._run_rows, self.rejected - self._run_rejected
        append_run(self.runs, Run(source, rows, rejected))
        self._run_rows, self._run_rejected = len(self.types), self.rejected

    def body(self) -> bytes:
        """The rows as the journal keeps them."""
        return join_rows(self.prefixes, self.payloads) if self.payloads else b""

    def events(self, ids: Iterable[int]) -> tuple[Event, ...]:
        """The events, with one id each."""
        made = map(Event, ids, self.types, self.payloads, self.times, self.sources)
        if not self.channels:
            return tuple(made)
        events = list(made)
        for at, channel in self.channels.items():
            events[at] = msgspec.structs.replace(events[at], channel=channel)
        return tuple(events)


_NO_EVENTS: Final = Draft()


class Batch:
    """What is journalled as one record: new rows, one row under a new id, or ids for held batches.

    Args:
        number: Contiguous; by it the journal recognises a batch that is offered twice.
        body: The rows in the journal's form.
        rows: How many.
        ranges: Their ids in order; empty while there are none.
        kind: What it holds.
    """

    __slots__ = (
        "assigned",
        "body",
        "draft",
        "held",
        "journalled",
        "kind",
        "moved_id",
        "number",
        "ranges",
        "rows",
        "rows_through",
        "runs",
        "shed_for",
        "stream",
    )

    def __init__(
        self,
        number: int,
        body: bytes = b"",
        rows: int = 0,
        ranges: tuple[IdRange, ...] = (),
        kind: RecordKind = RecordKind.EVENTS,
    ) -> None:
        self.number = number
        self.body = body
        self.rows = rows
        self.ranges = ranges
        self.kind = kind
        self.draft = _NO_EVENTS
        """Its events until they are shown; empty afterwards, and if it was read back."""
        self.runs: Runs = ()
        """From which sources the rows came, in order."""
        self.stream: StreamPosition | None = None
        """How far the durable stream is read by these rows, if they came from it."""
        self.journalled = False
        self.rows_through = 0
        """Rows that the journal ever took, up to and with these; 0 if it refused these."""
        self.shed_for = 0
        """By how many of the steps of giving up its rows were looked through."""
        self.moved_id = 0
        """With ``MOVED``: the id that another writer had used."""
        self.held: tuple[Batch, ...] = ()
        """With ``IDS``: the batches that get ids."""
        self.assigned: dict[int, tuple[IdRange, ...]] = _NO_IDS
        """With ``IDS``: their ids, by number."""

    @property
    def last_id(self) -> int:
        """The highest id, 0 without ids."""
        return self.ranges[-1][1] if self.ranges else 0

    def forget_events(self) -> None:
        """Free the draft: the events are shown, and their senders answered."""
        self.draft = _NO_EVENTS

    def record(self) -> Record:
        """What is journalled."""
        if self.kind is RecordKind.IDS:
            ranges = tuple(chain.from_iterable(self.assigned.values()))
            return Record(self.number, self.kind, 0, encode_assigned(self.assigned), ranges)
        offset = self.moved_id.to_bytes(8) if self.moved_id else b""
        if self.stream is not None:
            offset = encode_position(self.stream)
        return Record(
            number=self.number,
            kind=self.kind,
            rows=self.rows,
            body=self.body,
            ranges=self.ranges,
            stream_offset=offset,
            runs=self.runs,
        )

    def shed(self, is_lost: Callable[[bytes], bool]) -> Counter[str]:
        """Give up the rows that ``is_lost`` picks; returns how many of each type."""
        lost: Counter[str] = Counter()
        lines = split_rows(self.body)
        keep = [not is_lost(line) for line in lines]
        for line, kept in zip(lines, keep, strict=True):
            if not kept:
                lost[line.partition(b"\t")[0].decode()] += 1
        if lost:
            ids = compress(ids_of(self.ranges), keep)
            self.ranges = tuple((event_id, event_id) for event_id in ids)
            sources = chain(source_of_each_row(self.runs), repeat(EARLIER))
            kept_lines = list(compress(lines, keep))
            self.runs = _runs_of(kept_lines, compress(sources, keep))
            self.body = b"".join(line + b"\n" for line in kept_lines)
            self.rows = sum(keep)
        return lost


def append_run(runs: list[Run], run: Run) -> None:
    """Append ``run``; it is merged with the last one if that is of the same source."""
    if runs and runs[-1].source == run.source:
        last = runs.pop()
        run = Run(run.source, last.rows + run.rows, last.rejected + run.rejected)
    if run.rows:
        runs.append(run)


def batch_of_draft(
    draft: Draft, number: int, ranges: tuple[IdRange, ...], kind: RecordKind = RecordKind.EVENTS
) -> Batch:
    """The batch of new rows; ``ranges`` is empty while there are no ids for them."""
    batch = Batch(number, draft.body(), len(draft.types), ranges, kind)
    batch.draft, batch.runs, batch.stream = draft, tuple(draft.runs), draft.stream
    return batch


def batch_of(record: Record, ranges: tuple[IdRange, ...]) -> Batch:
    """The batch that a journal's record holds; ``ranges`` where it was journalled without ids."""
    batch = Batch(record.number, record.body, record.rows, record.ranges or ranges, record.kind)
    batch.journalled = True
    batch.rows_through = record.rows_before + record.rows
    batch.runs = record.runs
    if record.kind is RecordKind.EVENTS:
        batch.stream = decode_position(record.stream_offset)
    return batch


def _runs_of(lines: list[bytes], sources: Iterable[str]) -> Runs:
    runs: list[Run] = []
    for line, source in zip(lines, sources, strict=False):
        append_run(runs, Run(source, 1, int(line.startswith(_REJECTED))))
    return tuple(runs)
