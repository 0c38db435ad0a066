"""What is known, and how sure that is: the copies' readings put together, and put into them.

While a copy that is needed has not been read, no permit is issued and the state may be unknown.
"""

import time
from collections.abc import Callable
from typing import Any

from ..actors.messages.state_keeper import KILLSWITCH_KEY, ShowState
from ..protocol.document import read_document, write_document
from ..protocol.permit import next_generation
from ..protocol.trips import Stop, Trip
from ..protocol.ways import Way
from .copies import keep_aside
from .foreign import damaged, found_document
from .heard_events import read_heard
from .intake import Decision, Origin, Verdict
from .readings import UNREAD, Copy, Reading
from .receipts import Receipts
from .resolve import Resolution, Unknown, resolve
from .state import Copies, Memory, Neighbours, holds

OnTrip = Callable[[Trip, str], None]
"""Called with each new trip that a copy means, already in `Memory`, and how it came."""


class Knowledge:
    """Of one run of the actor.

    Args:
        memory: what outlives it.
        copies: read and written.
        to: the neighbours.
        receipts: notified of every change.
        on_trip: announces trips.
        ahead: what is known once the releases under way count; copies are judged by it.
        log: the actor's.
    """

    def __init__(  # noqa: PLR0913 wired in one place
        self,
        memory: Memory,
        copies: Copies,
        to: Neighbours,
        receipts: Receipts,
        *,
        on_trip: OnTrip,
        ahead: Callable[[], Stop],
        log: Any,
    ) -> None:
        self._memory = memory
        self._copies = copies
        self._to = to
        self._receipts = receipts
        self._on_trip = on_trip
        self._ahead = ahead
        self._log = log
        self._readings: dict[Copy, Reading] = {}
        self._lapsed = False
        unread = Unknown("the copies have not been read yet", "it is known when they are")
        self._resolution = Resolution(Stop(), (), unread, resolved=False)

    @property
    def unknown(self) -> Unknown | None:
        """Why the state cannot be known."""
        return self._resolution.unknown

    def begin(self) -> None:
        """Read the latch; the guard may have put a stop there while there was no daemon."""
        self._copies.lease.forbid()
        self._copies.lease.ask_again()
        self._read_latch()
        self._readings |= {Copy.POSTGRES: UNREAD, Copy.REDIS: UNREAD}
        latched = _sets(self._readings[Copy.LATCH]).union(self._memory.stop)
        self.resolve()
        for trip in _sets(self._readings[Copy.GUARD]).trips:
            if not holds(latched, trip.id):
                self._on_trip(trip, "by the guard")

    def resolve(self) -> bool:
        """Put together what was read; returns whether that is enough to know."""
        before = self._resolution.unknown
        origin = Origin(Way.SQL, time.time())
        resolution = self._resolution = resolve(self._readings, origin, self._memory.stop)
        self._memory.stop = self._memory.stop.union(resolution.stop)
        self._keep_damage_aside(resolution.made)
        if resolution.unknown is None and not self._lapsed:
            generation = next_generation((self._memory.stop.generation,), time.time())
            self._memory.stop = self._memory.stop.with_generation(generation)
        self.put(self._memory.stop)
        for trip in resolution.made:
            self._on_trip(trip, "by a copy")
        if resolution.unknown is None:
            self._lapsed = False
            self._log.info("killswitch known", status=resolution.status)
            return True
        asked = UNREAD not in self._readings.values()
        if asked:  # until then a permit of before may run out
            self._copies.link.revoke()
        if before is None or before.why != resolution.unknown.why:
            say = self._log.warning if asked else self._log.info  # each start passes through it
            say("killswitch unknown", reason=resolution.unknown.why)
        return False

    def put(self, stop: Stop) -> None:
        """What is known from now on: all that depends on it follows."""
        self._memory.stop = stop
        self._receipts.observe(stop, time.monotonic())
        self._to.on_change(stop.stops_all)
        self._to.state_keeper.offer(ShowState(KILLSWITCH_KEY, self._shown(stop)))
        if stop.in_force or self.unknown is None:
            resolved = self._resolution.resolved
            self._copies.latch.want(stop, resolved=resolved, heard=self._memory.heard)
            self._copies.row.want(stop)
            self._copies.link.want(stop)
        self.issue()

    def _shown(self, stop: Stop) -> bytes:
        """Among the state's values; what is not known is not shown as allowed."""
        doubtful = self.unknown is not None and not stop.in_force
        says = {"enabled": True, "status": "unknown"} if doubtful else {}
        return write_document(stop, **says)

    def issue(self) -> None:
        """Permits are issued once the state is known, and the latch holds its generation."""
        stop, lease = self._memory.stop, self._copies.lease
        latched = self._copies.latch.held.generation == stop.generation
        if self.unknown is not None or stop.stops_all or not latched:
            lease.forbid()
        elif lease.stop != stop:
            lease.allow(stop)
            self._copies.link.want(stop)

    def read(self, copy: Copy, reading: Reading, token: object) -> bool:
        """A copy was read; returns whether it could not be asked before."""
        was_away = not self._readings.get(copy, reading).answers
        self._readings[copy] = reading
        if self.unknown is not None:
            self.resolve()
        elif reading.answers:
            self._unite(copy, reading)
        if reading.answers:
            holder = self._copies.row if copy is Copy.POSTGRES else self._copies.link
            holder.accept(token)
        return was_away and reading.answers

    def forget(self) -> None:
        """Drop releases that are 30 days old, once nothing could bring their trips back.

        Each copy holds all that is known, and the guard's slots, which it reports at its next
        start, hold no trip.
        """
        stop, copies = self._memory.stop, self._copies
        less = stop.forget(time.time())
        every = (copies.latch, copies.row, copies.link)
        if less == stop or any(copy.error or copy.held != stop for copy in every):
            return
        guards = copies.latch.read()[Copy.GUARD]
        if not guards.damage and not _sets(guards).in_force:
            self.put(less)
            self._log.info(
                "old releases forgotten", count=stop.release_count, kept=len(less.releases)
            )

    def read_again(self) -> None:
        """The permit has lapsed: another daemon, the guard, or a program may have acted.

        As at a start nothing is issued until the row has said what it holds, or that it is away;
        the generation stays, since nothing is known to have been released.
        """
        self._log.warning("the permit has lapsed: the copies are read again")
        self._read_latch()
        for copy in (Copy.LATCH, Copy.GUARD):
            self._unite(copy, self._readings[copy])
        self._lapsed, self._readings[Copy.POSTGRES] = True, UNREAD
        if self._readings[Copy.REDIS].answers:
            self._readings[Copy.REDIS] = Reading()  # what it held is united
        self.resolve()
        self._copies.lease.ask_again()
        self._copies.row.read_again()

    def _read_latch(self) -> None:
        readings = self._copies.latch.read()
        self._readings |= readings
        heard = read_heard(readings[Copy.LATCH].documents)
        if heard.last_at > self._memory.heard.last_at:
            self._memory.heard = heard

    def _unite(self, copy: Copy, reading: Reading) -> None:
        origin = Origin(Way.SQL, time.time())
        for data in reading.documents:
            known = self._memory.stop
            stop, decision = found_document(copy, data, self._ahead(), origin, xmin=reading.xmin)
            if known.union(stop) != known:
                self.put(known.union(stop))
            self._act_on(copy, data, decision)
        if reading.damage:
            data = b"".join(reading.damage)
            self._act_on(copy, data, damaged(copy, data, self._ahead(), origin))

    def _act_on(self, copy: Copy, data: bytes, decision: Decision | None) -> None:
        if decision is None or decision.verdict is not Verdict.NEW or decision.trip is None:
            return
        if decision.trip.way is Way.DAMAGE:
            self._keep_aside(copy, data)
        self._memory.stop = self._memory.stop.with_trip(decision.trip)
        self._on_trip(decision.trip, f"in {copy}")

    def _keep_damage_aside(self, made: tuple[Trip, ...]) -> None:
        for copy, reading in self._readings.items():
            if any(trip.triggered_by == f"damage:{copy}" for trip in made):
                self._keep_aside(copy, b"\n".join((*reading.damage, *reading.documents)))

    def _keep_aside(self, copy: Copy, data: bytes) -> None:
        try:
            path = keep_aside(self._copies.folder, copy, data)
        except OSError as error:
            self._log.error("damaged copy not kept aside", copy=copy, reason=str(error))
        else:
            self._log.error("a copy of the stop is damaged", copy=copy, kept_in=path.name)


def _sets(reading: Reading) -> Stop:
    stop = Stop()
    for data in reading.documents:
        stop = stop.union(read_document(data).stop)
    return stop
