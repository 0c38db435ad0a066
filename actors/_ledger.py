"""What of the persister outlives its incarnations, and the order in which it changes.

A batch goes: intake ─▶ in hand (it has its number and its ids) ─▶ journal ─▶ finished (window,
backlog, answers, fan-out). The step from the intake into the hand and the step from the journal to
finished happen without letting go of the loop; only the append in between waits. So whoever is
killed leaves either a message in the intake, or a batch in hand, which the successor offers to the
journal again: by its number it counts once.

Without ids a batch is journalled all the same and *held*: nobody sees it before a later record
gives it ids, and neither do those behind it, since ids are in the order of receipt.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
import structlog
from gevent.event import Event as Signal

from ..runtime import Outbox
from ..sql.stream_position import StreamPosition
from ._backlog import Backlog, Batch
from ._books import LANES, Books, Run, SourceBooks, lane_of_each_row, rows_by_lane
from ._draft import Draft, Former
from ._echoes import EchoTable
from ._in_hand import InHand
from ._intake import Intake, Taken
from ._inventory import Inventory
from ._persister_messages import MAX_TURN_EVENTS, PersistEvents
from ._rows import ids_of, parse_rows
from ._segments import IdRange, Record, RecordKind
from ._stream_offsets import OffsetFile
from .canary import Canaries, Canary
from .events import REJECTED, Event
from .ids import IdRanges, read_ids, write_ids
from .journal import Journal, JournalSettings, JournalUnavailable
from .window import EventWindow

EARLIER: Final = LANES[0]
# A disk that refused an append is asked again after so long.
JOURNAL_RETRY_S: Final = 1.0


class Ledger:
    """The journal, the ids, the window, and every event that is between two of them.

    Made by the daemon, opened before the persister starts and closed after it has stopped.

    Args:
        folder: The data directory: ``journal/`` and ``ids`` are kept in it.
        patterns: The subscribed patterns, in the order of the settings.
        settings: Of the journal.
        memory_bytes: Of rows waiting in memory; beyond it they wait in the journal.
        window: The newest events; by default one of 50,000.
        canaries: Recognises those.
    """

    def __init__(  # noqa: PLR0913, PLR0915 what must outlive an incarnation
        self,
        folder: Path,
        patterns: Sequence[str],
        settings: JournalSettings | None = None,
        *,
        memory_bytes: int = 32 * 1024 * 1024,
        window: EventWindow | None = None,
        canaries: Canaries | None = None,
    ) -> None:
        self.journal = Journal(folder / "journal", settings)
        self.ids = IdRanges()
        self.ids_path = folder / "ids"
        self.window = EventWindow(50_000) if window is None else window
        self.backlog = Backlog(memory_bytes)
        self.held = Backlog(memory_bytes)
        self.intake = Intake()
        self.echoes = EchoTable()
        self.former = Former(patterns, self.echoes, canaries)
        self.in_hand: InHand | None = None
        self.aside: list[Canary | Event] = []
        """Not stored, but passed on: canaries, and durable stops that the stream will bring."""
        self.books = Books()
        self.to_move: dict[int, Event] = {}
        """Events whose ids others had used, by those ids, until they are journalled again."""
        self.moved: set[int] = set()
        """Such ids that are done."""
        self.to_publish: Outbox | None = None
        """Journalled, but not with the listener yet."""
        self.stream_known: StreamPosition | None = None
        """How far the durable stream is read by what is journalled or committed, where known."""
        self.stream_committed: StreamPosition | None = None
        """How far by what is committed."""
        self.stream_asked = False
        """Whether PostgreSQL has said so."""
        self._offset_file = OffsetFile(folder / "stream")
        self.assigned: dict[int, tuple[IdRange, ...]] = {}
        """Ids of records that were journalled without, by their numbers."""
        self.shown_again = False
        """Whether the newest of what the journal held at the start is in the window."""
        self.shown_from_id = 1
        """The first id that was shown again."""
        self.surveyed = False
        """Whether all of it was read; before that none of it is stored."""
        self._unread: Counter[str] = Counter()
        self.committed_id = 0
        self.stored_number = 0
        self.rate_per_s = 0.0
        self.journalled: Counter[str] = Counter()
        self.stored = self.rejected = self.dropped = self.clashes = self.not_offered = 0
        self.dropped_types: Counter[str] = Counter()
        """Dropped and not said yet."""
        self.damaged_rows: int | None = None
        """Rows of the journal that were found damaged, if that was not said yet."""
        self.replaced: set[int] = set()
        """Ids of a block under way at which PostgreSQL has ``bus.rejected`` already."""
        self.journal_error: str | None = None
        self.store_error: str | None = None
        self.latencies_ms: deque[float] = deque(maxlen=10_000)
        """From the socket to the journal, of the oldest event of each batch."""
        self.to_journal = Signal()
        self.to_store = Signal()
        self.room = Signal()
        self.last_journalled_ms = 0
        """When the daemon before this one journalled last (ms since the epoch; 0: never)."""
        self._next_number = 1
        self._unjournalled: deque[InHand] = deque()
        self._journal_again_at = 0.0
        self._log = structlog.get_logger(actor="EventPersister")

    # -- opening and closing -------------------------------------------------------------------

    def open(self) -> None:
        """Read the end of the journal and the ids; waits, but not for long.

        Raises:
            OSError: The data directory cannot be read or written.
        """
        self.journal.open_end()
        head = self.journal.head
        self._next_number = head.last_number + 1
        self.stored_number = head.committed_number
        self.committed_id = head.committed_id
        self.last_journalled_ms = head.last_at_ms
        self.stream_known = self._offset_file.open()
        self._open_ids()
        self._find_backlog()

    def survey(
        self,
        heed: Callable[[Record], object] = lambda _record: None,
        pause: Callable[[], object] = lambda: None,
    ) -> None:
        """Read all of the journal: what is in it can be stored then; waits, as long as it takes.

        Args:
            heed: Told each record, in a thread of its own.
            pause: Lets others run.
        """
        if self.surveyed:
            return
        found = self.journal.survey(heed, pause)
        self._take_over(found)
        report = found.report
        if report.missing_rows or report.missing_records:
            self.damaged_rows = report.missing_rows
        if report.missing_records or report.damaged_places or report.head_lost:
            self._log.error("the journal is damaged", **msgspec.structs.asdict(report))

    def close(self) -> None:
        """Finish the journal's work; waits for the disk."""
        self.journal.close()
        self._offset_file.close()

    def _open_ids(self) -> None:
        ranges = read_ids(self.ids_path)
        if ranges is None:
            self._log.error("the file of ids is damaged; its ids stay unused")
        self.ids = IdRanges(ranges or ())
        self.ids.discard_through(self.journal.head.highest_id)

    def _find_backlog(self) -> None:
        """By the end of the journal alone; the survey will say what exactly it holds."""
        head, first_held = self.journal.head, self.journal.bare_from
        self._span(first_held or head.last_number + 1)
        if first_held is not None:
            self.held.span = (first_held, head.last_number)
        self._unread = Counter({EARLIER: max(0, self.journal.pending_rows)})
        self.backlog.counts.update(self._unread)
        self.books.carried.update(self._unread)

    def _span(self, end: int) -> None:
        first = self.journal.head.committed_number + 1
        self.backlog.span = (first, end - 1) if first < end else None

    def _take_over(self, found: Inventory) -> None:
        """Go on with what the survey found; never lets go of the loop."""
        self.surveyed = True
        self.assigned = found.assigned | self.assigned
        self.moved |= found.moved
        known = (self.stream_known, found.stream)
        self.stream_known = max(filter(None, known), default=None)
        if found.unassigned and self.held.span is not None:
            self._span(found.unassigned[0])
            self.held.span = (found.unassigned[0], self.held.span[1])
        if found.first_id is not None:
            self.note_first_uncommitted(found.first_id)
        self._carry_over(found)
        self.to_store.set()
        self.to_journal.set()

    def _carry_over(self, found: Inventory) -> None:
        """Instead of the sum, note in the books what the journal brings by each lane."""
        books, missing = self.books, Counter({EARLIER: found.report.missing_rows})
        books.moving.update(found.moved_rows)
        books.carried = books.carried - self._unread + found.uncommitted - found.moved_rows
        books.carried += missing
        books.dropped += missing
        self.held.counts.update(found.unassigned_rows)
        self.backlog.counts.subtract(self._unread)
        self.backlog.counts.update(found.uncommitted - found.unassigned_rows)

    def source_books(self) -> tuple[SourceBooks, ...]:
        """What became of all that came, by source; of one moment."""
        intake, books = self.intake, self.books
        here = self.backlog.counts + self.held.counts
        if self.in_hand is not None and self.in_hand.kind is RecordKind.EVENTS:
            here.update(rows_by_lane(self.in_hand.batches[0].runs))
        here.subtract(books.moving)
        known = {*LANES[1:], *intake.received, *here, *books.carried}
        return tuple(
            SourceBooks(
                source=lane,
                carried=books.carried[lane],
                received=intake.received[lane],
                stored=books.stored[lane],
                rejected=books.rejected[lane],
                journal=here[lane],
                dropped=books.dropped[lane],
                copies=intake.copies[lane],
                echoes=intake.echoes[lane],
                aside=intake.aside[lane],
            )
            for lane in sorted(known)
        )

    def lane_of(self, event_id: int) -> str:
        """By which lane an event of the block that is being stored came."""
        for batch in self.backlog.front:
            if batch.ranges and event_id <= batch.last_id:
                lanes = zip(ids_of(batch.ranges), lane_of_each_row(batch.runs), strict=False)
                return next((lane for number, lane in lanes if number == event_id), EARLIER)
        return EARLIER

    def note_missing(self) -> None:
        """Rows that the journal had and could not give back are given up, and it is said."""
        for backlog in (self.backlog, self.held):
            if backlog.missing:
                lost = backlog.missing.total()
                self._log.error("the journal was damaged while running", rows=lost)
                self.books.dropped.update(backlog.missing)
                self.dropped += lost
                self.damaged_rows = (self.damaged_rows or 0) + lost
                backlog.missing.clear()

    def note_refused(self, event_id: int) -> None:
        """At the id of an event PostgreSQL has ``bus.rejected``: it did not take the event."""
        self.rejected += 1
        self.replaced.add(event_id)
        self.books.note_refused(self.lane_of(event_id))

    @property
    def newest_id(self) -> int:
        """The highest id that was ever given."""
        return max(self.window.newest_id, self.journal.head.highest_id)

    def is_out_of_reach(self, event_id: int) -> bool:
        """Whether an event of ours with that id may be in the journal and nowhere else."""
        return self.committed_id < event_id <= (self.window.floor_id or 0)

    @property
    def pending(self) -> int:
        """Events that are not committed yet."""
        return self.journal.pending_rows + self.memory_only

    @property
    def memory_only(self) -> int:
        """Those of them that the disk has not taken."""
        return sum(
            hand.batches[0].rows
            for hand in self._unjournalled
            if hand.kind is not RecordKind.IDS and hand.number > self.stored_number
        )

    # -- from the intake into the hand: never lets go of the loop ------------------------------

    def prepare(self) -> InHand | None:
        """The next batch: the one in hand, or else a new one; None if there is nothing to do."""
        if self.in_hand is None:
            self.in_hand = self._assign_held() or self._move() or self._take_in()
            self.room.set()
        return self.in_hand

    def _number(self) -> int:
        number = self._next_number
        self._next_number += 1
        return number

    def _take_in(self) -> InHand | None:
        if not self.intake:
            return None
        has_ids = bool(self.ids.left) and not self.held
        draft = Draft()
        limit = min(MAX_TURN_EVENTS, self.ids.left) if has_ids else MAX_TURN_EVENTS
        now = time.monotonic()
        taken = self.intake.fill(
            draft, self.former, max_events=limit, now=now, stream=self.stream_flows
        )
        self.aside += draft.aside
        if not draft and draft.stream is None:
            return None
        ranges = self.ids.take(len(draft)) if has_ids else None
        batch = Batch(self._number(), draft.body(), len(draft), tuple(ranges or ()))
        batch.stream = draft.stream
        hand = InHand(batch.number, RecordKind.EVENTS, [batch])
        batch.runs = tuple(draft.runs)
        hand.draft, hand.taken = draft, taken
        self.rejected += draft.rejected.total()
        self._expect_echoes(taken, now)
        return hand

    def _expect_echoes(self, taken: list[Taken], now: float) -> None:
        for part in taken:
            if part.message.publish:
                for event in part.message.events:
                    self.echoes.expect(event.type.encode(), event.payload, now)

    def _assign_held(self) -> InHand | None:
        """Give ids to batches that wait for them, as far as both are at hand."""
        batches = self.held.next_block(MAX_TURN_EVENTS)
        hand = InHand(0, RecordKind.IDS, [])
        for batch in batches:
            ranges = self.ids.take(batch.rows)
            if ranges is None:
                break
            hand.assigned[batch.number] = tuple(ranges)
            hand.batches.append(batch)
        if not hand.batches:
            return None
        hand.number = self._number()
        return hand

    def _move(self) -> InHand | None:
        """Give a new id to an event whose id another writer had used."""
        if not self.to_move or self.held or not self.ids.left:
            return None
        old_id, event = next(iter(self.to_move.items()))
        draft = Draft()
        self.former.add_stored(draft, event)
        ranges = self.ids.take(1)
        batch = Batch(self._number(), draft.body(), 1, tuple(ranges or ()))
        hand = InHand(batch.number, RecordKind.MOVED, [batch])
        batch.runs = (Run(self.lane_of(old_id), 1, int(event.type == REJECTED)),)
        hand.draft, hand.moved_id = draft, old_id
        return hand

    @property
    def stream_flows(self) -> bool:
        """Whether the durable stream is taken in: not while the disk refuses what is read of it."""
        return self.journal_error is None

    def has_work(self) -> bool:
        """Whether anything in the intake can be taken now."""
        return self.intake.has_work(stream=self.stream_flows)

    def begin_stream(self) -> StreamPosition | None:
        """Where reading the stream goes on; None while nobody knows."""
        if self.intake.stream_end is None and self.surveyed:
            self.intake.stream_end = self.stream_known
        return self.intake.stream_end

    def take_due(self, now: float) -> None:
        """Have taken in what is certain by ``now``: gaps, and copies the stream does not bring."""
        read_at = self.intake.stream_read_at
        for copy in self.former.durable.due(now, read_at):
            self.intake.put_late(copy)
        if gaps := self.former.sequences.due(now, read_at):
            self.intake.put(PersistEvents(tuple(gaps)))
        if self.intake:
            self.to_journal.set()

    # -- into the journal: waits ---------------------------------------------------------------

    def append(self, hand: InHand) -> None:
        """Journal ``hand``, behind what the disk refused before; waits for the worker.

        If the disk refuses again, the batch lives in memory alone until it takes it.
        """
        if hand not in self._unjournalled:
            self._unjournalled.append(hand)
        self.append_waiting()

    def append_waiting(self) -> None:
        """Offer to the journal what it does not have yet; waits for the worker."""
        if not self._unjournalled or time.monotonic() < self._journal_again_at:
            return
        try:
            while self._unjournalled:
                self._append_first()
        except JournalUnavailable as error:
            self._journal_again_at = time.monotonic() + JOURNAL_RETRY_S
            if self.journal_error is None:
                self._log.error("events are kept in memory only", reason=str(error))
            self.journal_error = str(error)
            return
        self.backlog.note_journalled()
        self.held.note_journalled()
        if self.journal_error is not None:
            self._log.info("the journal takes events again")
            self.journal_error = None

    def _append_first(self) -> None:
        hand = self._unjournalled[0]
        if hand.number > self.stored_number:
            self.journal.append(hand.record())
            rows_through = self.journal.head.rows_total
            for batch in hand.batches:
                batch.journalled = True
                batch.rows_through = batch.rows_through or rows_through
        self._unjournalled.popleft()

    # -- finished: never lets go of the loop ---------------------------------------------------

    def finish(self, hand: InHand) -> tuple[Event, ...]:
        """Make the batch in hand visible: window, backlog; the events to pass on."""
        self.in_hand = None
        match hand.kind:
            case RecordKind.EVENTS:
                events = self._finish_new(hand)
            case RecordKind.IDS:
                events = self._finish_assigned(hand)
            case RecordKind.MOVED:
                events = self._finish_moved(hand)
        self._shed()
        self.to_store.set()
        return events

    def _finish_new(self, hand: InHand) -> tuple[Event, ...]:
        batch = hand.batches[0]
        self.journalled += hand.draft.lanes
        if batch.stream is not None:
            self.stream_known = batch.stream
        if batch.rows:
            self.latencies_ms.append(latency_ms(min(set(hand.draft.times))))
        if not batch.ranges and (batch.rows or self.held):
            self.held.put(batch)
            return ()
        events = hand.draft.events(ids_of(batch.ranges))
        self._show(batch, events, hand.draft.payload_bytes)
        return events

    def _finish_assigned(self, hand: InHand) -> tuple[Event, ...]:
        events: list[Event] = []
        self.held.done(hand.batches)
        for batch in hand.batches:
            batch.ranges = self.assigned[batch.number] = hand.assigned[batch.number]
            found = parse_rows(batch.body, batch.ranges)
            self._show(batch, found, len(batch.body))
            events += found
        return tuple(events)

    def _finish_moved(self, hand: InHand) -> tuple[Event, ...]:
        self.to_move.pop(hand.moved_id, None)
        self.moved.add(hand.moved_id)
        self.window.remove(hand.moved_id)
        batch = hand.batches[0]
        self.books.moving.update(rows_by_lane(batch.runs))
        events = hand.draft.events(ids_of(batch.ranges))
        self._show(batch, events, hand.draft.payload_bytes)
        self.clashes += 1
        return events

    def _show(self, batch: Batch, events: tuple[Event, ...], payload_bytes: int) -> None:
        if events:
            if not self.backlog:
                self.note_first_uncommitted(batch.ranges[0][0])
            self.window.append(events, payload_bytes)
        self.backlog.put(batch)

    def note_first_uncommitted(self, event_id: int) -> None:
        """Nothing of ours is uncommitted below ``event_id``."""
        self.committed_id = max(self.committed_id, event_id - 1)

    def note_in_database(self, highest_id: int) -> None:
        """The table holds rows up to ``highest_id``, ours or others'."""
        self.window.raise_floor(highest_id)
        if not self.backlog:
            self.committed_id = max(self.committed_id, highest_id)

    def _shed(self) -> None:
        if self.journal_error is None:
            return
        storing = self.backlog.front[0].number if self.backlog.front else 0
        before = self.backlog.counts + self.held.counts
        lost = self.backlog.shed(but=storing) + self.held.shed(but=storing)
        if lost:
            self.books.dropped += before - (self.backlog.counts + self.held.counts)
            if not self.dropped_types:
                self._log.error("no room for events, neither on disk nor in memory")
            self.dropped += lost.total()
            self.dropped_types += lost

    # -- stored ----------------------------------------------------------------------------------

    def _moved_of(self, block: list[Batch]) -> Counter[str]:
        """How many rows of ``block`` are journalled again under new ids, by lane."""
        if not self.moved:
            return Counter()
        return Counter(
            lane
            for batch in block
            for number, lane in zip(
                ids_of(batch.ranges), lane_of_each_row(batch.runs), strict=False
            )
            if number in self.moved
        )

    def note_stored(self, block: list[Batch]) -> None:
        """The batches of ``block``, the first of the backlog, are committed, but for moved rows.

        Never lets go of the loop.
        """
        moved = self._moved_of(block)
        self.backlog.done(block)
        self.books.note_stored([batch.runs for batch in block], moved)
        self.replaced.clear()
        last = block[-1]
        self.stored += sum(batch.rows for batch in block) - moved.total()
        self.stored_number = last.number
        self.committed_id = max(self.committed_id, *(batch.last_id for batch in block))
        for batch in block:
            self.assigned.pop(batch.number, None)
        position = stream_of(block)
        if position is not None:
            self.stream_committed = position
            self.journal.later(self._offset_file.write, position)  # before segments go
        self.journal.commit(
            last.number,
            committed_id=self.committed_id,
            rows_through=max(batch.rows_through for batch in block),
        )

    def note_all_stored(self) -> None:
        """What the journal holds beyond the last stored batch has no rows (or lost them)."""
        if self.backlog or self.held or self.in_hand or self._unjournalled:
            return
        head = self.journal.head
        if self.stored_number >= head.last_number:
            return
        self.stored_number = head.last_number
        self.committed_id = max(self.committed_id, head.highest_id)
        self.journal.commit(
            head.last_number, committed_id=self.committed_id, rows_through=head.rows_total
        )

    def note_stream_in_database(self, position: StreamPosition | None) -> None:
        """PostgreSQL says how far the stream is read by what is committed; None: never read."""
        self.stream_asked = True
        self.stream_committed = position
        if self.stream_known is None:
            self.stream_known = position or StreamPosition()
        elif position is not None:
            self.stream_known = max(self.stream_known, position)

    def add_ids(self, ranges: list[IdRange]) -> None:
        """Put new ids in hand, on disk first; waits for the worker.

        If the disk refuses, they are used all the same: the sequence does not give them again,
        so nothing worse happens than that left-overs are forgotten.
        """
        try:
            self.journal.work(write_ids, self.ids_path, (*self.ids.ranges, *ranges))
        except OSError as error:
            self._log.warning("ids in hand are not on disk", reason=str(error))
        self.ids.add(ranges)
        self.to_journal.set()


def stream_of(block: list[Batch]) -> StreamPosition | None:
    """How far the durable stream is read by ``block``, if any of it came from there."""
    return next((batch.stream for batch in reversed(block) if batch.stream is not None), None)


def latency_ms(ts: str) -> float:
    """Milliseconds since ``ts`` by the wall clock, 0 if that lies ahead."""
    return max(0.0, (time.time() - datetime.fromisoformat(ts).timestamp()) * 1000)
