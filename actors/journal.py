"""The journal: what the persister received and PostgreSQL may not have yet, on disk.

Append-only segments in ``<data>/journal``; the bytes are in ``_segments``. It outlives the
persister's incarnations: one object, made by the daemon, whose disk work runs in one worker
thread, in order (killing a greenlet does not stop its job, so a batch may be offered twice: an
append counts once, by its number).

What survives what: an appended record lies in the operating system's page cache, which survives
``kill -9`` of the daemon. ``fsync_interval_ms`` bounds what a power failure can take; syncing has a
thread of its own, since an append need not wait for it (with 0 it does).

On opening, everything is read once; a new segment begins then, so that nothing is ever written
behind a torn end. A segment is deleted (or kept for ``keep_hours``, for a restored dump) when all
it holds is committed; a damaged one is moved to ``damaged/`` instead, for people to look at.
"""

import errno
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import gevent
import msgspec
from gevent.threadpool import ThreadPool
from pydantic import BaseModel, ConfigDict, Field

from ..runtime.errors import OrchestratorError
from ..sql.stream_position import StreamPosition
from ._inventory import Inventory, JournalReport, Segment, segment_name
from ._kept_segments import HOUR_S, KeptSegments
from ._segments import (
    MAX_RECORD_BYTES,
    SLOT_BYTES,
    Damage,
    Head,
    IdRange,
    Record,
    RecordKind,
    decode_head,
    encode,
    encode_head,
    scan,
)

__all__ = [
    "Head",
    "IdRange",
    "Journal",
    "JournalFull",
    "JournalReader",
    "JournalReport",
    "JournalSettings",
    "JournalUnavailable",
    "Record",
    "RecordKind",
]

T = TypeVar("T")

# Damaged segments kept for people to look at; the oldest go, so that they do not fill the disk.
DAMAGED_KEPT = 16


class JournalSettings(BaseModel):
    """Section ``[journal]``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    segment_bytes: int = Field(default=16 * 1024 * 1024, ge=4096, le=1024 * 1024 * 1024)
    """Size at which a new segment begins; one segment is held in memory while reading back."""
    max_bytes: int = Field(default=8 * 1024 * 1024 * 1024, ge=64 * 1024)
    """Size of all segments at which appending is refused."""
    fsync_interval_ms: int = Field(default=1000, ge=0, le=3_600_000)
    """At most this much is lost to a power failure; 0 syncs each append before it counts."""
    keep_hours: float = Field(default=0, ge=0, le=24 * 366)
    """For how long segments are kept after all they hold is in PostgreSQL, so that `db refill` can
    bring a restored dump up to date; at most ``max_bytes`` of them. 0: not at all."""


class JournalUnavailable(OrchestratorError):
    """The disk refused an append; what was offered is not in the journal."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"cannot append to the journal: {self.reason}"


class JournalFull(JournalUnavailable):
    """The journal has reached ``max_bytes``, or the disk is full."""


