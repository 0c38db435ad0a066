"""The audit trail: on disk first, then in PostgreSQL, where nothing changes it any more.

Rows wait in a file (`audit_file`) until PostgreSQL has committed them. A row may be sent twice,
after a crash in between; it is stored once, by its id. Nothing waits for the trail: what is noted
within the last milliseconds before a ``kill -9`` may be lost, a stop is not.
"""

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import structlog
from gevent.event import Event as Signal
from gevent.threadpool import ThreadPool

from ..protocol.json_object import clean_text
from ..protocol.timestamps import timestamp
from ..protocol.trips import NAME_CHARS, REASON_CHARS
from ..protocol.ulid import new_ulid
from ..sql.audit import AuditRow, AuditTable
from ..sql.errors import StoreError
from ..sql.refusals import RETRY_REFUSED_S
from .audit_file import AuditFile
from .throttle import Throttle

MAX_QUEUED: Final = 10_000
"""Rows in memory while the disk does not take them."""
BATCH: Final = 500
RETRY_S: Final = 1.0
"""How long to wait when PostgreSQL is away; how often counted attempts are looked at."""
TARGET_CHARS: Final = 200


class AuditTrail:
    """The audit trail of one daemon; outlives its actors.

    Args:
        folder: The data directory.
        table: Where the rows go.
    """

    def __init__(self, folder: Path, table: AuditTable) -> None:
        self._file = AuditFile(folder)
        self._table = table
        self._throttle = Throttle()
        self._queue: deque[AuditRow] = deque()
        self._worker = ThreadPool(1)
        self._wake = Signal()
        self._settled = Signal()
        self._unreported = 0
        self._newest_ms = 0
        self._trouble = ""
        self._log: Any = structlog.get_logger(actor="audit")
        self._saved = 0
        self._again_at = 0.0
        self.lost = 0
        """Rows that neither disk nor memory had room for."""

    @property
    def pending(self) -> int:
        """How many rows PostgreSQL does not have."""
        return self._saved + len(self._queue)

    # -- anyone's greenlet -------------------------------------------------------------------

    def note(self, action: str, **fields: Any) -> None:
        """Add a row; fields as `AuditRow` has them. Never blocks, never raises."""
        self._add(self._row(action, fields))

    def note_often(self, action: str, *, alone: bool = True, **fields: Any) -> None:
        """Add a row for what may be repeated at will: beyond ten a minute they are counted.

        Args:
            action: as `note`.
            alone: whether the first of a minute have rows of their own.
            fields: as `note`.
        """
        row = self._throttle.take(self._row(action, fields), time.time(), alone=alone)
        if row is not None:
            self._add(row)

    def settle(self, limit_s: float) -> bool:
        """Wait until PostgreSQL has all rows; false if it does not within ``limit_s``."""
        return bool(self._settled.wait(limit_s)) if self.pending else True

    def page(self, *, limit: int, before: str | None, action: str | None) -> list[AuditRow]:
        """As `AuditTable.page`."""
        return self._table.page(limit=limit, before=before, action=action)

    def run(self) -> None:
        """Store until killed. Run it in a greenlet of its own."""
        self._saved += self._on_disk(self._file.count)
        while True:
            self._wake.wait(RETRY_S)
            self._wake.clear()
            for row in self._throttle.due(time.time()):
                self._add(row)
            is_new = bool(self._queue)
            self._save()
            if (is_new and not self._trouble) or time.monotonic() >= self._again_at:
                self._store()

    def close(self) -> None:
        """Put on disk what is in memory, counted attempts included; the next start stores it."""
        for row in self._throttle.due(float("inf")):
            self._add(row)
        self._save()
        self._on_disk(self._file.close)
        self._worker.kill()

    # -- its own greenlet --------------------------------------------------------------------

    def _row(self, action: str, fields: dict[str, Any]) -> AuditRow:
        """Ids rise even within a millisecond: pages are in their order."""
        unix_s = time.time()
        self._newest_ms = max(self._newest_ms + 1, int(unix_s * 1000))
        limits = {"reason": REASON_CHARS, "detail": REASON_CHARS, "target": TARGET_CHARS}
        cleaned: dict[str, Any] = {
            name: clean_text(value, limits.get(name, NAME_CHARS))
            if isinstance(value, str)
            else value
            for name, value in fields.items()
        }
        row_id = new_ulid((self._newest_ms + 0.5) / 1000)
        return AuditRow(row_id, timestamp(unix_s), action, **cleaned)

    def _add(self, row: AuditRow) -> None:
        if len(self._queue) >= MAX_QUEUED:
            self._lose(1)
            return
        self._queue.append(row)
        self._settled.clear()
        self._wake.set()

    def _lose(self, count: int) -> None:
        self.lost += count
        self._unreported += count
        if count and self.lost == count:
            self._log.error("audit rows lost: no room for more", pending=self.pending)

    def _save(self) -> None:
        """Move what is in memory to disk; it stays in memory while the disk refuses."""
        rows = [*self._queue]
        if not rows:
            return
        try:
            fitting = self._on_disk(self._file.append, rows)
        except OSError as error:
            self._say(f"disk: {error}")
            return
        self._saved += fitting
        self._take(len(rows))
        if beyond := len(rows) - fitting:
            self._lose(beyond)

    def _store(self) -> None:
        """Send to PostgreSQL what is on disk, then what the disk did not take."""
        self._again_at = time.monotonic() + RETRY_S
        try:
            self._store_saved()
            while rows := [*self._queue][:BATCH]:
                refused = self._table.insert(rows)
                self._take(len(rows))
                self._lose(len(refused))
        except StoreError as error:
            self._say(str(error))
            return
        self._trouble = ""
        self._again_at = time.monotonic() + RETRY_REFUSED_S
        if count := self._unreported:
            self._unreported = 0
            self.note("audit.lost", count=count, detail="there was no room for rows")
        if not self.pending:
            self._settled.set()

    def _store_saved(self) -> None:
        """Those that PostgreSQL refuses stay on disk, to be tried again later."""
        refused: list[AuditRow] = []
        try:
            self._file.rewind()
            while rows := self._on_disk(self._file.read):
                for start in range(0, len(rows), BATCH):
                    refused += self._table.insert(rows[start : start + BATCH])
            self._on_disk(self._file.keep, refused)
        except OSError as error:
            self._say(f"disk: {error}")
            return
        self._saved = len(refused)

    def _take(self, count: int) -> None:
        for _ in range(count):
            self._queue.popleft()

    def _on_disk(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """In the worker, which would print what is raised there."""

        def contained() -> Any:
            try:
                return function(*arguments)
            except OSError as error:
                return error

        result = self._worker.apply(contained)
        if isinstance(result, OSError):
            raise result
        return result

    def _say(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._log.warning("audit rows pending", pending=self.pending, reason=trouble)
