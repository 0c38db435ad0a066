"""Writes the journal's newest segment; in the journal's worker, but for the syncing."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import gevent
from gevent.threadpool import ThreadPool

from .record_format import MAX_RECORD_BYTES
from .survey import Segment, segment_name


class SegmentWriter:
    """Appends to the last of ``segments``, and begins a new one where that is full.

    Args:
        folder: Where segments are.
        segments: The files, oldest first; what is begun is put behind.
        segment_bytes: Size at which a new one begins.
        fsync_interval_ms: Appends are synced within this time; 0: before they count.
    """

    def __init__(
        self, folder: Path, segments: list[Segment], *, segment_bytes: int, fsync_interval_ms: int
    ) -> None:
        self.disk_errors = 0
        """What failed without harm to any record."""
        self._folder = folder
        self._segments = segments
        self._segment_bytes = segment_bytes
        self._fsync_interval_ms = fsync_interval_ms
        self._file = -1
        self._syncer = ThreadPool(1)
        self._sync_timer: gevent.Greenlet | None = None

    @property
    def begun(self) -> bool:
        """Whether the last segment is being written."""
        return self._file != -1

    def attempt(self, call: Callable[..., object], *arguments: object) -> None:
        """Do what may fail without harm to any record, and count if it does."""
        try:
            call(*arguments)
        except OSError:
            self.disk_errors += 1

    def write(self, number: int, parts: tuple[bytes, bytes]) -> None:
        """Append a record; if that fails, no trace of it stays.

        Raises:
            OSError: The disk refused it.
        """
        size = len(parts[0]) + len(parts[1])
        if size > MAX_RECORD_BYTES:
            raise OSError(errno.EMSGSIZE, f"a record of {size} B")
        if not self.begun or self._segments[-1].size_bytes >= self._segment_bytes:
            self._begin_segment(number)
        segment = self._segments[-1]
        try:
            written = os.pwritev(self._file, parts, segment.size_bytes)
            if written != size:
                self._write_rest(b"".join(parts)[written:], segment.size_bytes + written)
            if not self._fsync_interval_ms:
                os.fdatasync(self._file)
        except OSError:
            self.attempt(os.ftruncate, self._file, segment.size_bytes)
            raise
        segment.size_bytes += size
        segment.last_number = number

    def _write_rest(self, rest: bytes, offset: int) -> None:
        """Write what a short write left; a full disk raises on the second attempt."""
        while rest:
            written = os.pwrite(self._file, rest, offset)
            rest, offset = rest[written:], offset + written

    def _begin_segment(self, number: int) -> None:
        path = self._folder / segment_name(number)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        if self.begun:
            self.attempt(os.fdatasync, self._file)
            os.close(self._file)
        self._file = file
        self._segments.append(Segment(path))

    def close(self) -> None:
        """Sync, and write no more."""
        if self.begun:
            self.attempt(os.fsync, self._file)
            os.close(self._file)
        self._file = -1

    # -- in the loop's thread ------------------------------------------------------------------

    def sync_later(self) -> None:
        """Have what was appended synced within the interval; returns at once."""
        if self._fsync_interval_ms and self._sync_timer is None:
            self._sync_timer = gevent.spawn_later(self._fsync_interval_ms / 1000, self._sync)

    def end_syncing(self) -> None:
        """End the thread that syncs."""
        if self._sync_timer is not None:
            self._sync_timer.kill()
            self._sync_timer = None
        self._syncer.kill()

    def _sync(self) -> None:
        """In a greenlet of its own, once per interval in which there were appends."""
        self._sync_timer = None
        if self.begun:
            file = os.dup(self._file)
            self._syncer.apply(self._sync_and_close, (file,))

    def _sync_and_close(self, file: int) -> None:
        self.attempt(os.fdatasync, file)
        os.close(file)
