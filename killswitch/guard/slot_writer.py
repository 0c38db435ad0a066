"""Writes the guard's slots in a thread of its own: a disk that hangs keeps nothing else."""

import threading
import time
from collections.abc import Callable
from typing import Final

from ...protocol.document import read_document, write_document
from ...protocol.trips import Stop, Trip, stop_of
from ..slots import SLOTS, SlotFile

RETRY_S: Final = 0.25
"""After a disk has refused."""


class SlotWriter(threading.Thread):  # noqa: TID251 no gevent here
    """Keeps trips in the slots until the daemon has taken them.

    Reads before each write and unites: the guard of a daemon that has just ended may still be
    writing to the same file.

    Args:
        file: the guard's slots.
        on_trouble: called in this thread with the reason why the disk refuses, each once; empty
            when it no longer does.
    """

    def __init__(self, file: SlotFile, on_trouble: Callable[[str], None]) -> None:
        super().__init__(name="slots", daemon=True)
        self._file = file
        self._on_trouble = on_trouble
        self._trouble = ""
        self._trips: dict[str, Trip] = {}
        self._taken: set[str] = set()
        self._waiting: list[threading.Event] = []
        self._todo = self._requests = 0
        self._changed = threading.Condition()

    def hold(self, trip: Trip) -> threading.Event:
        """Write ``trip``; the event is set once the disk has it."""
        held = threading.Event()
        with self._changed:
            self._trips[trip.id] = trip
            self._waiting.append(held)
            self._request(1)
        return held

    def drop(self, trip_id: str) -> None:
        """The daemon's latch holds it: overwrite every slot that does."""
        with self._changed:
            self._taken.add(trip_id)
            self._trips.pop(trip_id, None)
            self._request(SLOTS)

    def _request(self, writes: int) -> None:
        self._todo = max(self._todo, writes)
        self._requests += 1
        self._changed.notify_all()

    def wait_done(self, limit_s: float) -> bool:
        """Wait until all is written; returns whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._todo, limit_s)

    def run(self) -> None:
        """Write whenever there is something to write."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._todo > 0)
                requests, waiting = self._requests, tuple(self._waiting)
            try:
                self._write()
            except Exception as error:  # noqa: BLE001 no surprise may end the writing
                self._say(f"the stop is not on disk: {error}")
                time.sleep(RETRY_S)
                continue
            with self._changed:
                self._todo -= self._requests == requests  # else once more, for what came since
                self._waiting = [held for held in self._waiting if held not in waiting]
                self._changed.notify_all()
            for held in waiting:
                held.set()
            self._say("")

    def _write(self) -> None:
        known = slots_of(self._file)
        with self._changed:
            trips = (*known.trips, *self._trips.values())
            kept = stop_of(trip for trip in trips if trip.id not in self._taken)
        self._file.write(write_document(kept))

    def _say(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._on_trouble(trouble)


def slots_of(file: SlotFile) -> Stop:
    """All trips that the file holds; damage is the daemon's to find."""
    stop = Stop()
    for body in file.read().bodies:
        stop = stop.union(read_document(body).stop)
    return stop
