"""Tells everybody what has changed: the bus, the event store, the screens, the log.

A trip and a release are one event each: published and put into the durable stream in one packet,
and stored as the stream brings them back; while Redis is away they are stored at once. The stop in
force announced again is no event.
"""

import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from ..actors.events import KILLSWITCH, NewEvent
from ..actors.messages.broadcaster import KillswitchNotice
from ..actors.messages.event_persister import PersistEvents
from ..actors.messages.killswitch import Asker, Engage, Release
from ..protocol.announcement import Ended, Stamp, announcement
from ..protocol.document import public_fields
from ..protocol.excerpt import excerpt
from ..protocol.timestamps import utc_now
from ..protocol.trips import Stop, Trip
from ..runtime import Outbox
from .redis_link import Announcement, RedisLink
from .state import Memory, Neighbours
from .transitions import Transitions

RETELL_S: Final = 1.0
"""The stop in force is published again at most this often."""


class Announcer:
    """Of one run of the actor.

    Args:
        memory: what is known; each message's digest is added before it is published.
        link: publishes.
        to: the neighbours.
        put: puts in force what is known, with the digest, before the message goes out.
        after: calls a function after a delay in seconds, in the actor.
        transitions: notes them.
        log: the actor's.
    """

    def __init__(  # noqa: PLR0913 wired in one place
        self,
        memory: Memory,
        link: RedisLink,
        to: Neighbours,
        *,
        put: Callable[[Stop], None],
        after: Callable[[float, Callable[[], object]], object],
        transitions: Transitions,
        log: Any,
    ) -> None:
        self._memory = memory
        self._link = link
        self._to = to
        self._put = put
        self._after = after
        self._transitions = transitions
        self._log = log
        self._outbox = Outbox(to.persister, on_drop=self._dropped, urgent=True)
        self._retold_at = 0.0
        self._retell_due = False

    def run(self) -> None:
        """Forward events that the persister had no room for, until killed."""
        self._outbox.pump()

    def engaged(self, trip: Trip, how: str, asked: Engage | None = None) -> None:
        """A trip is in force."""
        self._announce(trip.id, trip.id, trip=trip)
        self.show(trip, how, asked)

    def show(self, trip: Trip, how: str, asked: Engage | None = None) -> None:
        """Notice, log line and audit row alone, for a trip that its maker has announced."""
        request_id = asked.request_id if asked else None
        self._transitions.engaged(trip, how, asked.asker if asked else Asker(), request_id)
        self._notice(public_fields(trip), engaged=True)
        self._log.critical(
            f"killswitch engaged {how}".rstrip(),
            trip_id=trip.id,
            reason=trip.reason,
            triggered_by=trip.triggered_by,
            level=trip.target.level.value,
            scope=trip.target.scope,
            request_id=request_id,
        )

    def released(self, ended: Ended, asked: Release | None) -> None:
        """A release counts."""
        request_id = asked.request_id if asked else None
        self._transitions.released(ended, asked.asker if asked else Asker(), request_id)
        self._announce(ended.trip.id, "", ended=ended)
        words = {"reason": ended.reason, "triggered_by": ended.by, "at": utc_now()}
        self._notice(public_fields(ended.trip) | words, engaged=False)
        self._log.critical(
            "killswitch released",
            trip_id=ended.trip.id,
            reason=ended.reason,
            released_by=ended.by,
            still_active=self._memory.stop.in_force,
            request_id=request_id,
        )

    def store(self, payload: bytes) -> None:
        """Have an event stored that the durable stream does not have."""
        event = NewEvent(KILLSWITCH, payload, source="orchestrator")
        self._outbox.send(PersistEvents((event,)))

    def retell(self) -> None:
        """Publish the stop in force again: no event, and at most once a second."""
        if self._retell_due or not self._memory.stop.in_force or not self._link.connected:
            return
        self._retell_due = True
        wait_s = self._retold_at + RETELL_S - time.monotonic()
        self._after(max(0.0, wait_s), self._retell_now)

    def _retell_now(self) -> None:
        self._retell_due = False
        newest = self._memory.stop.newest
        if newest is None:
            return
        self._retold_at = time.monotonic()
        self._memory.retold += 1
        # A count of its own: to the daemon these never come back, and must not look like a gap.
        stamp = Stamp(utc_now(), self._memory.retold, f"{self._memory.boot}-again")
        payload = announcement(self._memory.stop, stamp)
        self._put(self._memory.stop.with_published(newest.id, payload, time.time()))
        self._link.publish(Announcement(payload))

    def _announce(
        self, about: str, tag: str, *, trip: Trip | None = None, ended: Ended | None = None
    ) -> None:
        durable = self._link.connected
        self._memory.seq += 1
        stamp = Stamp(utc_now(), self._memory.seq, self._memory.boot)
        stop = self._memory.stop
        payload = announcement(stop, stamp, trip=trip, ended=ended, durable=durable)
        self._put(stop.with_published(about, payload, time.time()))
        if not durable:
            self.store(payload)
        self._link.publish(Announcement(payload, tag, durable))

    def _notice(self, fields: dict[str, Any], *, engaged: bool) -> None:
        stop = self._memory.stop
        now = {"enabled": stop.in_force, "trips": [public_fields(trip) for trip in stop.trips]}
        data = msgspec.json.encode(fields | now)
        self._to.broadcaster.offer(KillswitchNotice(engaged=engaged, data=data), urgent=True)

    def _dropped(self, message: object) -> None:
        self._log.error(
            "killswitch event dropped: the persister does not keep up", dropped=excerpt(message)
        )
