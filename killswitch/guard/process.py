"""The guard's process: listens to the daemon and acts.

stdin is the daemon's pipe: a line of JSON with its `Orders`, then ``beat`` every 250 ms from the
daemon's loop (answered on stdout), ``group <id>`` and ``forget <id>`` for the process groups of its
children, ``halted 0|1``, ``taken <trip id>`` once the daemon's latch holds a trip, and ``end``
before an orderly end. The other pipe brings a byte for each signal that the daemon gets, written by
C code: also of a daemon whose loop hangs. stdout takes reports to the daemon, a line of JSON each.

==================================  ==================================  ========================
what happens                        the stop                            besides
==================================  ==================================  ========================
a trip file, ``SIGUSR1``            slots, then key, permit, PUBLISH
no beat for ``silence_s``           the same, if ``on_silence = stop``
no beat for ``hang_exit_s``                                             SIGABRT, SIGKILL
end of file (the daemon is gone)    the same, if ``on_silence = stop``  its children's groups end
``end``                                                                 the guard ends
==================================  ==================================  ========================

Where trading is halted already, silence and end of file add no stop.
docs/adr/0004-what-the-guard-takes-for-silence.md has the reasons.
"""

import json
import os
import select
import signal
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from ...protocol.announcement import Stamp, announcement
from ...protocol.document import trip_fields
from ...protocol.targets import STOP_ALL
from ...protocol.timestamps import timestamp
from ...protocol.trips import Trip
from ...protocol.ways import Way
from ..intake import Origin, Verdict, called, found_file
from ..latch import GUARD_NAME, GUARD_SLOT_BYTES
from ..slots import SlotFile
from .bus import Bus, Delivery
from .orders import Orders, read_orders
from .orphans import end_orphans, is_stopped
from .silence import Finding, Silence
from .slot_writer import SlotWriter, slots_of
from .trip_files import TripFile, TripFiles

TURN_S: Final = 0.1
"""How often it looks."""
ABORT_S: Final = 2.0
"""From SIGABRT, at which the daemon prints its stacks, to SIGKILL."""
GONE_S: Final = 2.0
"""From the end of file to the end of the process."""
HOLD_S: Final = 0.5
"""A disk that takes longer than that for the slots does not keep the stop from the bus."""
DELIVER_S: Final = 5.0
"""How long it goes on for disk and Redis when the daemon is gone."""
READ_BYTES: Final = 64 * 1024


