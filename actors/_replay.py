"""At the start: what the journal holds and PostgreSQL may not have is shown again.

The newest of it, as much as the window holds, goes to all consumers, as if it came in now (they
take what they saw before for the same). Of what is older, only ``risk.*`` does: a stop that was
journalled a moment before the daemon was killed must engage. All is stored from the backlog.
"""

from collections import deque
from collections.abc import Callable

from ..runtime import give_way
from ._backlog import RISK, holds_rows
from ._ledger import Ledger
from ._rows import ids_of, parse_row, parse_rows, split_rows
from ._segments import IdRange, Record
from .events import Event

Kept = tuple[Record, tuple[IdRange, ...]]


class Replay:
    """Reads what is not committed, once, with memory for a window's worth.

    Args:
        ledger: Its window is filled.
        show: Passes events on to the consumers, without waiting.
    """

    def __init__(self, ledger: Ledger, show: Callable[[tuple[Event, ...]], None]) -> None:
        self._ledger = ledger
        self._show = show
        self._kept: deque[Kept] = deque()
        self._kept_rows = 0
        self._kept_bytes = 0
        self._seen = False
        self.rows = 0
        """Rows that were shown again."""

    def run(self) -> None:
        """Read and show; waits for the disk and lets others run."""
        ledger = self._ledger
        head = ledger.journal.head
        ledger.window.reset(ledger.committed_id or None)
        reader = ledger.journal.reader(after=head.committed_number)
        while (record := reader.next()) is not None:
            ranges = record.ranges or ledger.journal.assigned.get(record.number)
            if holds_rows(record) and ranges:
                self._keep(record, ranges)
            give_way()
        self._show_kept()
        ledger.replayed = True

    def _keep(self, record: Record, ranges: tuple[IdRange, ...]) -> None:
        if not self._seen:
            self._seen = True
            self._ledger.note_first_uncommitted(ranges[0][0])
        self._kept.append((record, ranges))
        self._kept_rows += record.rows
        self._kept_bytes += len(record.body)
        window = self._ledger.window
        while self._kept_rows > window.max_events or self._kept_bytes > window.max_bytes // 2:
            self._let_go(*self._kept.popleft())

    def _let_go(self, record: Record, ranges: tuple[IdRange, ...]) -> None:
        self._kept_rows -= record.rows
        self._kept_bytes -= len(record.body)
        self._ledger.window.floor_id = self._ledger.window.newest_id = ranges[-1][1]
        if RISK in record.body:
            lines = zip(ids_of(ranges), split_rows(record.body), strict=True)
            stops = [parse_row(event_id, line) for event_id, line in lines if line.startswith(RISK)]
            if stops:
                self._show(tuple(stops))

    def _show_kept(self) -> None:
        window = self._ledger.window
        while self._kept:
            record, ranges = self._kept.popleft()
            events = parse_rows(record.body, ranges)
            window.append(events, len(record.body))
            self._show(events)
            self.rows += len(events)
            give_way()