class Journal:
    """Append, read back, and forget what is committed.

    All methods belong to the loop's thread; those that wait say so. State changes in the
    worker only, one job at a time.
    """

    def __init__(self, folder: Path, settings: JournalSettings | None = None) -> None:
        self.folder = folder
        self.settings = settings or JournalSettings()
        self.report = JournalReport()
        """What opening found."""
        self.head = Head()
        """The last record, what is committed, and the sums."""
        self.assigned: dict[int, tuple[IdRange, ...]] = {}
        """Found at opening: ids of records that were journalled without, by their numbers."""
        self.unassigned: list[int] = []
        """Found at opening: records that have no ids yet, in order."""
        self.moved: set[int] = set()
        """Found at opening: ids whose rows were journalled again under new ids."""
        self.stream: StreamPosition | None = None
        """Found at opening: how far the durable stream was read."""
        self.uncommitted: Counter[str] = Counter()
        """Found at opening: rows that are not known to be committed, by lane."""
        self.unassigned_rows: Counter[str] = Counter()
        """Found at opening: those of them that have no ids yet."""
        self.moved_rows: Counter[str] = Counter()
        """Found at opening: rows among them that were journalled again, by lane."""
        self.disk_errors = 0
        """Syncs, head writes and deletions that failed; no record is lost by one of these alone."""
        self.segments: list[Segment] = []
        """The files, oldest first; the last one is being written."""
        self.kept = KeptSegments(
            folder / "kept", self.settings.keep_hours * HOUR_S, self.settings.max_bytes
        )
        """Segments that are only there for a restored dump."""
        self._file = -1
        self._head_file = -1
        self._worker = ThreadPool(1)
        self._syncer = ThreadPool(1)
        self._committing = False
        self._committed: tuple[int, ...] = (0, 0, 0)
        self._sync_timer: gevent.Greenlet | None = None

    @property
    def size_bytes(self) -> int:
        """What all segments hold together."""
        return sum(segment.size_bytes for segment in self.segments)

    @property
    def pending_rows(self) -> int:
        """Rows that are journalled and not known to be committed."""
        return self.head.rows_total - self.head.committed_rows

    # -- opening and closing -------------------------------------------------------------------

    def open(self) -> JournalReport:
        """Read what is there; waits for the worker (about a second per GB).

        Whatever the segments hold, this succeeds; what was damaged is in the report.

        Raises:
            OSError: The folder or a file in it cannot be made or read.
        """
        return self.work(self._open)

    def close(self) -> None:
        """Finish what the worker has to do, sync, and end both threads; waits for that."""
        if self._sync_timer is not None:
            self._sync_timer.kill()
            self._sync_timer = None
        self.work(self._close)
        self._worker.kill()
        self._syncer.kill()

    def work(self, job: Callable[..., T], *arguments: object) -> T:
        """Run ``job`` in the worker, behind what it already has to do, and wait for it."""
        # As a value: gevent's pool would log as an error of its own what the caller expects.
        result, error = self._worker.apply(_outcome, (job, arguments))
        if error is not None:
            raise error
        return cast("T", result)

    def later(self, job: Callable[..., object], *arguments: object) -> None:
        """Have ``job`` run in the worker, behind what it already has to do; returns at once.

        Before it, what is not yet committed (:meth:`commit`) is not deleted. It must not raise.
        """
        self._worker.spawn(job, *arguments)

    def _open(self) -> JournalReport:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.folder / "head"
        self._head_file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        head = decode_head(os.pread(self._head_file, 2 * SLOT_BYTES, 0))
        paths = sorted(self.folder.glob("[0-9]" * 20 + ".seg"))
        inventory = Inventory(head, int(paths[0].stem) if paths else None)
        self.segments = [inventory.add(path, path.read_bytes()) for path in paths]
        self.head = head = inventory.finish()
        self.report = inventory.report
        self.assigned, self.unassigned = inventory.assigned, inventory.unassigned
        self.moved, self.stream = inventory.moved, inventory.stream
        self.uncommitted, self.moved_rows = inventory.uncommitted, inventory.moved_rows
        for rows in inventory.unassigned_rows.values():
            self.unassigned_rows.update(rows)
        self._committed = (head.committed_number, head.committed_id, head.committed_rows)
        self.kept.open()
        self._forget_committed()
        return self.report

    def _close(self) -> None:
        for file in (self._file, self._head_file):
            if file != -1:
                self._try(os.fsync, file)
                os.close(file)
        self._file = self._head_file = -1

    def _try(self, call: Callable[..., object], *arguments: object) -> None:
        """Do what may fail without harm to any record, and count if it does."""
        try:
            call(*arguments)
        except OSError:
            self.disk_errors += 1

    # -- appending -----------------------------------------------------------------------------

    def append(self, record: Record) -> bool:
        """Write ``record`` behind the last one; waits for the worker.

        Returns:
            Whether it was new: a number that is there already is not written again.

        Raises:
            JournalFull: There is no room for it, by the setting or on the disk.
            JournalUnavailable: The disk failed otherwise.
        """
        appended = self.work(self._append, record)
        if appended and self.settings.fsync_interval_ms and self._sync_timer is None:
            wait_s = self.settings.fsync_interval_ms / 1000
            self._sync_timer = gevent.spawn_later(wait_s, self._sync)
        return appended

    def _append(self, record: Record) -> bool:
        if record.number <= self.head.last_number:
            return False
        at_ms = time.time_ns() // 1_000_000
        record = msgspec.structs.replace(record, rows_before=self.head.rows_total, at_ms=at_ms)
        parts = encode(record)
        size = len(parts[0]) + len(parts[1])
        if self.size_bytes + size > self.settings.max_bytes:
            raise JournalFull(f"it holds {self.size_bytes} of at most {self.settings.max_bytes} B")
        try:
            self._write_where_room(record.number, parts, size)
        except OSError as error:
            full = error.errno in {errno.ENOSPC, errno.EDQUOT}
            raise (JournalFull if full else JournalUnavailable)(str(error)) from error
        self._write_head(
            last_at_ms=at_ms,
            last_number=record.number,
            highest_id=max(self.head.highest_id, record.last_id),
            rows_total=self.head.rows_total + record.rows,
        )
        return True

    def _write_where_room(self, number: int, parts: tuple[bytes, bytes], size: int) -> None:
        """Write; on a full disk segments that are merely kept go first."""
        try:
            self._write(number, parts, size)
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT} or not self.kept.give_up():
                raise
            self._write(number, parts, size)

    def _write(self, number: int, parts: tuple[bytes, bytes], size: int) -> None:
        if size > MAX_RECORD_BYTES:
            raise OSError(errno.EMSGSIZE, f"a record of {size} B")
        if self._file == -1 or self.segments[-1].size_bytes >= self.settings.segment_bytes:
            self._begin_segment(number)
        segment = self.segments[-1]
        try:
            written = os.pwritev(self._file, parts, segment.size_bytes)
            if written != size:
                self._write_rest(b"".join(parts)[written:], segment.size_bytes + written)
            if not self.settings.fsync_interval_ms:
                os.fdatasync(self._file)
        except OSError:
            self._try(os.ftruncate, self._file, segment.size_bytes)
            raise
        segment.size_bytes += size
        segment.last_number = number

    def _write_rest(self, rest: bytes, offset: int) -> None:
        """Write what a short write left; a full disk raises on the second attempt."""
        while rest:
            written = os.pwrite(self._file, rest, offset)
            rest, offset = rest[written:], offset + written

    def _begin_segment(self, number: int) -> None:
        path = self.folder / segment_name(number)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        if self._file != -1:
            self._try(os.fdatasync, self._file)
            os.close(self._file)
        self._file = file
        self.segments.append(Segment(path))

    def _write_head(self, **changes: int) -> None:
        self.head = msgspec.structs.replace(self.head, sequence=self.head.sequence + 1, **changes)
        offset, slot = encode_head(self.head)
        self._try(os.pwrite, self._head_file, slot, offset)

    def _sync(self) -> None:
        """In a greenlet of its own, once per interval in which there were appends."""
        self._sync_timer = None
        if self._file != -1:
            file = os.dup(self._file)
            self._syncer.apply(self._sync_and_close, (file,))

    def _sync_and_close(self, file: int) -> None:
        self._try(os.fdatasync, file)
        os.close(file)

    # -- forgetting ----------------------------------------------------------------------------

    def commit(self, number: int, *, committed_id: int, rows_through: int = 0) -> None:
        """Note that all records up to ``number`` are in PostgreSQL; returns at once.

        Args:
            number: The last such record.
            committed_id: The highest id of theirs.
            rows_through: Rows journalled ever, up to and with that record.
        """
        before = self._committed
        wanted = (number, committed_id, rows_through)
        self._committed = tuple(map(max, before, wanted))
        if not self._committing:
            self._committing = True
            self._worker.spawn(self._commit)

    def _commit(self) -> None:
        self._committing = False
        number, committed_id, rows = self._committed
        self._write_head(committed_number=number, committed_id=committed_id, committed_rows=rows)
        self._forget_committed()

    def _forget_committed(self) -> None:
        """Delete segments of which all is committed, but not the one being written.

        One that holds no record at all (the first append to it was cut short) goes at once:
        its name will be needed again.
        """
        closed = self.segments[:-1] if self._file != -1 else self.segments
        for segment in list(closed):
            if segment.last_number <= self.head.committed_number:
                self.segments.remove(segment)
                self._try(self._set_aside if segment.damaged else self.kept.take, segment.path)
        self.kept.expire()

    def _set_aside(self, path: Path) -> None:
        folder = self.folder / "damaged"
        folder.mkdir(exist_ok=True, mode=0o700)
        path.rename(folder / path.name)
        for old in sorted(folder.glob("*.seg"))[:-DAMAGED_KEPT]:
            old.unlink()

    # -- reading back --------------------------------------------------------------------------

    def reader(self, *, after: int) -> "JournalReader":
        """A reader of the records behind number ``after``."""
        return JournalReader(self, after)


def _outcome(
    job: Callable[..., T], arguments: tuple[object, ...]
) -> tuple[T | None, Exception | None]:
    try:
        return job(*arguments), None
    except Exception as error:  # noqa: BLE001 it is raised in the caller's greenlet
        return None, error


class JournalReader:
    """Reads records in order, one segment's bytes in memory at a time.

    It may reach the end while records are still being appended, and go on later.
    """

    def __init__(self, journal: Journal, after: int) -> None:
        self.number = after
        """The last record read."""
        self._journal = journal
        self._first_number = 0
        self._offset = 0
        self._records: list[Record] = []

    def next(self) -> Record | None:
        """The next record, None at the end; waits for the worker where it must read."""
        while not self._records:
            if not self._journal.work(self._load):
                return None
        record = self._records.pop()
        self.number = record.number
        return record

    def _load(self) -> bool:
        """Read what comes next into memory, in the worker; say whether there was anything."""
        for segment in self._journal.segments:
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
        found = [record for _end, record in scan(data) if not isinstance(record, Damage)]
        self._offset += len(data)
        self._records = [record for record in reversed(found) if record.number > self.number]
