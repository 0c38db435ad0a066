"""At the start: what the journal holds and PostgreSQL may not have is shown again.

First the newest of it, as much as the window holds: it goes to all consumers as if it came in now
(they take what they saw before for the same). Only the end of the journal is read for that. Then,
beside all else, the whole journal: of what is older only stops are told, to the keeper of stops;
one that was journalled before the daemon was killed must engage. All is stored from the backlog.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from ...runtime import give_way
from ..events import KILLSWITCH, REJECTED, Event
from ..journal.record_format import IdRange, Record, RecordKind, decode_assigned, records_in
from ..journal.rows import ids_of, parse_row, parse_rows, split_rows
from ..journal.survey import Segment
from .state import Ledger

Kept = tuple[Record, tuple[IdRange, ...]]

_STOP: Final = KILLSWITCH.encode()
_STOP_LINES: Final = (_STOP + b"\t", REJECTED.encode() + b"\t")


class Newest:
    """Reads the journal's end backwards, with memory for a window's worth.

    Args:
        ledger: Its window is filled.
        show: Passes events on to the consumers, without waiting.
    """

    def __init__(self, ledger: Ledger, show: Callable[[tuple[Event, ...]], None]) -> None:
        self._ledger = ledger
        self._show = show
        self._kept: deque[Kept] = deque()
        self._rows = 0
        self._read_bytes = 0
        self._assigned: dict[int, tuple[IdRange, ...]] = {}
        self.rows = 0
        """Rows that were shown again."""

    def show(self) -> None:
        """Read and show; waits for the disk and lets others run."""
        ledger = self._ledger
        floor_id: int | None = ledger.committed_id or None
        if not self._read():
            # What is older is there, but nobody can read it before it is committed.
            highest_id = ledger.journal.head.highest_id
            floor_id = self._kept[0][1][0][0] - 1 if self._kept else highest_id or None
        elif self._kept:
            ledger.note_first_uncommitted(self._kept[0][1][0][0])
            floor_id = ledger.committed_id
        ledger.window.reset(floor_id)
        ledger.shown_from_id = (floor_id or 0) + 1
        self._show_kept()
        ledger.shown_again = True

    def _read(self) -> bool:
        """Keep the newest records; whether these are all that are not committed."""
        journal = self._ledger.journal
        for segment in reversed(journal.segments):
            if segment.last_number > journal.head.committed_number:
                for record in reversed(journal.work(_records, segment)):
                    if not self._keep(record):
                        return False
            give_way()
        return True

    def _keep(self, record: Record) -> bool:
        """Keep a record in front of the others; False if there is no room for it."""
        window = self._ledger.window
        if record.number <= self._ledger.journal.head.committed_number:
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
            self._ledger.window.append(events, len(record.body))
            self._show(events)
            self.rows += len(events)
            give_way()


class Stops:
    """Finds stops in records, in the thread that reads them; tells them in the loop's.

    Only such as are not known to be committed and were not shown again already.

    Args:
        ledger: Says which these are.
        tell: Told each, by ``tell_found``.
    """

    def __init__(self, ledger: Ledger, tell: Callable[[Event], object]) -> None:
        self._tell = tell
        self._after = ledger.stored_number
        self._through_id = ledger.shown_from_id - 1
        self._bare: dict[int, list[tuple[int, bytes]]] = {}
        self._found: deque[Event] = deque()

    def heed(self, record: Record) -> None:
        """Look at a record."""
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

    def tell_found(self) -> None:
        """Tell what was found since, and let others run."""
        while self._found:
            self._tell(self._found.popleft())
        give_way()


def _is_stop(line: bytes) -> bool:
    return line.startswith(_STOP_LINES) and _STOP in line


def _records(segment: Segment) -> list[Record]:
    return records_in(segment.path.read_bytes())
