"""What of the persister outlives its incarnations, and the order in which it changes.

A batch goes: intake ─▶ in hand (it has its number and its ids) ─▶ journal ─▶ finished (window,
backlog, answers, fan-out). The step from the intake into the hand and the step from the journal to
finished happen without letting go of the loop; only the append in between waits. So whoever is
killed leaves either a message in the intake, or a batch in hand, which the successor offers to the
journal again: by its number it counts once.

Without ids a batch is journalled all the same and *held*: nobody sees it before a later record
gives it ids, and neither do those behind it, since ids are in the order of receipt.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import structlog
from gevent.event import Event as Signal

from ...runtime import Outbox
from ...sql.events.stream_position import StreamPosition
from ..canary import Canaries
from ..events import Event
from ..journal.id_ranges import IdRanges, read_ids, write_ids
from ..journal.journal import Journal, JournalSettings
from ..journal.record_format import IdRange, Record, RecordKind
from ..journal.rows import ids_of, parse_rows
from ..journal.stream_offset import OffsetFile
from ..journal.survey import Inventory
from ..recent_events import EventWindow
from ..sources import SourceBooks
from .append_queue import Appending
from .backlog import Backlog, Batch, stream_of
from .batch import Forming
from .current import InHand
from .echoes import EchoTable
from .inbox import Intake
from .ingest import Former
from .reconciliation import Accounts


class Ledger:
    """The journal, the ids, the window, and every event that is between two of them.

    Made by the daemon, opened before the persister starts and closed after it has stopped.

    Args:
        folder: The data directory: ``journal/`` and ``ids`` are kept in it.
        patterns: The subscribed patterns, in the order of the settings.
        settings: Of the journal.
        memory_bytes: Of rows waiting in memory; beyond it they wait in the journal. By default the
            setting's.
        window: The newest events; by default one of 50,000.
        canaries: Recognises those.
    """

    def __init__(  # noqa: PLR0913 what must outlive an incarnation
        self,
        folder: Path,
        patterns: Sequence[str],
        settings: JournalSettings | None = None,
        *,
        memory_bytes: int | None = None,
        window: EventWindow | None = None,
        canaries: Canaries | None = None,
    ) -> None:
        self.journal = Journal(folder / "journal", settings)
        self.ids = IdRanges()
        self.ids_path = folder / "ids"
        self.window = EventWindow(50_000) if window is None else window
        limit = memory_bytes or self.journal.settings.memory_bytes
        self.backlog = Backlog(limit)
        self.held = Backlog(limit)
        self.intake = Intake()
        self.accounts = Accounts(self.intake, self.backlog, self.held)
        echoes = EchoTable()
        self.former = Former(patterns, echoes, canaries)
        self.forming = Forming(
            self.intake, self.former, ids=self.ids, held=self.held, echoes=echoes
        )
        self.in_hand: InHand | None = None
        self.appending = Appending(self.journal, lambda: self.stored_number)
        self.moved: set[int] = set()
        """Ids that others had used, of events that are journalled again under new ones."""
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
        self.committed_id = 0
        self.stored_number = 0
        self.rate_per_s = 0.0
        self.not_offered = 0
        """Batches that a consumer's full mailbox did not take."""
        self.replaced: set[int] = set()
        """Ids of a block under way at which PostgreSQL has ``bus.rejected`` already."""
        self.store_error: str | None = None
        self.to_journal = Signal()
        self.to_store = Signal()
        self.room = Signal()
        self.last_journalled_ms = 0
        """When the daemon before this one journalled last (ms since the epoch; 0: never)."""
        self._log = structlog.get_logger(actor="EventPersister")

    # -- opening and closing -------------------------------------------------------------------

    def open(self) -> None:
        """Read the end of the journal and the ids; waits, but not for long.

        Raises:
            OSError: The data directory cannot be read or written.
        """
        self.journal.open_end()
        head = self.journal.head
        self.forming.next_number = head.last_number + 1
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
        self.ids.add(ranges or ())
        self.ids.discard_through(self.journal.head.highest_id)

    def _find_backlog(self) -> None:
        """By the end of the journal alone; the survey will say what exactly it holds."""
        head, first_held = self.journal.head, self.journal.bare_from
        self._span(first_held or head.last_number + 1)
        if first_held is not None:
            self.held.span = (first_held, head.last_number)
        self.accounts.carry_over(max(0, self.journal.pending_rows))

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
        self.accounts.take_over(found)
        self.to_store.set()
        self.to_journal.set()

    def source_books(self) -> tuple[SourceBooks, ...]:
        """What became of all that came, by source; of one moment."""
        return self.accounts.by_source(self.in_hand)

    def note_refused(self, event_id: int) -> None:
        """At the id of an event PostgreSQL has ``bus.rejected``: it did not take the event."""
        self.replaced.add(event_id)
        self.accounts.note_refused(event_id)

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
        return self.journal.pending_rows + self.appending.rows

    @property
    def journal_error(self) -> str | None:
        """Why the journal does not take events at this moment, if so."""
        return self.appending.error

    # -- from the intake into the hand: never lets go of the loop ------------------------------

    def prepare(self) -> InHand | None:
        """The next batch: the one in hand, or else a new one; None if there is nothing to do."""
        if self.in_hand is None:
            self.in_hand = hand = self.forming.next(stream=self.stream_flows)
            if hand is not None and hand.kind is RecordKind.EVENTS:
                self.accounts.rejected += hand.draft.rejected.total()
            self.room.set()
        return self.in_hand

    def move(self, event: Event) -> None:
        """Another row has the id of ``event``: have it journalled again under a new one."""
        self.forming.to_move[event.id] = event, self.accounts.lane_of(event.id)
        self.to_journal.set()

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

    # -- into the journal: waits ---------------------------------------------------------------

    def append(self, hand: InHand) -> None:
        """Journal ``hand``, behind what the disk refused before; waits for the worker.

        If the disk refuses again, the batch lives in memory alone until it takes it.
        """
        self.appending.put(hand)
        self.append_waiting()

    def append_waiting(self) -> None:
        """Offer to the journal what it does not have yet; waits for the worker."""
        if self.appending.offer():
            self.backlog.note_journalled()
            self.held.note_journalled()

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
        if self.journal_error is not None and self.accounts.shed():
            self.appending.forget_given_up()
        self.to_store.set()
        return events

    def _finish_new(self, hand: InHand) -> tuple[Event, ...]:
        batch = hand.batches[0]
        self.accounts.note_journalled(hand.draft)
        if batch.stream is not None:
            self.stream_known = batch.stream
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
        self.forming.to_move.pop(hand.moved_id, None)
        self.moved.add(hand.moved_id)
        self.window.remove(hand.moved_id)
        batch = hand.batches[0]
        self.accounts.note_moved(batch)
        events = hand.draft.events(ids_of(batch.ranges))
        self._show(batch, events, hand.draft.payload_bytes)
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

    # -- stored ----------------------------------------------------------------------------------

    def note_stored(self, block: list[Batch]) -> None:
        """The batches of ``block``, the first of the backlog, are committed, but for moved rows.

        Never lets go of the loop.
        """
        self.backlog.done(block)
        self.accounts.note_stored(block, self.moved)
        self.replaced.clear()
        last = block[-1]
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
        if self.backlog or self.held or self.in_hand or self.appending:
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
