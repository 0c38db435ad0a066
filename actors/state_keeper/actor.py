"""The StateKeeper: the system's state, above all the killswitch and the market regime.

Holds the killswitch's state (in the latch file and in PostgreSQL), the last regime, and values
that wait to be written. With a run die only answers under way; the successor reads the
latch and PostgreSQL. It writes through: every change goes to PostgreSQL at once, and until it is
there it is tried again; a newer value of a key replaces one that still waits.
"""

from collections.abc import Callable
from typing import Any, Final, assert_never

import gevent
import msgspec
from gevent.event import Event as Signal

from ...protocol.timestamps import utc_now
from ...protocol.ulid import new_ulid
from ...runtime import Actor, Address, OrchestratorError, Outbox
from ...sql.errors import StoreError
from ...sql.state import StateStore
from ..events import KILLSWITCH, REGIME, REJECTED, Event, NewEvent
from ..killswitch import KillswitchState, Trip, bus_payload, bus_trip, read_state
from ..latch import Latch, LatchUnreadable
from ..messages.broadcaster import KillswitchNotice
from ..messages.event_persister import PersistEvents
from ..messages.events import EventReplaced, EventsJournalled, StopFound, StopHeard
from ..messages.redis_listener import Published
from ..messages.state_keeper import (
    EngageKillswitch,
    EngageTrip,
    EngageUnderWay,
    GetKillswitch,
    GetRegime,
    GetState,
    KillswitchEngaged,
    KillswitchView,
    Message,
    ReleaseKillswitch,
    SetState,
)
from .regime import Regime, read_regime, regime_value
from .values import KILLSWITCH_KEY, REGIME_KEY, StateValues

ANSWER_WITHIN_S: Final = 0.5
"""How long an engage waits for Redis and PostgreSQL before it answers what it has."""

RETRY_S: Final = 1.0
"""How long to wait when PostgreSQL is away."""


