"""Reads the journal back while it is being written."""

import errno
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog

from .record_format import Damage, Record, scan
from .survey import Segment

# So fails what will not be better the next time; too many open files or no permission may be.
_GONE: Final = frozenset({errno.EIO, errno.ENOENT, errno.EISDIR, errno.EBADMSG})

_log = structlog.get_logger(actor="EventPersister")


class JournalReader:
    """Reads records in order, one segment's bytes in memory at a time.

    It may reach the end while records are still being appended, and go on later. What it finds
    damaged is passed over, and its segment set aside instead of deleted, as after the survey.

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
        self._met = after
        self._unjudged: Segment | None = None

    def next(self) -> Record | None:
        """The next record, None at the end; waits for the worker where it must read.

        Raises:
            OSError: The disk does not give it now; try again.
        """
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
        try:
            with segment.path.open("rb") as file:
                file.seek(self._offset)
                data = file.read(segment.size_bytes - self._offset)
        except OSError as error:
            if error.errno not in _GONE:
                raise
            path = str(segment.path)
            _log.error("a segment of the journal is lost", path=path, reason=str(error))
            segment.damaged = True
            return
        self._offset += len(data)
        found = [self._judge(segment, one) for _end, one in scan(data)]
        if self._unjudged is segment and self._met < segment.last_number:
            segment.damaged = True
        found.reverse()
        self._records = [one for one in found if one is not None and one.number > self.number]

    def _judge(self, segment: Segment, found: Record | Damage) -> Record | None:
        """What is no record was one if a number is missing; else an append was cut short there."""
        if isinstance(found, Damage):
            self._unjudged = self._unjudged or segment
            return None
        if self._unjudged is not None and found.number > self._met + 1:
            self._unjudged.damaged = True
        self._unjudged = None
        self._met = found.number
        return found
