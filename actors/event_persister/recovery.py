"""What is read back from the journal, and what is saved into it at the end.

At the start, what the journal holds and PostgreSQL may not have is shown again. First the newest of
it, as much as the window holds: all consumers get it as if it came in now (they recognise what they
have seen before). Only the end of the journal is read for that. Then, concurrently with everything
else, the whole journal is read (``survey``): of what is older only stops are passed on, to the
keeper of stops; one that was journalled before the daemon was killed must engage. All of it is
stored from the backlog, which a ``Loader`` fills.

At the end (``sweep``), what is left in the persister's mailbox is journalled: actors that stop
after it may still have sent something, and a disk that hangs may have kept it from journalling all
it took in. The next daemon stores it. What the disk does not take even then is lost: it becomes a
dead letter and is counted in the log.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import structlog

from ...runtime import Address, give_way
from ..events import KILLSWITCH, REJECTED, Event
from ..journal.reader import JournalReader
from ..journal.record_format import (
    IdRange,
    Record,
    RecordKind,
    decode_assigned,
    holds_rows,
    records_in,
)
from ..journal.rows import ids_of, parse_row, parse_rows, split_rows
from ..journal.survey import Inventory, Segment
from ..messages.event_persister import PersistEvents, PersistReplies
from .backlog import MAX_BLOCK_ROWS, Backlog
from .batch import Batch, batch_of
from .pipeline import Pipeline
from .state import PersisterState

MAX_READ_BYTES: Final = 8 * 1024 * 1024
"""Read ahead, in memory."""

SWEEP_LIMIT_S: Final = 3.0
PASSED_AT_ONCE: Final = 100
"""Stops of the journal; of more than it has room for, the Killswitch's mailbox drops the oldest."""
_LOST: Final = "the daemon has stopped, and the disk did not take it"

_STOP: Final = KILLSWITCH.encode()
_STOP_LINES: Final = (_STOP + b"\t", REJECTED.encode() + b"\t")

_log = structlog.get_logger(actor="EventPersister")

Kept = tuple[Record, tuple[IdRange, ...]]
"""A record and its ids."""


def survey(
    state: PersisterState,
    heed: Callable[[Record], object] = lambda _record: None,
    pause: Callable[[], object] = lambda: None,
) -> None:
    """Read the whole journal, once; waits as long as that takes. Then what it holds can be stored.

    Args:
        state: Opened; goes on with what is found.
        heed: Called with each record, in a thread of its own.
        pause: Called after each segment; may yield.
    """
    if state.surveyed:
        return
    found = state.journal.survey(heed, pause)
    _take_over(state, found)
    report = found.report
    if report.missing_records or report.damaged_places or report.head_lost:
        _log.error("the journal is damaged", **msgspec.structs.asdict(report))


def _take_over(state: PersisterState, found: Inventory) -> None:
    """Go on with what the survey found; does not yield."""
    state.surveyed = True
    state.assigned = found.assigned | state.assigned
    state.moved |= found.moved
    known = (state.stream_known, found.stream)
    state.stream_known = max(filter(None, known), default=None)
    if found.unassigned and state.held.span is not None:
        state.set_backlog_end(found.unassigned[0])
        state.held.span = (found.unassigned[0], state.held.span[1])
    if found.first_id is not None:
        state.note_first_uncommitted(found.first_id)
    state.reconciliation.take_over(found)
    state.to_store.set()
    state.to_journal.set()


class Newest:
    """Reads the journal's end backwards, with memory for a window's worth.

    Args:
        state: Its window is filled.
        show: Offers events to the consumers; does not yield.
    """

    def __init__(self, state: PersisterState, show: Callable[[tuple[Event, ...]], None]) -> None:
        self._state = state
        self._show = show
        self._kept: deque[Kept] = deque()
        self._rows = 0
        self._read_bytes = 0
        self._assigned: dict[int, tuple[IdRange, ...]] = {}
        self.rows = 0
        """Rows that were shown again."""

    def show(self) -> None:
        """Read and show; waits for the disk and yields."""
        state = self._state
        floor_id: int | None = state.committed_id or None
        if not self._read():
            # What is older is there, but unreadable before it is committed.
            highest_id = state.journal.head.highest_id
            floor_id = self._kept[0][1][0][0] - 1 if self._kept else highest_id or None
        elif self._kept:
            state.note_first_uncommitted(self._kept[0][1][0][0])
            floor_id = state.committed_id
        state.window.reset(floor_id)
        state.shown_from_id = (floor_id or 0) + 1
        self._show_kept()
        state.shown_again = True

    def _read(self) -> bool:
        """Keep the newest records; whether these are all that are not committed."""
        journal = self._state.journal
        for segment in reversed(journal.segments):
            if segment.last_number > journal.head.committed_number:
                for record in reversed(journal.work(_records, segment)):
                    if not self._keep(record):
                        return False
            give_way()
        return True

    def _keep(self, record: Record) -> bool:
        """Keep a record in front of the others; False if there is no room for it."""
        window = self._state.window
        if record.number <= self._state.journal.head.committed_number:
            return True
        if record.kind is RecordKind.IDS:
            self._assigned |= decode_assigned(record.body)
            return True
        ranges = record.ranges or self._assigned.get(record.number)
        self._read_bytes += len(record.body)
        if self._read_bytes > window.max_bytes // 2 or self._rows + record.rows > window.max_events:
            return False
        if ranges:
            self._kept.appendleft((record, ranges))
            self._rows += record.rows
        return True

    def _show_kept(self) -> None:
        while self._kept:
            record, ranges = self._kept.popleft()
            events = parse_rows(record.body, ranges)
            self._state.window.append(events, len(record.body))
            self._show(events)
            self.rows += len(events)
            give_way()


