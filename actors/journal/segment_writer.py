"""Writes the journal's newest segment; in the journal's worker."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

from .record_format import MAX_RECORD_BYTES
from .survey import Segment, segment_name


class SegmentWriter:
    """Appends to the last of ``segments``, and begins a new one where that is full.

    Args:
        folder: Where segments are.
        segments: The files, oldest first; what is begun is appended.
        segment_bytes: Size at which a new one begins.
        sync_each: Whether each append is synced before it counts.
    """

    def __init__(
        self, folder: Path, segments: list[Segment], *, segment_bytes: int, sync_each: bool
    ) -> None:
        self.disk_errors = 0
        """What failed without harm to any record."""
        self._folder = folder
        self._segments = segments
        self._segment_bytes = segment_bytes
        self._sync_each = sync_each
        self._file = -1

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
            if self._sync_each:
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

    def sync(self) -> None:
        """Sync what was written; in a thread of its own, while more may be written."""
        try:
            file = os.dup(self._file)
        except OSError:
            self.disk_errors += 1
            return
        self.attempt(os.fdatasync, file)
        os.close(file)