class Guard:
    """Listens to the daemon and acts.

    Args:
        orders: what to do where.
        signals_fd: the pipe that brings the numbers of signals.
    """

    def __init__(self, orders: Orders, signals_fd: int) -> None:
        self._orders = orders
        self._signals_fd = signals_fd
        self._silence = Silence(orders.silence_s, orders.hang_exit_s, time.monotonic())
        self._files = TripFiles(Path(orders.folder))
        self._groups: set[int] = set()
        self._halted = False
        self._published = 0
        self._boot = os.urandom(8).hex()
        self._kill_at: float | None = None
        slots = SlotFile(Path(orders.folder) / GUARD_NAME, GUARD_SLOT_BYTES)
        self._stop = slots_of(slots)
        """What the daemon's latch does not hold yet."""
        self._slots = SlotWriter(slots, lambda why: report(event="disk", trouble=why))
        self._bus = Bus(orders.redis_url, _published, lambda why: report(event="bus", trouble=why))

    def run(self, begun: bytes) -> None:
        """Guard until the daemon ends; ``begun`` was read together with the orders."""
        self._slots.start()
        self._bus.start()
        report(event="ready")
        for trip in self._stop.trips:  # a former guard may not have been heard
            report(event="engaged", trip=trip_fields(trip))
        poll = select.poll()
        poll.register(0, select.POLLIN)
        poll.register(self._signals_fd, select.POLLIN)
        buffer = begun
        while True:
            ready = {fd for fd, _ in poll.poll(TURN_S * 1000)}
            if self._signals_fd in ready:
                self._read_signals(poll)
            if 0 in ready or buffer:
                data = os.read(0, READ_BYTES) if 0 in ready else b""
                *lines, buffer = (buffer + data).split(b"\n")
                if any(self._obey(line.decode()) for line in lines):
                    return
                if 0 in ready and not data:
                    self._daemon_gone()
                    return
            self._look(time.monotonic())

    # -- what it hears -----------------------------------------------------------------------

    def _obey(self, line: str) -> bool:
        """Take a line from the daemon; returns whether it was the last."""
        word, _, rest = line.partition(" ")
        if word == "beat":
            report(event="beat")
        elif word == "group":
            self._groups.add(int(rest))
        elif word == "forget":
            self._groups.discard(int(rest))
        elif word == "halted":
            self._halted = rest == "1"
        elif word == "taken":
            trips = tuple(trip for trip in self._stop.trips if trip.id != rest)
            self._stop = replace(self._stop, trips=trips)
            self._slots.drop(rest)
        if self._silence.beat(time.monotonic()):
            self._kill_at = None
            report(event="heard", text="the daemon beats again")
        return word == "end"

    def _read_signals(self, poll: select.poll) -> None:
        numbers = os.read(self._signals_fd, 4096)
        if not numbers:
            poll.unregister(self._signals_fd)
        elif signal.SIGUSR1 in numbers:
            self._engage(self._called("SIGUSR1 was sent to the daemon", Way.SIGNAL))

    def _look(self, now: float) -> None:
        for file in self._files.look():
            self._take_file(file)
        if self._kill_at is not None:
            if now > self._kill_at:
                self._signal_daemon(signal.SIGKILL)
            return
        found = self._silence.look(now, stopped=is_stopped(self._orders.daemon_pid))
        if found is Finding.SILENT:
            self._fall_silent(f"no beat of the daemon for {self._orders.silence_s:g} s")
        elif found is Finding.HUNG:
            report(event="hung", text="the daemon hangs and is ended")
            say(f"no beat of the daemon for {self._orders.hang_exit_s:g} s: it is ended")
            self._signal_daemon(signal.SIGABRT)
            self._kill_at = now + ABORT_S

    def _take_file(self, file: TripFile) -> None:
        if file.ignored:
            text = f"{file.name} in the data directory is ignored: {file.ignored}"
            say(text)
            report(event="ignored", text=text)
            return
        decision = found_file(file.name, file.data, self._stop, Origin(Way.FILE, time.time()))
        if decision.verdict is Verdict.NEW and decision.trip is not None:
            self._engage(decision.trip)

    # -- what it does ------------------------------------------------------------------------

    def _fall_silent(self, reason: str, trip_id: str | None = None) -> None:
        """Nothing can be stopped now; where agents have no gate, nothing may act."""
        say(reason)
        if self._orders.on_silence != "stop" or self._halted:
            return
        trip = self._called(reason, Way.GUARD)
        self._engage(replace(trip, id=trip_id or trip.id))

    def _called(self, reason: str, way: Way) -> Trip:
        return called(reason, way, STOP_ALL, Origin(way, time.time()))

    def _engage(self, trip: Trip) -> None:
        """Slots; key, permit and PUBLISH once they hold; the daemon is informed at once."""
        self._halted = self._halted or trip.target == STOP_ALL
        self._published += 1
        now_s = time.time()
        stamp = Stamp(timestamp(now_s), self._published, self._boot, source="guard")
        payload = announcement(self._stop.with_trip(trip), stamp, trip=trip)
        self._stop = self._stop.with_trip(trip).with_published(trip.id, payload, now_s)
        known = self._stop.find(trip.id) or trip  # with the digest by which its echo is known
        held, due = self._slots.hold(known), time.monotonic() + HOLD_S
        self._bus.send(Delivery(known, payload, held, due))
        report(event="engaged", trip=trip_fields(known))

    def _signal_daemon(self, number: signal.Signals) -> None:
        if os.getppid() == self._orders.daemon_pid:
            with suppress(ProcessLookupError):
                os.kill(self._orders.daemon_pid, number)

    def _daemon_gone(self) -> None:
        """The pipe's other end is closed, and no ``end`` came."""
        limit = time.monotonic() + GONE_S
        while os.getppid() == self._orders.daemon_pid and time.monotonic() < limit:
            time.sleep(0.01)
        if os.getppid() == self._orders.daemon_pid:
            return  # it lives and has another guard
        self._fall_silent("the daemon has ended without saying so", self._orders.run)
        end_orphans(self._groups, self._orders.mark)
        if self._groups:
            say(f"ended {len(self._groups)} process groups that the daemon left")
        limit = time.monotonic() + DELIVER_S
        if not self._slots.wait_done(DELIVER_S):
            say("the stop is not on disk")
        if not self._bus.wait_done(max(0.0, limit - time.monotonic())):
            say("the stop could not be published")


def _published(delivery: Delivery, receivers: int) -> None:
    report(event="published", trip_id=delivery.trip.id, receivers=receivers)


def main() -> None:
    """Read the orders, then guard."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)  # only the daemon's end ends it
    os.set_blocking(1, False)
    begun = b""
    while b"\n" not in begun:
        data = os.read(0, READ_BYTES)
        if not data:
            return
        begun += data
    line, _, rest = begun.partition(b"\n")
    Guard(read_orders(line), int(sys.argv[1])).run(rest)


def report(**fields: object) -> None:
    """Send a line of JSON to the daemon; one that does not read, or is gone, misses it."""
    with suppress(OSError):
        os.write(1, json.dumps(fields).encode() + b"\n")


def say(text: str) -> None:
    """Write a line on stderr."""
    with suppress(OSError):
        os.write(2, f"orchestrator-guard: {text}\n".encode(errors="replace"))
