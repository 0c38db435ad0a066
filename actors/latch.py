"""The latch: the killswitch's state in one small file, there when nothing else is."""

import os
import zlib
from pathlib import Path
from typing import Final

import msgspec
from gevent.threadpool import ThreadPool

from ..runtime import OrchestratorError, deadline
from .killswitch import KillswitchState, read_state

WRITE_LIMIT_S: Final = 1.0
"""A disk that takes longer is as good as none: the stop goes on without it."""


class LatchUnreadable(OrchestratorError):
    """The file is there and does not hold what was written."""


class LatchSlow(OrchestratorError):
    """The disk did not take the latch in time."""


class Latch:
    """``<data>/killswitch.latch``: one line with the CRC-32 of the next, and the state as JSON.

    Outlives the StateKeeper's incarnations; writing is done by one worker thread.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._worker = ThreadPool(1)

    def read(self) -> KillswitchState | None:
        """The state last written, or ``None`` if there never was one.

        Raises:
            LatchUnreadable: Damaged, or not readable at all.
        """
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LatchUnreadable(f"{self._path.name}: {error.strerror}") from error
        checksum, _, body = data.partition(b"\n")
        if checksum != b"%08x" % zlib.crc32(body):
            raise LatchUnreadable(f"{self._path.name}: its checksum does not fit")
        try:
            return read_state(body)
        except msgspec.DecodeError as error:
            raise LatchUnreadable(f"{self._path.name}: {error}") from error

    def write(self, state: KillswitchState) -> None:
        """Write and fsync ``state``, atomically; waits in this greenlet only.

        Raises:
            OSError: The disk refused.
            LatchSlow: It did not answer within a second (it may still take it).
        """
        with deadline(WRITE_LIMIT_S, LatchSlow("the disk did not take the latch in time")):
            self._worker.apply(self._write, (msgspec.json.encode(state),))

    def close(self) -> None:
        """End the worker."""
        self._worker.kill()

    def _write(self, body: bytes) -> None:
        temporary = self._path.with_suffix(".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(descriptor, b"%08x\n" % zlib.crc32(body) + body)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
