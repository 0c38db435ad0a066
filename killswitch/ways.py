"""The ways of a stop that need neither HTTP nor a server: SIGUSR1, trip files, the guard."""

import math
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG
from typing import Any, Final

import gevent
import structlog
from gevent.threadpool import ThreadPool

from ..actors.messages.killswitch import Engage, FileFound, TakeTrip
from ..protocol.trips import Trip
from ..protocol.ways import Way
from ..runtime import Address, OrchestratorError
from .guard.link import GuardLink
from .regular_files import NotRegular, read_regular

GUARD_LIMIT_S: Final = 1.0
"""The guard engages within milliseconds of a signal or a file: it goes first where it lives."""
LOOK_S: Final = 0.25
"""How often the data directory is looked at."""
READ_BYTES: Final = 4096
HAND_MADE: Final = ("TRIP", "killswitch")
"""Files that a person makes, and removes before a release."""
LATCH_LIMIT_S: Final = 5.0
"""How long the latch may take before a trip file is looked at again."""
_WITH_ID: Final = re.compile(r"TRIP\.[0-9A-HJKMNP-TV-Z]{26}")

Seen = tuple[str, int, int]
"""Name, inode and time of a file: one that is recreated is another one."""


class TripFiles:
    """Trip files in the data directory: ``TRIP``, ``killswitch``, ``TRIP.<ulid>``.

    Args:
        folder: the data directory.
        killswitch: gets `FileFound`.
        guard: looks for them as well.
    """

    def __init__(self, folder: Path, killswitch: Address, guard: GuardLink) -> None:
        self._folder = folder
        self._killswitch = killswitch
        self._guard = guard
        self._worker = ThreadPool(1)
        self._first_seen: dict[Seen, float] = {}
        self._taken: set[Seen] = set()
        self._log: Any = structlog.get_logger(actor="Killswitch")

    def hand_made(self) -> list[str]:
        """Names of those that a person has to remove before a release."""
        return [seen[0] for seen in _look(self._folder) if seen[0] in HAND_MADE]

    def run(self) -> None:
        """Look until killed."""
        while True:
            for seen in self._worker.apply(lambda: list(_look(self._folder))):
                self._consider(seen)
            gevent.sleep(LOOK_S)

    def close(self) -> None:
        """End the worker."""
        self._worker.kill()

    def _consider(self, seen: Seen) -> None:
        now = time.monotonic()
        first = self._first_seen.setdefault(seen, now)
        waits = self._guard.connected and now - first < GUARD_LIMIT_S
        if seen in self._taken or waits:
            return
        data = self._worker.apply(_read, (self._folder / seen[0],))
        if data is None:  # replaced by something else meanwhile
            return
        try:
            self._killswitch.ask(FileFound(seen[0], data), timeout_s=LATCH_LIMIT_S, urgent=True)
        except OrchestratorError as error:
            self._log.warning("trip file not handled, retried", name=seen[0], reason=str(error))
            return
        self._taken.add(seen)
        if seen[0] not in HAND_MADE:
            path = self._folder / seen[0]
            with suppress(OSError):
                path.rename(path.with_name(f"{path.name}.taken"))


class Ways:
    """SIGUSR1 and the guard's reports.

    Args:
        killswitch: engages.
    """

    def __init__(self, killswitch: Address) -> None:
        self._killswitch = killswitch
        self._signalled_at = -math.inf

    def signalled(self, guard: GuardLink) -> None:
        """SIGUSR1: the guard has seen it too, and faster; engage here if it does not say so."""
        if guard.connected:
            gevent.sleep(GUARD_LIMIT_S)
        if time.monotonic() - self._signalled_at > 2 * GUARD_LIMIT_S:
            reason = "SIGUSR1 was sent to the daemon"
            self._killswitch.offer(Engage(reason, "signal", way=Way.SIGNAL), urgent=True)

    def guard_tripped(self, trip: Trip) -> None:
        """The guard has engaged a stop."""
        if trip.way is Way.SIGNAL:
            self._signalled_at = time.monotonic()
        self._killswitch.offer(TakeTrip(trip), urgent=True)


def _look(folder: Path) -> Iterator[Seen]:
    """The trip files that are there; regular ones only."""
    with suppress(OSError):
        for path in folder.iterdir():
            if path.name in HAND_MADE or _WITH_ID.fullmatch(path.name):
                with suppress(OSError):
                    found = path.lstat()
                    if S_ISREG(found.st_mode):
                        yield path.name, found.st_ino, found.st_mtime_ns


def _read(path: Path) -> bytes | None:
    """In the worker: the file's beginning; ``None`` if it is no regular file."""
    try:
        return read_regular(path, READ_BYTES)
    except NotRegular:
        return None
    except OSError:
        return b""
