"""The latch: the killswitch's state in one small file, there when nothing else is."""

import os
import zlib
from pathlib import Path
from typing import Final

import msgspec
from gevent.threadpool import ThreadPool

from ..runtime import OrchestratorError, deadline
from .killswitch import KillswitchState, Trip, read_state

WRITE_LIMIT_S: Final = 1.0
"""A disk that takes longer is as good as none: the stop goes on without it."""


class LatchUnreadable(OrchestratorError):
    """The file is there and does not hold what was written."""


class LatchSlow(OrchestratorError):
    """The disk did not take the latch in time."""


class Latch:
    """``<data>/killswitch.latch``: one line with the CRC-32 of the next, and the state as JSON.

    Outlives the StateKeeper's incarnations; writing is done by one worker thread. A file beside it
    is written by the guard alone, so that the two never write the same one: a trip that waits there
    until the StateKeeper has put it in force.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.guard_path = path.with_suffix(".guard")
        self._worker = ThreadPool(1)

    def read(self) -> KillswitchState | None:
        """The state last written, or ``None`` if there never was one.

        Raises:
            LatchUnreadable: Damaged, or not readable at all.
        """
        body = _read(self._path)
        if body is None:
            return None
        try:
            return read_state(body)
        except msgspec.DecodeError as error:
            raise LatchUnreadable(f"{self._path.name}: {error}") from error

    def read_guard(self) -> Trip | None:
        """The guard's trip that has not been put in force yet, if there is one.

        Raises:
            LatchUnreadable: There is something, but nothing that can be understood.
        """
        body = _read(self.guard_path)
        if body is None:
            return None
        try:
            return msgspec.json.decode(body, type=Trip)
        except msgspec.DecodeError as error:
            raise LatchUnreadable(f"{self.guard_path.name}: {error}") from error

    def write(self, state: KillswitchState) -> None:
        """Write and fsync ``state``, atomically; waits in this greenlet only.

        A trip of the guard's that is in it need not wait any longer and is removed.

        Raises:
            OSError: The disk refused.
            LatchSlow: It did not answer within a second (it may still take it).
        """
        with deadline(WRITE_LIMIT_S, LatchSlow("the disk did not take the latch in time")):
            self._worker.apply(self._write, (state,))

    def close(self) -> None:
        """End the worker."""
        self._worker.kill()

    def _write(self, state: KillswitchState) -> None:
        body = msgspec.json.encode(state)
        temporary = self._path.with_suffix(".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(descriptor, b"%08x\n" % zlib.crc32(body) + body)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(self._path)
        self._clear_guard(state)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _clear_guard(self, state: KillswitchState) -> None:
        try:
            trip = self.read_guard()
        except LatchUnreadable:
            trip = state.trips[-1] if state.trips else None  # stands for what cannot be read
        if trip is not None and any(trip.trip_id == known.trip_id for known in state.trips):
            self.guard_path.unlink(missing_ok=True)


def _read(path: Path) -> bytes | None:
    """The body of a file with a checksum; ``None`` if there is no file.

    Raises:
        LatchUnreadable: It is damaged, or not readable at all.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LatchUnreadable(f"{path.name}: {error.strerror}") from error
    checksum, _, body = data.partition(b"\n")
    if checksum != b"%08x" % zlib.crc32(body):
        raise LatchUnreadable(f"{path.name}: its checksum does not fit")
    return body
