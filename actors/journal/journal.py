"""The journal: what the persister received and PostgreSQL may not have yet, on disk.

Append-only segments in ``<data>/journal``; the bytes are in ``_segments``. It outlives the
persister's runs: one object, made by the daemon, whose disk work runs in one worker
thread, in order (killing a greenlet does not stop its job, so a batch may be offered twice: an
append counts once, by its number).

What survives what: an appended record lies in the operating system's page cache, which survives
``kill -9`` of the daemon. ``fsync_interval_ms`` bounds what a power failure can take; syncing has a
thread of its own, since an append need not wait for it (with 0 it does).

Opening reads the end only, so that a journal of gigabytes holds nothing up; a new segment begins
then, so that nothing is ever written after a torn end. All the rest is read and checked by the
*survey*, concurrently with writing, in its own thread. Until it is done no segment goes. Then
one is deleted (or kept for ``keep_hours``, for a restored dump) when all it holds is committed;
a damaged one is moved to ``damaged/`` instead, for people to look at. (docs/adr/0008.)
"""

import errno
import os
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Final, TypeVar, cast

import gevent
import msgspec
from gevent.threadpool import ThreadPool
from pydantic import BaseModel, ConfigDict, Field

from ...runtime.errors import OrchestratorError
from .archive import HOUR_S, KeptSegments
from .reader import JournalReader, find_end
from .record_format import (
    SLOT_BYTES,
    Head,
    Record,
    decode_head,
    encode,
    encode_head,
)
from .segment_writer import SegmentWriter
from .survey import Inventory, JournalReport, Segment

T = TypeVar("T")

# Damaged segments kept for people to look at; the oldest go, so that they do not fill the disk.
DAMAGED_KEPT: Final = 16
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
SEGMENT_NAMES: Final = "[0-9]" * 20 + ".seg"


