"""The thread that writes log lines, and the bounded queue before it."""

import contextlib
import os
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from gevent import monkey

# The real ones: a greenlet's queue or lock would not reach across threads.
_SimpleQueue: Final[Any] = monkey.get_original("queue", "SimpleQueue")
_start_thread: Final[Any] = monkey.get_original("_thread", "start_new_thread")
_allocate_lock: Final[Any] = monkey.get_original("_thread", "allocate_lock")
_sleep: Final[Any] = monkey.get_original("time", "sleep")

# Lines that wait are joined into one write of about this size.
_BATCH_BYTES: Final = 64 * 1024
_CLOSE_LIMIT_S: Final = 2.0
# A full stdout that is non-blocking (it may be shared) is tried again then.
_RETRY_S: Final = 0.01

_END: Final = b""


class Rotation(NamedTuple):
    """When a file is moved away, and how many such files stay."""

    max_bytes: int = 0
    """0: never."""
    keep: int = 5
    """``<file>.1`` is the newest."""


_NO_ROTATION: Final = Rotation()


class LogWriter:
    """Appends lines to a file or a descriptor, in a thread of its own.

    A file that was moved away (``logrotate``) is created again. A write that fails loses its
    lines; they are counted in :attr:`dropped` as are those that found the queue full.

    Args:
        file: Where to.
        fd: Where to without a file; stdout by default.
        capacity: Lines that may wait.
        reports_drops: Write a line about dropped lines once there is room again.
        rotation: Of the file, by ourselves.

    Raises:
        OSError: The file cannot be opened.
    """

    def __init__(
        self,
        file: Path | None = None,
        *,
        fd: int | None = None,
        capacity: int = 10_000,
        reports_drops: bool = True,
        rotation: Rotation = _NO_ROTATION,
    ) -> None:
        self._rotation = rotation
        self.dropped = 0
        self._file = file
        self._capacity = capacity
        self._reported = 0
        self._reports_drops = reports_drops
        self._closed = False
        self._queue = _SimpleQueue()
        self._fd = self._open() if file is not None else sys.stdout.fileno() if fd is None else fd
        self._ended = _allocate_lock()
        self._ended.acquire()
        _start_thread(self._run, ())

    @property
    def is_terminal(self) -> bool:
        """Whether a person looks at it."""
        return os.isatty(self._fd)

    def write(self, line: bytes) -> None:
        """Queue ``line``, its newline included; from any thread, never waits."""
        if self._closed or self._queue.qsize() >= self._capacity:
            self.dropped += 1
        else:
            self._queue.put(line)

    def close(self, timeout_s: float = _CLOSE_LIMIT_S) -> None:
        """Write pending lines, for at most ``timeout_s``, then stop; later lines are dropped."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(_END)
        self._ended.acquire(True, timeout_s)

    # -- in the thread -----------------------------------------------------------------------

    def _run(self) -> None:
        try:
            open_ = True
            while open_:
                batch, open_ = self._next_batch()
                self._report_drops(batch)
                self._write_out(b"".join(batch), len(batch))
        finally:
            if self._file is not None:
                with contextlib.suppress(OSError):
                    os.close(self._fd)
            self._ended.release()

    def _next_batch(self) -> tuple[list[bytes], bool]:
        batch, size = [], 0
        line = self._queue.get()
        while line != _END:
            batch.append(line)
            size += len(line)
            if size >= _BATCH_BYTES or self._queue.empty():
                return batch, True
            line = self._queue.get()
        return batch, False

    def _report_drops(self, batch: list[bytes]) -> None:
        missing = self.dropped - self._reported
        if missing and batch and self._reports_drops:
            self._reported += missing
            report = {"level": "warning", "event": "log lines dropped", "count": missing}
            batch.append(msgspec.json.encode(report) + b"\n")

    def _write_out(self, data: bytes, lines: int) -> None:
        try:
            if self._file is not None:
                self._follow_rotation(self._file)
            view = memoryview(data)
            while view:
                view = view[self._write_some(view) :]
        except OSError:
            self.dropped += lines

    def _write_some(self, view: memoryview) -> int:
        try:
            return os.write(self._fd, view)
        except BlockingIOError:
            _sleep(_RETRY_S)
            return 0

    def _follow_rotation(self, file: Path) -> None:
        ours = os.fstat(self._fd)
        if 0 < self._rotation.max_bytes <= ours.st_size:
            self._move_away(file)
        try:
            there = file.stat()
        except FileNotFoundError:
            there = None
        if there is None or (there.st_ino, there.st_dev) != (ours.st_ino, ours.st_dev):
            former, self._fd = self._fd, self._open()
            os.close(former)

    def _move_away(self, file: Path) -> None:
        names = [file, *(Path(f"{file}.{n}") for n in range(1, self._rotation.keep + 1))]
        for older, newer in reversed([*pairwise(names)]):
            with contextlib.suppress(FileNotFoundError):
                older.replace(newer)

    def _open(self) -> int:
        assert self._file is not None  # noqa: S101 the caller has looked
        return os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
