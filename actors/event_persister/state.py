"""What of the persister outlives the actor's runs: every event it holds, and the watermarks.

A batch goes: inbox ─▶ current (it has its number and its ids) ─▶ journal ─▶ window and backlog ─▶
PostgreSQL. ``Pipeline`` takes it as far as the backlog, ``Storer`` from there. Neither yields but
while it waits for the disk or for PostgreSQL, so a kill leaves each event in one of
these places, and the successor goes on with it.

Without ids a batch is journalled all the same and *held*: it is not shown before a later record
gives it ids, and neither are those after it, since ids are in the order of receipt.
"""

from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path

import structlog
from gevent.event import Event as Signal

from ...runtime import Outbox
from ...runtime.address import HandlingTimes
from ...sql.events.stream_position import StreamPosition
from ..canary import Canaries
from ..events import Event
from ..journal.id_ranges import IdRanges, read_ids, write_ids
from ..journal.journal import Journal, JournalSettings
from ..journal.record_format import IdRange
from ..journal.stream_offset import OffsetFile
from ..recent_events import EventWindow
from ..sources import SourceBalance
from .backlog import Backlog, stream_of
from .batch import Batch
from .fence import Fence
from .foreign_rows import ForeignRows, IdMap
from .inbox import Inbox
from .ingest import Ingest
from .lag import StoreLag
from .reconciliation import Reconciliation