class JournalSettings(BaseModel):
    """Section ``[journal]``."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    segment_bytes: int = Field(default=16 * 1024 * 1024, ge=4096, le=1024 * 1024 * 1024)
    """Size at which a new segment begins; one segment is held in memory while reading back."""
    max_bytes: int = Field(default=8 * 1024 * 1024 * 1024, ge=64 * 1024)
    """Size of all segments at which appending is refused."""
    fsync_interval_ms: int = Field(default=1000, ge=0, le=3_600_000)
    """At most this much is lost to a power failure; 0 syncs each append before it counts."""
    keep_hours: float = Field(default=0, ge=0, le=24 * 366)
    """For how long segments are kept after all they hold is in PostgreSQL, so that `db refill` can
    bring a restored dump up to date; at most ``max_bytes`` of them. 0: not at all."""
    memory_bytes: int = Field(default=32 * 1024 * 1024, ge=1024 * 1024, le=64 * 1024**3)
    """Rows that wait for PostgreSQL in memory; beyond it they wait in the journal alone. While the
    disk refuses those, the oldest market data beyond it is given up, then others, never stops."""


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
        """What the survey found; what it has not looked at is not in it."""
        self.head = Head()
        """The last record, what is committed, and the sums."""
        self.bare_from: int | None = None
        """Found at opening: the last records have no ids, from this one on or from before it."""
        self.segments: list[Segment] = []
        """The files, oldest first; the last one is being written."""
        self.kept = KeptSegments(
            folder / "kept", self.settings.keep_hours * HOUR_S, self.settings.max_bytes
        )
        """Segments that are only there for a restored dump."""
        self._writer = SegmentWriter(
            folder,
            self.segments,
            segment_bytes=self.settings.segment_bytes,
            sync_each=not self.settings.fsync_interval_ms,
        )
        self._head_file = -1
        self._head_found: Head | None = None
        self._found: tuple[Segment, ...] = ()
        self._torn_bytes = 0
        self._surveyed = False
        self._worker = ThreadPool(1)
        self._syncer = ThreadPool(1)
        self._sync_timer: gevent.Greenlet | None = None
        self._surveyor = ThreadPool(1)
        self._committing = False
        self._committed: tuple[int, ...] = (0, 0, 0)

    @property
    def size_bytes(self) -> int:
        """What all segments hold together."""
        return sum(segment.size_bytes for segment in self.segments)

    @property
    def pending_rows(self) -> int:
        """Rows that are journalled and not known to be committed."""
        return self.head.rows_total - self.head.committed_rows

    @property
    def disk_errors(self) -> int:
        """Syncs, head writes and deletions that failed; no record is lost by one of these alone."""
        return self._writer.disk_errors

    # -- opening and closing -------------------------------------------------------------------

    def open(self) -> JournalReport:
        """Open it and read all that is there; waits for that (about a second per GB).

        Whatever the segments hold, this succeeds; what was damaged is in the report.

        Raises:
            OSError: The folder or a file in it cannot be made or read.
        """
        self.open_end()
        self.survey()
        return self.report

    def open_end(self) -> None:
        """Read what is needed to append; waits for the worker, however much there is not for long.

        Raises:
            OSError: The folder or a file in it cannot be made or read.
        """
        self.work(self._open_end)

    def survey(
        self,
        heed: Callable[[Record], object] = lambda _record: None,
        pause: Callable[[], object] = lambda: None,
    ) -> Inventory:
        """Read and check all segments found at the opening; blocks the caller, not the worker.

        Args:
            heed: Called with each record, in a thread of its own.
            pause: Called after each segment, by the caller.
        """
        first_number = self._found[0].first_number if self._found else None
        inventory = Inventory(self._head_found, first_number, heed)
        for segment in self._found:
            self._surveyor.apply(_read_into, (inventory, segment))
            pause()
        inventory.finish()
        inventory.report.torn_bytes += self._torn_bytes
        self.report, self._surveyed = inventory.report, True
        self.work(self._forget_committed)
        return inventory

    def close(self) -> None:
        """Finish what the worker has to do, sync, and end all threads; waits for that."""
        if self._sync_timer is not None:
            self._sync_timer.kill()
            self._sync_timer = None
        self._syncer.kill()
        self.work(self._close)
        self._worker.kill()
        self._surveyor.kill()

    def work(self, job: Callable[..., T], *arguments: object) -> T:
        """Run ``job`` in the worker, after what it already has to do, and wait for it."""
        # As a value: gevent's pool would log as an error of its own what the caller expects.
        result, error = self._worker.apply(_outcome, (job, arguments))
        if error is not None:
            raise error
        return cast("T", result)

    def later(self, job: Callable[..., object], *arguments: object) -> None:
        """Have ``job`` run in the worker, after what it already has to do; returns at once.

        Before it, what is not yet committed (:meth:`commit`) is not deleted. It must not raise.
        """
        self._worker.spawn(job, *arguments)

    def _open_end(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.folder / "head"
        self._head_file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._head_found = decode_head(os.pread(self._head_file, 2 * SLOT_BYTES, 0))
        paths = sorted(self.folder.glob(SEGMENT_NAMES))
        self.segments += (Segment(path, size_bytes=path.stat().st_size) for path in paths)
        for segment, after in pairwise(self.segments):
            segment.last_number = after.first_number - 1
        end = find_end(self._head_found, self.segments)
        self.head, self.bare_from = end.head, end.bare_from
        self._committed = (
            self.head.committed_number,
            self.head.committed_id,
            self.head.committed_rows,
        )
        self._forget_torn()
        self._found = tuple(self.segments)
        self.kept.open()

    def _forget_torn(self) -> None:
        """The first append to the last segment was cut short: its name is needed again."""
        while self.segments and self.segments[-1].first_number > self.head.last_number:
            torn = self.segments.pop()
            self._torn_bytes += torn.size_bytes
            lost = self._head_found is None and torn.size_bytes
            self._writer.attempt(self._set_aside if lost else Path.unlink, torn.path)

    def _close(self) -> None:
        self._writer.close()
        if self._head_file != -1:
            self._writer.attempt(os.fsync, self._head_file)
            os.close(self._head_file)
        self._head_file = -1

    # -- appending -----------------------------------------------------------------------------

    def append(self, record: Record) -> bool:
        """Write ``record`` after the last one; waits for the worker.

        Returns:
            Whether it was new: a number that is there already is not written again.

        Raises:
            JournalFull: There is no room for it, by the setting or on the disk.
            JournalUnavailable: The disk failed otherwise.
        """
        appended = self.work(self._append, record)
        interval_s = self.settings.fsync_interval_ms / 1000
        if appended and interval_s and self._sync_timer is None:
            self._sync_timer = gevent.spawn_later(interval_s, self._sync)
        return appended

    def _sync(self) -> None:
        """In a greenlet of its own, once per interval in which there were appends."""
        self._sync_timer = None
        if self._writer.begun:
            self._syncer.apply(self._writer.sync)

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
            self._write_where_room(record.number, parts)
        except OSError as error:
            full = error.errno in _FULL
            raise (JournalFull if full else JournalUnavailable)(str(error)) from error
        self._write_head(
            last_at_ms=at_ms,
            last_number=record.number,
            highest_id=max(self.head.highest_id, record.last_id),
            rows_total=self.head.rows_total + record.rows,
        )
        return True

    def _write_where_room(self, number: int, parts: tuple[bytes, bytes]) -> None:
        """Write; on a full disk segments that are merely kept go first."""
        try:
            self._writer.write(number, parts)
        except OSError as error:
            if error.errno not in _FULL or not self.kept.give_up():
                raise
            self._writer.write(number, parts)

    def _write_head(self, **changes: int) -> None:
        self.head = msgspec.structs.replace(self.head, sequence=self.head.sequence + 1, **changes)
        offset, slot = encode_head(self.head)
        self._writer.attempt(os.pwrite, self._head_file, slot, offset)

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

        None before the survey: only it finds those that are damaged, which are set aside.
        """
        if not self._surveyed:
            return
        closed = self.segments[:-1] if self._writer.begun else self.segments
        for segment in list(closed):
            if segment.last_number <= self.head.committed_number:
                self.segments.remove(segment)
                forget = self._set_aside if segment.damaged else self.kept.take
                self._writer.attempt(forget, segment.path)
        self.kept.expire()

    def _set_aside(self, path: Path) -> None:
        folder = self.folder / "damaged"
        folder.mkdir(exist_ok=True, mode=0o700)
        path.rename(folder / path.name)
        for old in sorted(folder.glob("*.seg"))[:-DAMAGED_KEPT]:
            old.unlink()

    # -- reading back --------------------------------------------------------------------------

    def reader(self, *, after: int) -> JournalReader:
        """A reader of the records after number ``after``."""
        return JournalReader(self.segments, self.work, after=after)


def _outcome(
    job: Callable[..., T], arguments: tuple[object, ...]
) -> tuple[T | None, Exception | None]:
    try:
        return job(*arguments), None
    except Exception as error:  # noqa: BLE001 it is raised in the caller's greenlet
        return None, error


def _read_into(inventory: Inventory, segment: Segment) -> None:
    try:
        data = segment.path.read_bytes()
    except OSError as error:
        inventory.add_unreadable(segment, str(error))
    else:
        inventory.add(segment, data)
