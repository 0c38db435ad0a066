"""The Broadcaster: shows journalled events to the clients of the event stream.

Holds nothing that must survive a crash: clients, their buffers and the counters are in
:class:`~.clients.Clients`, which outlives it; the cache of encoded names fills again. Its mailbox
drops the oldest when it is full (fan-out never blocks the persister); a client is sent a ``gap``.
"""

import time
from typing import Any, Final, assert_never

from ...runtime import Actor, give_way
from ..events import Event
from ..messages.broadcaster import AgentStatusChanged, KillswitchNotice
from ..messages.events import EventReplaced, EventsJournalled
from .clients import Clients
from .frames import EventFrames, frame_of, killswitch_frame

# Between two sends to a client: fast enough for the eye, and many frames share a send.
TICK_S: Final = 0.01

# Pending batches are shown together, up to a bound, so that a killswitch is not delayed by them.
_MAX_BATCHES: Final = 50
_MAX_EVENTS_AT_ONCE: Final = 2_000

# Events times different filters that are matched without yielding: some 5 ms.
_MAX_MATCHES_AT_ONCE: Final = 10_000


Message = EventsJournalled | EventReplaced | KillswitchNotice | AgentStatusChanged


class Broadcaster(Actor):
    """Builds each frame once and queues it for the clients that want it."""

    def __init__(self, *, clients: Clients) -> None:
        super().__init__()
        self._clients = clients
        self._frames = EventFrames()
        self._flushed_at = 0.0
        self._flush_due = False

    def on_stop(self) -> None:
        """Flush what is pending for the next tick."""
        self._clients.flush()

    def on_receive(self, message: Message) -> Any:
        """Dispatch."""
        match message:
            case EventsJournalled():
                self._handle_events(message)
            case EventReplaced():
                self._handle_replaced(message.event)
            case KillswitchNotice():
                self._clients.urge(killswitch_frame(engaged=message.engaged, data=message.data))
            case AgentStatusChanged():
                self._handle_status(message)
            case _:
                assert_never(message)

    def _handle_events(self, message: EventsJournalled) -> None:
        self._show(message.events)
        shown = len(message.events)
        batches = 1
        while shown < _MAX_EVENTS_AT_ONCE and batches < _MAX_BATCHES:
            pending = self.take_waiting(EventsJournalled, 1)
            if not pending:
                break
            self._show(pending[0].events)
            shown += len(pending[0].events)
            batches += 1
        self._flush_soon()

    def _show(self, events: tuple[Event, ...]) -> None:
        size = max(1, _MAX_MATCHES_AT_ONCE // max(1, self._clients.matches_per_event))
        for start in range(0, len(events), size):
            if start:
                give_way()
            part = events[start : start + size]
            # Both without yielding: a client attached between two parts gets all above its cursor.
            self._clients.publish(part, self._frames.build)
            self._clients.saw(part[-1].id)

    def _handle_replaced(self, event: Event) -> None:
        self._clients.correct(event, self._frames.build(event, replaces=True))
        self._flush_soon()

    def _handle_status(self, message: AgentStatusChanged) -> None:
        if len(self._clients):
            for agent in message.agents:
                self._clients.show_status(agent.id, frame_of("agent_status", data=agent))
            self._flush_soon()

    def _flush_soon(self) -> None:
        """Flush now, or at the end of the tick if the last flush was in it."""
        if self._flush_due:
            return
        wait = self._flushed_at + TICK_S - time.monotonic()
        if wait <= 0:
            self._flush()
        else:
            self._flush_due = True
            self.after(wait, self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        self._flushed_at = time.monotonic()
        self._clients.flush()
