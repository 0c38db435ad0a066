"""The Killswitch: one door in, one door out; all ways of a stop go through it.

Its decisions are made in pure modules (`resolve`, `intake`, `foreign`, `receipts`, `lease`). What
it knows is in `Memory`, which outlives its runs, as do the copies' writers; when a run
ends only pending answers and receipts are lost.

::

    HTTP, socket ──Engage, Release──▶ │            │ ──▶ latch (fsync)
    guard, SIGUSR1 ──TakeTrip────────▶ │            │ ──▶ killswitch_status (PostgreSQL)
    trip files ──FileFound───────────▶ │ Killswitch │ ──▶ key, permit, PUBLISH, XADD (Redis)
    persister ──events───────────────▶ │            │ ──▶ screens, log
    monitor ──BeatsHeard─────────────▶ │            │ ──▶ answers, once something holds it
"""

import time
from dataclasses import replace
from functools import partial
from typing import Any, Final, assert_never

import gevent

from ..actors.events import Event
from ..actors.messages.durable_stream import StreamProgress
from ..actors.messages.events import EventReplaced, EventsJournalled, StopFound, StopHeard, Surveyed
from ..actors.messages.heartbeat_monitor import Canary
from ..actors.messages.killswitch import (
    BeatsHeard,
    Drill,
    Effective,
    Engage,
    Engaged,
    FileFound,
    GetEffective,
    GetKillswitch,
    Hearing,
    KillswitchView,
    Release,
    Released,
    ResumeAgent,
    TakeTrip,
)
from ..protocol.announcement import Ended
from ..protocol.permit import next_generation
from ..protocol.timestamps import utc_now
from ..protocol.trips import Stop, Trip
from ..protocol.ways import Way
from ..runtime import Actor, DeferredReply, give_way
from ..sql.events.stream_position import STREAM
from .announcer import Announcer
from .answers import GIVE_UP_S, PUBLISH_S, SETTLE_S, Answers, EngageUnderWay
from .copies import CopyHolds, CopyRead, ReleaseLatched
from .drill import Drills
from .foreign import is_written_again
from .heard_events import HeardEvents, concerns_stop, in_turns, read_message
from .intake import (
    Decision,
    Origin,
    Verdict,
    adopted,
    called,
    found_file,
    heard,
    heard_beat,
    with_id,
)
from .knowledge import Knowledge
from .readings import Copy
from .receipts import Receipts
from .redis_link import Announced, LeaseLapsed, NotStreamed
from .state import (
    Copies,
    FileStillThere,
    Memory,
    Neighbours,
    NotLatched,
    NotResumable,
    WrongTrip,
    holds,
    not_in_force,
    once_released,
)
from .transitions import Transitions

LOOK_S: Final = 0.5
"""How often overdue receipts are looked at, and an unknown state is resolved again."""
FORGET_S: Final = 600.0
"""How often old releases are looked for."""
TIMER_SLACK_S: Final = 0.002
"""A timer may fire a little early."""
LAST_WRITE_S: Final = 1.0
"""At a stop: how long PostgreSQL and Redis may take."""