class Stops:
    """Finds stops in records, in the thread that reads them; passes them on in the loop's.

    Only such as are not known to be committed and were not shown again already.

    Args:
        state: Says which these are.
        found: Called with each, by ``pass_on``.
    """

    def __init__(self, state: PersisterState, found: Callable[[Event], object]) -> None:
        self._on_found = found
        self._after = state.stored_number
        self._through_id = state.shown_from_id - 1
        self._bare: dict[int, list[tuple[int, bytes]]] = {}
        self._found: deque[Event] = deque()

    def heed(self, record: Record) -> None:
        """Look through a record."""
        if record.kind is RecordKind.IDS:
            for number, ranges in decode_assigned(record.body).items():
                self._note(self._bare.pop(number, ()), ranges)
        elif record.number > self._after and _STOP in record.body:
            lines = enumerate(split_rows(record.body))
            stops = [(at, line) for at, line in lines if _is_stop(line)]
            if record.ranges:
                self._note(stops, record.ranges)
            else:
                self._bare[record.number] = stops

    def _note(self, stops: Sequence[tuple[int, bytes]], ranges: tuple[IdRange, ...]) -> None:
        if stops:
            ids = tuple(ids_of(ranges))
            found = (parse_row(ids[at], line) for at, line in stops)
            self._found += (event for event in found if event.id <= self._through_id)

    def pass_on(self) -> None:
        """Pass on what was found since; yields."""
        give_way()
        while self._found:
            for _ in range(min(PASSED_AT_ONCE, len(self._found))):
                self._on_found(self._found.popleft())
            give_way()


def _is_stop(line: bytes) -> bool:
    return line.startswith(_STOP_LINES) and _STOP in line


def _records(segment: Segment) -> list[Record]:
    return records_in(segment.path.read_bytes())


class Loader:
    """Reads the part of a backlog that is only in the journal; belongs to one run."""

    def __init__(self, state: PersisterState, backlog: Backlog) -> None:
        self._state = state
        self._backlog = backlog
        self._reader: JournalReader | None = None
        self._refused = False

    def load(self) -> None:
        """Read the next batches into memory, if they are only in the journal; may wait.

        Not before the survey is done: a record further on may give ids to an earlier one.
        """
        backlog = self._backlog
        if not (backlog.needs_reading() and self._state.surveyed):
            return
        try:
            self._load(backlog)
        except OSError as error:  # such as too many open files: it stays where it is, for later
            if not self._refused:
                _log.warning("the journal cannot be read back now", reason=str(error))
            self._refused = True
        else:
            self._refused = False

    def _load(self, backlog: Backlog) -> None:
        read_bytes = rows = 0
        while backlog.span and read_bytes < MAX_READ_BYTES and rows < MAX_BLOCK_ROWS:
            batch = self._next(backlog.span)
            backlog.take_read(batch)
            if batch is not None:
                read_bytes += len(batch.body)
                rows += batch.rows
        if backlog.span is None:
            self._reader = None
            self._state.reconciliation.note_missing()

    def _next(self, span: tuple[int, int]) -> Batch | None:
        """The next batch of ``span``; skips damage and what belongs to the other backlog."""
        if self._reader is None:
            self._reader = self._state.journal.reader(after=span[0] - 1)
        while (record := self._reader.next()) is not None and record.number <= span[1]:
            if holds_rows(record) and self._is_ours(record):
                return batch_of(record, self._state.assigned.get(record.number, ()))
        return None

    def _is_ours(self, record: Record) -> bool:
        """Rows with ids are the backlog's, those without are held."""
        if not record.rows:
            return True
        has_ids = bool(record.ranges) or record.number in self._state.assigned
        return has_ids is (self._backlog is self._state.backlog)


def sweep(state: PersisterState, address: Address, *, limit_s: float = SWEEP_LIMIT_S) -> int:
    """Journal what is left in the persister's mailbox, and close its address; waits for the disk.

    What was read of the durable stream stays there, and is read again by the next daemon.

    Args:
        state: The persister's, still open; the actor has stopped.
        address: The persister's.
        limit_s: For all of it.

    Returns:
        The events that are lost.
    """
    for envelope in address.mailbox.take_all():
        if envelope.reply_to is None and isinstance(
            envelope.message, PersistReplies | PersistEvents
        ):
            state.inbox.put(envelope.message)
    address.close()
    pipeline, until = Pipeline(state), time.monotonic() + limit_s
    while (state.inbox or state.current) and time.monotonic() < until:
        batch = pipeline.take()
        if batch is not None:
            pipeline.append(batch)
            pipeline.finish(batch)
            batch.forget_events()
        elif not pipeline.examine_next():
            break
    return _give_up(state, address)


def _give_up(state: PersisterState, address: Address) -> int:
    lost = state.unjournalled_rows
    for message, left in state.inbox.discard():
        address.dead_letters.add(address.name, message, _LOST)
        lost += left
    if lost:
        _log.error("events are lost: the disk did not take them before the end", events=lost)
    return lost