class StateKeeper(Actor):
    """Keeps the system's state.

    Args:
        latch: The killswitch's file.
        store: Where the state is kept for others to read.
        persister: Gets the killswitch's events.
        broadcaster: Gets notices for the people at the screens.
        on_change: Told whether a stop is in force, now and whenever that may have changed.
    """

    drain_on_stop = True

    def __init__(
        self,
        *,
        latch: Latch,
        store: StateStore,
        persister: Address,
        broadcaster: Address,
        on_change: Callable[[bool], None] = lambda _: None,
    ) -> None:
        super().__init__()
        self._on_change = on_change
        self._latch = latch
        self._store = store
        self._broadcaster = broadcaster
        self._outbox = Outbox(persister, on_drop=self._dropped, urgent=True)
        self._killswitch = KillswitchState()
        self._unknown: str | None = "the state has not been read yet"
        self._latch_missing = False
        self._latch_damaged = False
        self._heard_before = self._killswitch
        self._values = StateValues()
        self._saving = Signal()
        self._answers: dict[str, EngageUnderWay] = {}
        self._saved_revision = 0

    # -- hooks -------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Read the latch; PostgreSQL is read beside, since it may be away."""
        try:
            latched = self._latch.read()
        except LatchUnreadable as error:
            self._latch_damaged, self._unknown = True, str(error)
            self.log.error(
                "killswitch unknown: engage and release it to set it right", reason=str(error)
            )
        else:
            self._latch_missing = latched is None
            if latched is not None:
                self._killswitch, self._unknown = latched, None
                self._heard_before = latched
                self._keep(KILLSWITCH_KEY, msgspec.json.encode(latched))
        self._take_guards_trip()
        self._on_change(self._killswitch.enabled)
        self.spawn(self._outbox.pump, name="outbox")
        self.spawn(self._load_then_save, name="writer")

    def on_stop(self) -> None:
        """Write what still waits, if PostgreSQL is there."""
        self._save_all()

    def on_receive(self, message: Message) -> Any:  # noqa: C901 one line a message
        """Dispatch."""
        match message:
            case EventsJournalled():
                self._handle_events(message)
            case EventReplaced() | StopHeard():
                self._look_at(message.event)
            case StopFound():
                self._look_back(message.event)
            case EngageKillswitch():
                self._handle_engage(message)
            case EngageTrip():
                self._engage(message.trip)  # a known one too: this takes it over from the guard
            case ReleaseKillswitch():
                return self._handle_release(message)
            case GetKillswitch():
                return KillswitchView(self._killswitch, self._unknown)
            case GetRegime():
                return self._handle_get_regime()
            case GetState():
                return self._values.rows()
            case SetState():
                self._keep(message.key, message.value)
            case Published():
                self._handle_published(message)
            case _:
                assert_never(message)
        return None

    # -- what the bus says -------------------------------------------------------------------

    def _handle_events(self, message: EventsJournalled) -> None:
        for event in message.events:
            if event.type in (KILLSWITCH, REGIME, REJECTED):
                self._look_at(event)

    def _look_at(self, event: Event) -> None:
        if event.type == REGIME:
            self._keep(REGIME_KEY, regime_value(event))
        elif event.type == KILLSWITCH or _rejected_channel(event) == KILLSWITCH:
            self._hear_killswitch(event)

    def _look_back(self, event: Event) -> None:
        """A stop of before the start; what came since must not make it look like one of old."""
        heard = self._heard_before.has_heard(event.id, event.ts)
        if not heard and (event.type == KILLSWITCH or _rejected_channel(event) == KILLSWITCH):
            self._engage_for(event)

    def _hear_killswitch(self, event: Event) -> None:
        if self._killswitch.has_heard(event.id, event.ts):
            return
        self._engage_for(event)

    def _engage_for(self, event: Event) -> None:
        self._killswitch = self._killswitch.heard(event.id, event.ts)
        trip = bus_trip(event.payload, self._killswitch, source=event.source, at=event.ts)
        if trip is not None and self._killswitch.trip(trip) is not self._killswitch:
            self._engage(trip)
            self.log.critical(
                "killswitch engaged from the bus", trip_id=trip.trip_id, event_id=event.id
            )

    def _handle_get_regime(self) -> Regime | None:
        row = self._values.get(REGIME_KEY)
        return None if row is None else read_regime(row)

    # -- the killswitch ----------------------------------------------------------------------

    def _handle_engage(self, message: EngageKillswitch) -> None:
        already_active = self._killswitch.enabled
        trip = Trip(new_ulid(), message.reason, message.triggered_by, utc_now())
        reply = self.defer_reply()
        latched = self._engage(trip)
        revision = self._killswitch.revision
        # The latch's fsync lets others run: PostgreSQL may have it by now.
        persisted = self._saved_revision >= revision
        result = KillswitchEngaged(
            trip, already_active, latched=latched, persisted=persisted, published_to=0
        )
        self._answers[trip.trip_id] = EngageUnderWay(reply, result, revision)
        self.after(ANSWER_WITHIN_S, lambda: self._answer(trip.trip_id))
        self._announce(trip, enabled=True, request_id=message.request_id)
        self.log.critical(
            "killswitch engaged",
            trip_id=trip.trip_id,
            reason=trip.reason,
            triggered_by=trip.triggered_by,
            request_id=message.request_id,
        )

    def _engage(self, trip: Trip) -> bool:
        """Put ``trip`` in force; say whether the latch holds it."""
        latched = self._set_killswitch(self._killswitch.trip(trip))
        data = msgspec.json.encode(msgspec.to_builtins(trip) | {"enabled": True})
        self._broadcaster.offer(KillswitchNotice(engaged=True, data=data), urgent=True)
        return latched

    def _handle_release(self, message: ReleaseKillswitch) -> KillswitchState:
        trips = {trip.trip_id: trip for trip in self._killswitch.trips}
        now = utc_now()
        state = self._killswitch.release(
            message.trip_id, reason=message.reason, by=message.released_by, at=now
        )
        self._set_killswitch(state)
        released = msgspec.structs.replace(
            trips[message.trip_id],
            reason=message.reason,
            triggered_by=message.released_by,
            at=now,
        )
        data = msgspec.json.encode(msgspec.to_builtins(released) | {"enabled": state.enabled})
        self._broadcaster.offer(KillswitchNotice(engaged=False, data=data), urgent=True)
        # With others in force the message names one of them: it comes back to us as an event, and
        # would engage the released one anew.
        announced = state.trips[-1] if state.trips else released
        self._announce(announced, enabled=state.enabled, request_id=message.request_id)
        self.log.critical(
            "killswitch released",
            trip_id=message.trip_id,
            reason=message.reason,
            released_by=message.released_by,
            still_active=state.enabled,
            request_id=message.request_id,
        )
        return state

    def _take_guards_trip(self) -> None:
        """Put in force what the guard has engaged while there was no StateKeeper to hear it."""
        try:
            trip = self._latch.read_guard()
        except LatchUnreadable as error:
            trip = Trip(new_ulid(), f"the guard's latch: {error}", "guard", utc_now())
        if trip is None:
            return
        new = self._killswitch.trip(trip) is not self._killswitch
        self._engage(trip)
        if new:
            self._announce(trip, enabled=True, request_id=None)
            self.log.critical(
                "killswitch was engaged by the guard", trip_id=trip.trip_id, reason=trip.reason
            )

    def _set_killswitch(self, state: KillswitchState) -> bool:
        self._killswitch = state
        self._unknown = None
        self._on_change(state.enabled)
        self._keep(KILLSWITCH_KEY, msgspec.json.encode(state))
        try:
            self._latch.write(state)
        except (OSError, OrchestratorError) as error:
            self.log.error("killswitch not latched on disk", reason=str(error))
            return False
        self._latch_missing = self._latch_damaged = False
        return True

    def _announce(self, trip: Trip, *, enabled: bool, request_id: str | None) -> None:
        payload = bus_payload(enabled=enabled, trip=trip, seq=self._killswitch.revision, at=trip.at)
        event = NewEvent(KILLSWITCH, payload, source="orchestrator", request_id=request_id)
        self._outbox.send(
            PersistEvents((event,), publish=True, reply_to=self.address, tag=trip.trip_id)
        )

    def _handle_published(self, message: Published) -> None:
        answer = self._answers.get(message.tag)
        if answer is not None:
            answer.published = True
            answer.result = msgspec.structs.replace(
                answer.result, published_to=message.receivers or 0
            )
            if answer.complete:
                self._answer(message.tag)

    def _answer(self, trip_id: str) -> None:
        answer = self._answers.pop(trip_id, None)
        if answer is not None:
            answer.reply.set(answer.result)

    # -- keeping -----------------------------------------------------------------------------

    def _keep(self, key: str, value: bytes) -> None:
        self._values.keep(key, value, now=utc_now())
        self._saving.set()

    def _load_then_save(self) -> None:
        while not self._load():
            gevent.sleep(RETRY_S)
        while True:
            self._saving.wait()
            self._saving.clear()
            if not self._save_all():
                gevent.sleep(RETRY_S)
                self._saving.set()

    def _load(self) -> bool:
        try:
            rows = self._store.load()
        except StoreError as error:
            if self._latch_missing:
                self._unknown = "neither a latch file nor PostgreSQL is there to tell"
            self.log.debug("state not readable yet", reason=str(error))
            return False
        for row in rows:
            if row.key == KILLSWITCH_KEY:
                self._merge_killswitch(bytes(row.value))
        self._values.merge(rows)
        if self._latch_missing and not self._killswitch.enabled:
            self._set_killswitch(self._killswitch)
        return True

    def _merge_killswitch(self, value: bytes) -> None:
        try:
            stored = read_state(value)
        except msgspec.DecodeError as error:
            self.log.error("killswitch_status in PostgreSQL is unreadable", reason=str(error))
            return
        # The latch is written first: a damaged one may have held a stop that PostgreSQL never saw.
        newer = stored.revision > self._killswitch.revision and not self._latch_damaged
        if newer or (stored.enabled and (self._latch_missing or self._latch_damaged)):
            self.log.warning("killswitch taken from PostgreSQL", enabled=stored.enabled)
            self._set_killswitch(stored)

    def _save_all(self) -> bool:
        """Write what waits, the killswitch first; say whether all of it is written."""
        while (unsaved := self._values.next_unsaved()) is not None:
            key, value = unsaved
            try:
                self._store.put(key, value)
            except StoreError as error:
                self.log.debug("state not written yet", key=key, reason=str(error))
                return False
            self._values.saved(key, value)
            if key == KILLSWITCH_KEY:
                self._saved(read_state(value).revision)
        return True

    def _saved(self, revision: int) -> None:
        self._saved_revision = max(self._saved_revision, revision)
        for trip_id, answer in list(self._answers.items()):
            if answer.revision <= revision:
                answer.result = msgspec.structs.replace(answer.result, persisted=True)
                if answer.complete:
                    self._answer(trip_id)

    def _dropped(self, message: object) -> None:
        self.log.error(
            "killswitch event dropped: the persister does not keep up", dropped=repr(message)
        )


class _RejectedPayload(msgspec.Struct):
    channel: str | None = None


def _rejected_channel(event: Event) -> str | None:
    return msgspec.json.decode(event.payload, type=_RejectedPayload).channel