class PersisterState:
    """Created by the daemon, opened before the persister starts and closed after it has stopped.

    Args:
        folder: The data directory: ``journal/``, ``ids`` and ``stream`` are kept in it.
        patterns: The subscribed patterns, in the order of the settings.
        settings: Of the journal.
        memory_bytes: Of rows pending in memory; beyond it they stay in the journal. By default the
            setting's.
        window: The newest events; by default one of 50,000.
        canaries: Recognises those.
    """

    current: Batch | None = None
    """The batch that is being journalled."""
    to_publish: Outbox | None = None
    """Journalled, to be published, and not passed to the listener yet."""
    next_number = 1
    """Of the next batch."""

    committed_id = 0
    """All our ids up to this one are committed in PostgreSQL."""
    stored_number = 0
    """All batches up to this one are."""
    stream_known: StreamPosition | None = None
    """How far the durable stream is read by what is journalled or committed, where known."""
    stream_committed: StreamPosition | None = None
    """How far by what is committed."""
    stream_asked = False
    """Whether PostgreSQL has said so."""
    last_journalled_ms = 0
    """When the daemon before this one journalled last (ms since the epoch; 0: never)."""
    shown_again = False
    """Whether the newest of what the journal held at the start is in the window."""
    shown_from_id = 1
    """The first id that was shown again."""
    surveyed = False
    """Whether all of the journal was read; before that none of it is stored."""

    journal_error: str | None = None
    """Why the journal does not take events at this moment, if so."""
    retry_journal_at = 0.0
    """When a disk that refused is tried again (monotonic)."""
    store_error: str | None = None
    """Why PostgreSQL does not take events at this moment, if so."""
    rate_per_s = 0.0
    """Events received per second of late."""
    not_offered = 0
    """Batches that a consumer's full mailbox did not take."""

    def __init__(  # noqa: PLR0913 what must outlive a run
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
        limit = memory_bytes or self.journal.settings.memory_bytes
        self.inbox = Inbox()
        self.ingest = Ingest(patterns, canaries)
        self.unjournalled: deque[Batch] = deque()
        """Batches that the journal does not have yet: the current one, and what it refused."""
        self.held = Backlog(limit)
        """Batches that need ids."""
        self.backlog = Backlog(limit)
        """Batches that are to be stored."""
        self.window = EventWindow(50_000) if window is None else window
        self.id_map = IdMap()
        self.foreign = ForeignRows()
        """Rows that other programs inserted."""
        self.reconciliation = Reconciliation(self.inbox, self.ingest, self.backlog, self.held)
        self.journalled: Counter[str] = Counter()
        """Events, by source."""
        self.latencies_ms: deque[float] = deque(maxlen=10_000)
        """From the socket to the journal, of the oldest event of each batch."""
        self.ingest_times = HandlingTimes()
        """The same of all batches, as a histogram."""
        self.lag = StoreLag()

        self.ids = IdRanges()
        self.ids_path = folder / "ids"
        self.assigned: dict[int, tuple[IdRange, ...]] = {}
        """Ids of records that were journalled without, by their numbers."""
        self.to_move: dict[int, tuple[Event, str]] = {}
        """Events whose ids others had used, by those ids, with their sources; until they are
        journalled again."""
        self.moved: set[int] = set()
        """The ids of those that are."""
        self.replaced: set[int] = set()
        """Ids of a block under way at which PostgreSQL has ``bus.rejected`` already."""

        self.to_journal = Signal()
        """Wakes the pipeline."""
        self.to_store = Signal()
        """Wakes the storer."""
        self.room = Signal()
        """There is room in the inbox again."""
        self.progress = Signal()
        """A batch was carried, or PostgreSQL took or refused a block."""
        self.fence = Fence()
        """Whether what is journalled may be shown."""
        self._offset_file = OffsetFile(folder / "stream")
        self._log = structlog.get_logger(actor="EventPersister")

    # -- opening and closing -------------------------------------------------------------------

    def open(self) -> None:
        """Read the end of the journal and the ids; waits, but not for long.

        Raises:
            OSError: The data directory cannot be read or written.
        """
        self.journal.open_end()
        head = self.journal.head
        self.next_number = head.last_number + 1
        self.stored_number = head.committed_number
        self.committed_id = head.committed_id
        self.last_journalled_ms = head.last_at_ms
        self.lag = StoreLag(head.last_at_ms / 1_000)
        self.stream_known = self._offset_file.open()
        self._open_ids()
        self._find_backlog()

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
        self.set_backlog_end(first_held or head.last_number + 1)
        if first_held is not None:
            self.held.span = (first_held, head.last_number)
        self.reconciliation.carry_over(max(0, self.journal.pending_rows))

    def set_backlog_end(self, end: int) -> None:
        """The journal holds what is to be stored up to the batch before number ``end``."""
        first = self.journal.head.committed_number + 1
        self.backlog.span = (first, end - 1) if first < end else None

    # -- how far it is -------------------------------------------------------------------------

    @property
    def newest_id(self) -> int:
        """The highest id that was ever given."""
        return max(self.window.newest_id, self.journal.head.highest_id)

    @property
    def unjournalled_rows(self) -> int:
        """Rows that neither the journal nor PostgreSQL has."""
        pending = self.unjournalled
        return sum(batch.rows for batch in pending if batch.number > self.stored_number)

    @property
    def pending(self) -> int:
        """Events that are not committed yet."""
        return self.journal.pending_rows + self.unjournalled_rows

    def balances(self) -> tuple[SourceBalance, ...]:
        """What became of everything that came, by source; of one moment."""
        return self.reconciliation.balances(self.current)

    def is_out_of_reach(self, event_id: int) -> bool:
        """Whether an event of ours with that id may be in the journal and nowhere else."""
        return self.committed_id < event_id <= (self.window.floor_id or 0)

    def is_committed(self, event_id: int) -> bool:
        """Whether all our events up to that id are in PostgreSQL."""
        return self.committed_id >= event_id or not self.pending

    def begin_stream(self) -> StreamPosition | None:
        """Where reading the durable stream goes on; None while that is unknown."""
        if self.inbox.stream_end is None and self.surveyed:
            self.inbox.stream_end = self.stream_known
        return self.inbox.stream_end

    # -- watermarks: none of these yields ------------------------------------------------------

    def note_first_uncommitted(self, event_id: int) -> None:
        """Nothing of ours is uncommitted below ``event_id``."""
        self.committed_id = max(self.committed_id, event_id - 1)

    def note_in_database(self, highest_id: int, oldest_id: int | None = None) -> None:
        """The table holds rows up to ``highest_id``, ours or others'."""
        # What lies above the ids that this data directory remembers was written by others.
        self.id_map.begin(oldest_id=oldest_id, highest_id=self.newest_id or highest_id)
        self.id_map.add(self.ids.ranges)
        self.window.raise_floor(highest_id)
        if not self.backlog:
            self.committed_id = max(self.committed_id, highest_id)

    def note_stream_in_database(self, position: StreamPosition | None) -> None:
        """PostgreSQL says how far the stream is read by what is committed; None: never read."""
        self.stream_asked = True
        self.stream_committed = position
        if self.stream_known is None:
            self.stream_known = position or StreamPosition()
        elif position is not None:
            self.stream_known = max(self.stream_known, position)

    def note_stored(self, block: list[Batch]) -> None:
        """The batches of ``block``, the first of the backlog, are committed, but for moved rows."""
        self.backlog.done(block)
        self.reconciliation.note_stored(block, self.moved)
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
        if self.backlog or self.held or self.current or self.unjournalled:
            return
        head = self.journal.head
        if self.stored_number >= head.last_number:
            return
        self.stored_number = head.last_number
        self.committed_id = max(self.committed_id, head.highest_id)
        self.journal.commit(
            head.last_number, committed_id=self.committed_id, rows_through=head.rows_total
        )

    def add_ids(self, ranges: list[IdRange]) -> None:
        """Add new ids, on disk first; waits for the journal's worker.

        If the disk refuses, they are used all the same: the sequence does not give them again, so
        the worst that happens is that left-overs stay unused.
        """
        try:
            self.journal.work(write_ids, self.ids_path, (*self.ids.ranges, *ranges))
        except OSError as error:
            self._log.warning("ids are not on disk", reason=str(error))
        self.id_map.add(ranges)
        self.ids.add(ranges)
        self.to_journal.set()
