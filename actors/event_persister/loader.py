"""Reads back what of a backlog is only in the journal."""

from typing import Final

import structlog

from ..journal.reader import JournalReader
from ..journal.record_format import Record, holds_rows
from .backlog import MAX_BLOCK_ROWS, Backlog, Batch, batch_of
from .state import Ledger

# Read ahead, in memory.
MAX_READ_BYTES: Final = 8 * 1024 * 1024

_log = structlog.get_logger(actor="EventPersister")


class Loader:
    """Reads the part of a backlog that is only in the journal; belongs to one incarnation."""

    def __init__(self, ledger: Ledger, backlog: Backlog) -> None:
        self._ledger = ledger
        self._backlog = backlog
        self._reader: JournalReader | None = None
        self._refused = False

    def load(self) -> None:
        """Read the next batches into memory, if they are only in the journal; may wait.

        Not before all of the journal was looked at: what stands behind a record may give it ids.
        """
        backlog = self._backlog
        if not (backlog.needs_reading() and self._ledger.surveyed):
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
            self._ledger.accounts.note_missing()

    def _next(self, span: tuple[int, int]) -> Batch | None:
        """The next batch of ``span``; what was damaged, and what is not for this one, is passed."""
        if self._reader is None:
            self._reader = self._ledger.journal.reader(after=span[0] - 1)
        while (record := self._reader.next()) is not None and record.number <= span[1]:
            if holds_rows(record) and self._is_ours(record):
                return batch_of(record, self._ledger.assigned.get(record.number, ()))
        return None

    def _is_ours(self, record: Record) -> bool:
        """Rows with ids are the backlog's, those without wait for some."""
        if not record.rows:
            return True
        has_ids = bool(record.ranges) or record.number in self._ledger.assigned
        return has_ids is (self._backlog is self._ledger.backlog)
