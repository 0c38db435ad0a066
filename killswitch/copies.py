"""Latch and PostgreSQL row: each is written again until it holds what is known.

A copy is never overwritten blindly: what it was found to hold goes to the Killswitch first, which
unites it, and accepts it; only what was accepted is replaced (`redis_link` does the same for the
key). Everything here outlives the actor's runs; their greenlets run it.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import gevent
import msgspec
import structlog
from gevent.event import Event as Signal
from gevent.threadpool import ThreadPool

from ..protocol.document import write_document
from ..protocol.trips import Stop
from ..sql.errors import StoreError
from ..sql.stop_row import StopRow, StopText
from .heard_events import HeardEvents
from .latch import Latch
from .readings import Condition, Copy, Reading, away, found, hidden

RETRY_S: Final = 0.5
"""After a write that failed."""
POLL_S: Final = 1.0
"""How often the row is read: what others write there is seen within 2 s."""


class CopyRead(msgspec.Struct, frozen=True):
    """What a copy holds: at the beginning, when another program has written it, when it is away."""

    copy: Copy
    """Which."""
    reading: Reading
    """What was found."""
    token: object = None
    """To be accepted once the reading has been united."""


class CopyHolds(msgspec.Struct, frozen=True):
    """A copy holds this; a write that failed is logged, and retried."""

    copy: Copy
    """Which."""
    stop: Stop
    """What it holds."""


class ReleaseLatched(msgspec.Struct, frozen=True):
    """What has become of a release that was proposed to the latch."""

    trip_id: str
    """Of which trip."""
    stop: Stop | None
    """With the release; ``None``: the latch does not hold it."""
    error: str = ""
    """Why not."""


Tell = Callable[[object], None]
"""Tells the Killswitch; does not wait."""
Proposal = tuple[str, Callable[[Stop], Stop]]


class LatchCopy:
    """The latch's writer.

    Args:
        latch: the files.
        on_held: called with what the latch holds whenever it has been written.
    """

    def __init__(self, latch: Latch, on_held: Callable[[Stop], None] = lambda _: None) -> None:
        self._latch = latch
        self._on_held = on_held
        self._worker = ThreadPool(1)
        self._filled = Signal()
        self._wanted: tuple[Stop, bool, HeardEvents] | None = None
        self._written: tuple[Stop, bool, HeardEvents] | None = None
        self._proposals: list[Proposal] = []
        self._log: Any = structlog.get_logger(actor="Killswitch", copy="latch")
        self.held = Stop()
        """What it is known to hold."""
        self.error: str | None = None
        """Why it could not be written last."""

    def read(self) -> dict[Copy, Reading]:
        """The daemon's slots and the guard's; waits for the disk."""
        return {
            Copy.LATCH: self._worker.apply(_read, (self._latch.read,)),
            Copy.GUARD: self._worker.apply(_read, (self._latch.read_guard,)),
        }

    def want(self, stop: Stop, *, resolved: bool, heard: HeardEvents) -> None:
        """Have this written."""
        self._wanted = (stop, resolved, heard)
        self._filled.set()

    def propose(self, trip_id: str, release: Callable[[Stop], Stop]) -> None:
        """Have a release written, once: if that fails it is forgotten."""
        self._proposals.append((trip_id, release))
        self._filled.set()

    def withdraw(self, trip_id: str) -> bool:
        """Take a proposal back; returns whether that was in time: the disk may have it else."""
        before = len(self._proposals)
        self._proposals = [one for one in self._proposals if one[0] != trip_id]
        return len(self._proposals) < before

    def run(self, tell: Tell) -> None:
        """Write until killed."""
        while True:
            self._filled.wait()
            self._filled.clear()
            while self._proposals:
                self._decide(tell, *self._proposals.pop(0))
            if self._wanted is not None and not self._write(tell, self._wanted):
                gevent.sleep(RETRY_S)
                self._filled.set()

    def close(self) -> None:
        """End the worker."""
        self._worker.kill()

    def _decide(self, tell: Tell, trip_id: str, release: Callable[[Stop], Stop]) -> None:
        if self._wanted is None:
            tell(ReleaseLatched(trip_id, None, "the state is not known yet"))
            return
        stop, resolved, heard = self._wanted
        wanted = (release(stop), resolved, heard)
        error = self._try(wanted)
        if error:  # the disk may have it all the same: it must not be found at the next start
            self._written = None
            self._try(self._wanted)
        tell(ReleaseLatched(trip_id, None if error else wanted[0], error or ""))

    def _write(self, tell: Tell, wanted: tuple[Stop, bool, HeardEvents]) -> bool:
        if wanted != self._written:
            if self._try(wanted) is not None:
                return False
            tell(CopyHolds(Copy.LATCH, wanted[0]))
        return True

    def _try(self, wanted: tuple[Stop, bool, HeardEvents]) -> str | None:
        """Write; returns why it failed, if so."""
        stop, resolved, heard = wanted
        error = self._worker.apply(_write, (self._latch, stop, resolved, heard))
        if error is not None:
            if self.error is None:
                self._log.error("killswitch not latched on disk, retried", reason=error)
            self.error = error
            return str(error)
        self.held, self._written, self.error = stop, wanted, None
        self._on_held(stop)
        return None


class RowCopy:
    """The row's reader and writer.

    Args:
        row: killswitch_status.
    """

    def __init__(self, row: StopRow) -> None:
        self._row = row
        self._filled = Signal()
        self._wanted: Stop | None = None
        self._accepted: str | None = None
        self._read: StopText | None = None
        self._read_at = 0.0
        self._asked = self._told = 0
        self._ending = False
        self._log: Any = structlog.get_logger(actor="Killswitch", copy="postgres")
        self.held = Stop()
        """What it is known to hold."""
        self.error: str | None = "not read yet"
        """Why it could not be read or written last."""

    def want(self, stop: Stop) -> None:
        """Have this written."""
        self._wanted = stop
        self._filled.set()

    def accept(self, token: object) -> None:
        """What was read is united: it may be replaced."""
        self._accepted = str(token)
        self._filled.set()

    def read_again(self) -> None:
        """Tell what it holds, or that it is away, even if that has not changed.

        An answer to what was asked before does not count: it may have been waiting, like this
        process, since before another program wrote.
        """
        self._asked += 1
        self.error = "not read yet"
        self._filled.set()

    def run(self, tell: Tell) -> None:
        """Read and write until `end`."""
        self._begin()
        while True:
            self._filled.clear()
            is_last, asked = self._ending, self._asked
            try:
                self._turn(tell)
            except StoreError as error:
                if asked == self._asked:
                    self._fail(tell, str(error))
                self._read_at = time.monotonic() + RETRY_S - POLL_S
            if is_last:
                return
            self._filled.wait(max(0.0, self._read_at + POLL_S - time.monotonic()))

    def _begin(self) -> None:
        self._read, self._ending = None, False
        self.error = "not read yet"  # so that each run says what it finds

    def end(self) -> None:
        """Write what is wanted, if that can be had, and return from `run`."""
        self._ending = True
        self._filled.set()

    def _turn(self, tell: Tell) -> None:
        if self._must_tell or time.monotonic() >= self._read_at + POLL_S:
            self._look(tell)
        while self._may_write() and (stop := self._wanted) is not None:
            assert self._read is not None  # noqa: S101 else nothing may be written
            xmin = self._row.write(write_document(stop), xmin=self._read.xmin)
            if xmin is None:
                self._look(tell)
                return
            self._read = StopText(b"", xmin)
            self._accepted, self.held = xmin, stop
            tell(CopyHolds(Copy.POSTGRES, stop))

    @property
    def _must_tell(self) -> bool:
        return self._read is None or self._told != self._asked

    def _look(self, tell: Tell) -> None:
        asked = None
        while asked != self._asked:
            asked = self._asked
            text = self._row.read()
        self._read_at = time.monotonic()
        known = self._read
        if self._must_tell or known is None or not _is_same(text, known):
            self._told = self._asked
            self.held = Stop()  # another program has written it, or it is not known
            tell(CopyRead(Copy.POSTGRES, _row_reading(text), text.xmin))
        self._read, self.error = text, "row security hides it" if text.hidden else None

    def _may_write(self) -> bool:
        read = self._read
        if read is None or read.hidden or read.xmin != self._accepted:
            return False
        return self._wanted is not None and self._wanted != self.held

    def _fail(self, tell: Tell, why: str) -> None:
        if self.error != why:
            self._log.warning("killswitch_status not reached, retried", reason=why)
            tell(CopyRead(Copy.POSTGRES, away(why)))
        self.error = why
        self._read = None


def _is_same(one: StopText, other: StopText) -> bool:
    return (one.xmin, one.hidden) == (other.xmin, other.hidden)


def _row_reading(text: StopText) -> Reading:
    if text.hidden:
        return hidden("orchestrator_state")
    return Reading() if text.value is None else found(text.value, xmin=text.xmin)


def _read(read: Callable[[], Reading]) -> Reading:
    """In the worker."""
    try:
        return read()
    except OSError as error:
        return Reading(Condition.FOUND, damage=(str(error).encode(),), why=str(error))


def _write(latch: Latch, stop: Stop, resolved: bool, heard: HeardEvents) -> str | None:  # noqa: FBT001 called in a thread
    """In the worker."""
    try:
        latch.write(stop, resolved=resolved, **heard.fields())
    except OSError as error:
        return str(error.strerror or error)
    return None


def keep_aside(folder: Path, copy: Copy, data: bytes) -> Path:
    """Keep bytes that were not what was written, for a person to look at.

    Raises:
        OSError: the disk refused.
    """
    path = folder / f"killswitch.{copy}.{int(time.time())}.damaged"
    path.write_bytes(data)
    return path