class Killswitch(Actor):
    """Keeps the stop.

    Args:
        memory: outlives this run.
        copies: likewise.
        to: whom it tells.
    """

    drain_on_stop = True

    def __init__(self, *, memory: Memory, copies: Copies, to: Neighbours) -> None:
        super().__init__()
        self._memory = memory
        self._copies = copies
        self._to = to
        self._receipts = Receipts()
        self._answers = Answers(lambda: copies.link.error)
        self._releases: dict[str, tuple[Release, DeferredReply | None]] = {}
        self._heard_before = memory.heard
        self._alerted: frozenset[str] = frozenset()
        self._writers: list[gevent.Greenlet] = []

    # -- hooks -------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Read the latch; PostgreSQL and Redis are read in parallel: they may be away."""
        copies = self._copies
        self._transitions = Transitions(self._memory, self._to, self._receipts, self.after)
        self._announcer = Announcer(
            self._memory,
            copies.link,
            self._to,
            put=lambda stop: self._knowledge.put(stop),  # noqa: PLW0108 made below
            after=self.after,
            transitions=self._transitions,
            log=self.log,
        )
        self._knowledge = Knowledge(
            self._memory,
            copies,
            self._to,
            self._receipts,
            on_trip=self._announcer.engaged,
            ahead=self._ahead,
            log=self.log,
        )
        self._drills = Drills(
            self._receipts, copies.link, after=self.after, on_result=self._transitions.drilled
        )
        self._knowledge.begin()
        tell_self = partial(self.address.tell, urgent=True)
        self._heard_before = self._memory.heard
        self.spawn(self._announcer.run, name="outbox")
        self.spawn(copies.latch.run, tell_self, name="latch")
        self._writers = [
            self.spawn(copies.link.run, tell_self, name="redis"),
            self.spawn(copies.row.run, tell_self, name="row"),
        ]
        self.every(LOOK_S, self._look)
        self.every(FORGET_S, self._knowledge.forget)

    def on_stop(self) -> None:
        """Write what is pending; the permit goes, since no agent could be stopped from now on."""
        self._copies.lease.forbid()
        self._copies.link.end()
        self._copies.row.end()
        gevent.joinall(self._writers, timeout=LAST_WRITE_S)

    def on_receive(self, message: Any) -> Any:  # noqa: C901, PLR0911, PLR0912 one line a message
        """Dispatch."""
        match message:
            case Engage():
                return self._handle_engage(message)
            case Release():
                return self._handle_release(message)
            case GetKillswitch():
                return self._view()
            case GetEffective():
                return self._effective(message.agent)
            case ResumeAgent():
                return self._handle_resume(message)
            case TakeTrip():
                return self._handle_take(message)
            case FileFound():
                return self._handle_file(message)
            case EventsJournalled():
                return self._handle_events(message)
            case EventReplaced() | StopHeard():
                return self._hear(message.event, self._memory.heard)
            case StopFound():
                return self._hear(message.event, self._heard_before)
            case BeatsHeard():
                return self._handle_beats(message)
            case Hearing():
                return self._receipts.hearing(message, time.monotonic())
            case Drill():
                return self._drills.begin(message, self.defer_reply)
            case CopyRead():
                return self._handle_read(message)
            case CopyHolds():
                return self._settle()
            case ReleaseLatched():
                return self._handle_latched(message)
            case Announced():
                return self._handle_announced(message)
            case NotStreamed():
                return self._announcer.store(message.announcement.payload)
            case StreamProgress(journalled):
                return self._copies.link.unheard.stream_read_to((journalled.ms, journalled.seq))
            case Canary():
                return self._copies.link.unheard.bus_read_to(message.connection, message.sent_at)
            case Surveyed():
                return self._copies.link.unheard.journal_is_read(read=message.done)
            case LeaseLapsed():
                return self._knowledge.read_again()
            case _:
                assert_never(message)

    def _handle_read(self, message: CopyRead) -> None:
        before = self._memory.stop.trips
        is_back = self._knowledge.read(message.copy, message.reading, message.token)
        if self._memory.stop.trips != before or (is_back and message.copy is Copy.REDIS):
            self._announcer.retell()

    # -- the door in -------------------------------------------------------------------------

    def _handle_engage(self, message: Engage) -> None:
        already = self._memory.stop.in_force
        origin = _origin(message.way)
        trip = called(message.reason, message.triggered_by, message.target, origin)
        trip = with_id(trip, message.trip_id, self._memory.stop)
        now = time.monotonic()
        result = Engaged(trip, already, self._receipts.standing((trip,), now))
        self._answers.add(EngageUnderWay(self.defer_reply(), result, now))
        for seconds in (SETTLE_S, PUBLISH_S, GIVE_UP_S):
            self.after(seconds + TIMER_SLACK_S, self._settle)
        if self._memory.stop.find(trip.id) is None:
            self._engage(trip, "", message)

    def _engage(self, trip: Trip, how: str, asked: Engage | None = None) -> None:
        self._memory.stop = self._memory.stop.with_trip(trip)
        self._announcer.engaged(trip, how, asked)

    def _handle_take(self, message: TakeTrip) -> None:
        if not holds(self._memory.stop, message.trip.id):  # the guard tells it again at its start
            self._take(message.trip, "by the guard")

    def _take(self, trip: Trip, how: str) -> None:
        """Put a trip in force whose message, on the bus already, is its event."""
        self._knowledge.put(self._memory.stop.with_trip(trip))
        self._announcer.show(trip, how)
        self._announcer.retell()

    def _handle_file(self, message: FileFound) -> None:
        decision = found_file(message.name, message.data, self._ahead(), _origin(Way.FILE))
        reply = self.defer_reply()
        if (trip := self._decided(decision, "by a file")) is None:  # released since
            reply.set(True)
            return
        self._answers.add_file(trip.id, reply)
        self._settle()

    def _handle_events(self, message: EventsJournalled) -> None:
        for event in in_turns(message.events, give_way):
            self._hear(event, self._memory.heard)

    def _hear(self, event: Event, heard_before: HeardEvents) -> None:
        """A stop on the bus or in the stream; what was heard before a crash is left out."""
        if not concerns_stop(event) or event in heard_before:
            return
        self._memory.heard = self._memory.heard.plus(event)
        way = Way.STREAM if event.channel == STREAM else Way.BUS
        stop, origin = self._ahead(), replace(_origin(way), source=event.source)
        decision, how = heard(event.payload, stop, origin, read_message), f"from the {way}"
        if decision.verdict is Verdict.NEW and decision.trip is not None:
            self._take(adopted(decision.trip, stop, event.source), how)
        else:
            self._decided(decision, how, event.source)

    def _handle_beats(self, message: BeatsHeard) -> None:
        now = time.monotonic()
        for sender, beat in message.beats:
            self._drills.heard(sender.agent, beat.drill, now)
            decision = heard_beat(sender.agent, beat, self._ahead(), _origin(Way.BEAT))
            if decision is not None:
                self._decided(decision, "by an agent's receipt")
            for receipt in self._receipts.heard(sender, beat, self._memory.stop, now):
                if receipt.quiet_s in (None, receipt.halted_s):  # its first
                    self._to.on_halted(receipt.halted_s)
                self.log.info("receipt", **receipt.fields())

    def _decided(self, decision: Decision, how: str, by: str | None = None) -> Trip | None:
        """Do what was decided about something that came in; returns the trip it means."""
        self._transitions.decided(decision, how, by)
        if decision.verdict is Verdict.NEW and decision.trip is not None:
            self._engage(decision.trip, how)
        elif decision.verdict is Verdict.FALSE:
            self._announcer.retell()
        return decision.trip

    # -- answers -----------------------------------------------------------------------------

    def _settle(self) -> None:
        """Something has been written, or time has passed: issue permits, answer what is due."""
        self._knowledge.issue()
        latch, row = self._copies.latch.held, self._copies.row.held
        self._answers.settle(latch=latch, row=row, receipts=self._receipts, now=time.monotonic())

    def _handle_announced(self, message: Announced) -> None:
        self._answers.announced(
            message.trip_id, receivers=message.receivers, streamed=message.streamed
        )
        self._settle()

    # -- the door out ------------------------------------------------------------------------

    def _handle_release(self, message: Release) -> None:
        self._check_release(message.trip_id)
        at, unix_s = utc_now(), time.time()

        def released(stop: Stop) -> Stop:
            known = stop.union(self._memory.stop)
            generation = next_generation((known.generation,), unix_s)
            return known.with_release(message.trip_id, at, generation)

        self._releases[message.trip_id] = (message, self.defer_reply())
        self._copies.latch.propose(message.trip_id, released)
        self.after(GIVE_UP_S, lambda: self._give_up_release(message.trip_id))

    def _check_release(self, trip_id: str) -> None:
        if self._memory.stop.find(trip_id) is None:
            raise WrongTrip(not_in_force(self._memory.stop, trip_id))
        if trip_id in self._releases:
            raise WrongTrip(f"trip {trip_id} is being released")
        if names := self._to.hand_made():
            raise FileStillThere(f"remove {' and '.join(names)} from the data directory first")

    def _handle_latched(self, message: ReleaseLatched) -> None:
        asked, reply = self._releases.pop(message.trip_id, (None, None))
        if message.stop is None:
            if reply is not None:
                reply.set_exception(NotLatched(f"not released, not on disk: {message.error}"))
            return
        trip = self._memory.stop.find(message.trip_id)
        self._memory.stop = self._memory.stop.union(message.stop)
        if trip is None:
            return
        late = "the Killswitch had failed meanwhile"
        reason, by = (asked.reason, asked.released_by) if asked else (late, "unknown")
        self._announcer.released(Ended(trip, reason, by), asked)
        if reply is not None:
            again = is_written_again(self._memory.stop, trip)
            reply.set(Released(trip, self._view(), again))

    def _ahead(self) -> Stop:
        """What is known once the releases under way count: no new stop joins what they end."""
        return once_released(self._memory.stop, self._releases)

    def _give_up_release(self, trip_id: str) -> None:
        asked, reply = self._releases.pop(trip_id, (None, None))
        if asked is None or reply is None:
            return
        late = "" if self._copies.latch.withdraw(trip_id) else "; it counts if that still takes it"
        reply.set_exception(NotLatched(f"not released: the disk does not answer{late}"))
        if late:
            self._releases[trip_id] = asked, None

    def _handle_resume(self, message: ResumeAgent) -> int:
        found = self._effective(message.agent)
        if not found.has_gate:
            raise NotResumable(f"{message.agent} is not known to have a gate")
        if found.permission in ("halt", "unknown"):
            raise NotResumable(f"a stop is in force for {message.agent}: release it first")
        self._knowledge.put(self._memory.stop.with_resumed(message.agent))
        self.log.warning("agent resumed", agent=message.agent, resumed_by=message.resumed_by)
        return self._memory.stop.generation

    # -- looking -----------------------------------------------------------------------------

    def _look(self) -> None:
        if self._knowledge.unknown is not None and self._knowledge.resolve():
            self._announcer.retell()
        now, stop = time.monotonic(), self._memory.stop
        late = frozenset(self._receipts.overdue(stop, now))
        if late - self._alerted:
            self.log.error("agents have not acknowledged the stop", agents=sorted(late))
        self._alerted = late
        for agent in self._receipts.to_end(stop, self._to.managed, now):
            self.log.critical("agent ended: its gate does not acknowledge the stop", agent=agent)
            self._receipts.forget(agent)
            self._to.on_silent(agent)

    def _view(self) -> KillswitchView:
        unknown = self._knowledge.unknown
        why = None if unknown is None else f"{unknown.why}; {unknown.way_out}"
        stop = self._memory.stop
        return KillswitchView(stop, why, self._receipts.standing(stop.trips, time.monotonic()))

    def _effective(self, agent: str) -> Effective:
        unknown = self._knowledge.unknown is not None
        return self._receipts.effective(agent, self._memory.stop, unknown=unknown)


def _origin(way: Way) -> Origin:
    return Origin(way, time.time())
