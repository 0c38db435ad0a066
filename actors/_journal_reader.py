"""Reads the journal back while it is being written."""

from collections.abc import Callable, Sequence
from typing import Any

from ._inventory import Segment
from ._segments import Record, records_in


class JournalReader:
    """Reads records in order, one segment's bytes in memory at a time.

    It may reach the end while records are still being appended, and go on later.

    Args:
        segments: The journal's, oldest first.
        work: Runs a job in the journal's worker and waits for it.
        after: The number behind which reading begins.
    """

    def __init__(
        self, segments: Sequence[Segment], work: Callable[..., Any], *, after: int
    ) -> None:
        self.number = after
        """The last record read."""
        self._segments = segments
        self._work = work
        self._first_number = 0
        self._offset = 0
        self._records: list[Record] = []

    def next(self) -> Record | None:
        """The next record, None at the end; waits for the worker where it must read."""
        while not self._records:
            if not self._work(self._load):
                return None
        record = self._records.pop()
        self.number = record.number
        return record

    def _load(self) -> bool:
        """Read what comes next into memory, in the worker; say whether there was anything."""
        for segment in self._segments:
            if segment.last_number <= self.number:
                continue
            if segment.first_number != self._first_number:
                self._first_number, self._offset = segment.first_number, 0
            self._read(segment)
            if self._records:
                return True
        return False

    def _read(self, segment: Segment) -> None:
        with segment.path.open("rb") as file:
            file.seek(self._offset)
            data = file.read(segment.size_bytes - self._offset)
        found = records_in(data)
        self._offset += len(data)
        self._records = [record for record in reversed(found) if record.number > self.number]
