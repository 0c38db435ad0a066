"""The HeartbeatMonitor: keeps the agent registry up to date by heartbeats.

Holds the table of agents, and when the last canary arrived: without canaries the daemon is blind,
and no agent is declared down. A crash loses only what was not yet written (a few seconds of
``last_beat``); the successor reads the registry from PostgreSQL and receives the next heartbeats.
While PostgreSQL is unavailable the table is kept in memory, and merged when it can be read.
"""

import math
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final, assert_never

import gevent
import msgspec

from ...protocol.excerpt import excerpt
from ...protocol.heartbeat import GateBeat, read_beat
from ...protocol.timestamps import utc_now
from ...runtime import Actor, Address, Outbox, give_way
from ...sql.errors import StoreError
from ...sql.registry import AgentRegistry, AgentRow
from ..canary import LOST_AFTER_S
from ..events import HEARTBEAT, Event, NewEvent
from ..fields import FieldReader
from ..messages.broadcaster import AgentStatusChanged
from ..messages.event_persister import PersistEvents
from ..messages.events import EventReplaced, EventsJournalled
from ..messages.heartbeat_monitor import (
    Agents,
    AgentView,
    Canary,
    GetAgent,
    GetAgents,
    GetVisibility,
    SetBusVisible,
    Visibility,
)
from ..messages.killswitch import EXECUTION, BeatsHeard, Hearing, Sender
from ..messages.state_keeper import ACTIVE_COUNT_KEY, SetState
from ..unread import Unread
from .agent_table import AgentTable, RegistrySettings
from .changes import Change
from .flap_damper import FlapDamper

CHECK_INTERVAL_S: Final = 0.5
"""How often timeouts are checked; one is noticed this much later at most."""

SAVE_INTERVAL_S: Final = 2.0
"""How often changed rows are written: one statement for all, instead of one per beat."""

TURN_AGENTS: Final = 1_000
"""Agents listed between two yields."""

RETRY_S: Final = 2.0
"""How long to wait while PostgreSQL is unavailable."""


class UseTimeouts(msgspec.Struct, frozen=True):
    """From the daemon: the settings have been reloaded."""

    settings: RegistrySettings
    """The new timeouts."""


class _Receipt(msgspec.Struct):
    """What of a heartbeat concerns stops."""

    status: object = None
    gate: object = None
    generation: object = None
    trip_id: object = None
    open_orders: object = None
    permission: object = None
    drill: object = None


_read_receipt = FieldReader(_Receipt)

Message = (
    EventsJournalled
    | EventReplaced
    | GetAgents
    | GetAgent
    | GetVisibility
    | SetBusVisible
    | Canary
    | UseTimeouts
)


class HeartbeatMonitor(Actor):
    """Keeps the registry.

    Args:
        table: The rules and rows; a new one for each of the actor's runs.
        registry: Where the table is stored.
        persister: Gets ``agent.*`` events.
        broadcaster: Gets every change of an agent.
        state_keeper: Gets the count of active agents.
        killswitch: Gets every heartbeat, as far as it concerns stops.
        rules: Likewise, if there are rules that stop by themselves.
    """

    def __init__(  # noqa: PLR0913 wired in one place
        self,
        *,
        table: AgentTable,
        registry: AgentRegistry,
        persister: Address,
        broadcaster: Address,
        state_keeper: Address,
        killswitch: Address,
        rules: Address | None = None,
    ) -> None:
        super().__init__()
        self._table = table
        self._registry = registry
        self._broadcaster = broadcaster
        self._state_keeper = state_keeper
        self._killswitch = killswitch
        self._rules = rules
        self._damper = FlapDamper()
        self._outbox = Outbox(persister, on_drop=self._dropped)
        self._active_count: int | None = None
        self._bus = SetBusVisible(visible=False)
        self._canary_at: dict[str, float] = {}
        self._canary_rtt_s: float | None = None
        self._visible = False
        self._registry_read = Unread("the agent registry", defer=self.defer_reply, after=self.after)

    def on_start(self) -> None:
        """Start loading, writing and checking; ready without PostgreSQL."""
        self.spawn(self._outbox.pump, name="outbox")
        self.spawn(self._load_then_save, name="registry")
        self.every(CHECK_INTERVAL_S, self._check)

    def on_stop(self) -> None:
        """Write what has changed, if PostgreSQL is available."""
        self._save()

    def on_receive(self, message: Message) -> Any:
        """Dispatch."""
        match message:
            case EventsJournalled():
                self._handle_events(message)
            case EventReplaced():
                pass  # a replaced row never was a readable heartbeat
            case GetAgents():
                return self._registry_read.ask(
                    lambda: self._handle_get_agents(message), wait_s=message.wait_s
                )
            case GetAgent():
                return self._handle_get_agent(message)
            case GetVisibility():
                return Visibility(self._visible, self._canary_rtt_s)
            case SetBusVisible():
                self._bus = message
                self._check()
            case Canary():
                self._handle_canary(message)
            case UseTimeouts():
                self._table.use(message.settings)
                self._check()
            case _:
                assert_never(message)
        return None

    def _handle_events(self, message: EventsJournalled) -> None:
        now = time.monotonic()
        changes, beats = [], []
        for event in message.events:
            if event.type == HEARTBEAT:
                if (change := self._table.beat(event, now=now)) is not None:
                    changes.append(change)
                beats += self._concerning_stops(event)
        if beats:
            self._killswitch.offer(BeatsHeard(tuple(beats)), urgent=True)
            if self._rules is not None:
                self._rules.offer(BeatsHeard(tuple(beats)), urgent=True)
        if changes:
            self._publish(changes, now)

    def _concerning_stops(self, event: Event) -> list[tuple[Sender, GateBeat]]:
        sender = self._table.sender_of(event)
        if sender is None:
            return []
        return [(sender, read_beat(_read_receipt.mapping(event.payload)))]

    def _handle_canary(self, message: Canary) -> None:
        now = time.monotonic()
        first = message.connection not in self._canary_at
        self._canary_at[message.connection] = now
        self._canary_rtt_s = now - message.sent_at
        if first:
            self._check()

    def _update_visibility(self, now: float) -> None:
        """Heartbeats count as visible as long as canaries arrive."""
        heard = all(
            now - self._canary_at.get(name, -math.inf) < LOST_AFTER_S for name in self._bus.canaries
        )
        visible = self._bus.visible and heard
        if self._bus.visible and visible != self._visible and self._canary_at:
            if visible:
                self.log.info("bus round trip restored, heartbeats visible")
            else:
                self.log.warning(
                    "bus round trip lost, heartbeats invisible: no agent declared down"
                )
        self._visible = visible
        self._table.set_visible(visible, now=now)

    def _handle_get_agents(self, message: GetAgents) -> Agents:
        rows = tuple(
            view
            for view in _in_turns(self._table.views(now=time.monotonic()))
            if message.group in (None, view.agent_group)
            and message.status in (None, view.status)
            and message.alive in (None, view.is_alive)
        )
        active = sum(view.is_alive for view in rows)
        return Agents(rows, len(rows), active)

    def _handle_get_agent(self, message: GetAgent) -> AgentView | None:
        try:
            return self._table.view(message.agent_id, now=time.monotonic())
        except KeyError:
            return None

    def _check(self) -> None:
        now = time.monotonic()
        self._update_visibility(now)
        self._publish(self._table.check(now=now), now)
        self._tell(self._damper.due(now=now), now)
        hears = self._visible and self._registry_read.is_read
        expected = self._table.alive_in(EXECUTION, now=now) if hears else ()
        self._killswitch.offer(Hearing(hears, expected), urgent=True)
        if not self._registry_read.is_read:
            return
        active = self._table.count_alive(now=now)
        if active != self._active_count:
            self._active_count = active
            value = msgspec.json.encode({"count": active, "last_updated": utc_now()})
            self._state_keeper.offer(SetState(ACTIVE_COUNT_KEY, value))

    def _publish(self, changes: list[Change], now: float) -> None:
        if not changes:
            return
        views = {change.agent_id: self._table.view(change.agent_id, now=now) for change in changes}
        self._broadcaster.offer(AgentStatusChanged(tuple(views.values())))
        self._tell(self._damper.admit(changes, now=now), now)

    def _tell(self, changes: list[Change], now: float) -> None:
        """Make events of those that are any."""
        reported = [
            (change, self._table.view(change.agent_id, now=now))
            for change in changes
            if change.event_type
        ]
        if reported:
            self._outbox.send(PersistEvents(tuple(_event(*one) for one in reported)))
        for change, view in reported:
            self._log_change(change, view.id_note)

    def _log_change(self, change: Change, id_note: str | None) -> None:
        about = {"agent": change.agent_id, "reason": change.reason}
        if id_note is None:
            self.log.info(change.event_type, **about)
        else:
            self.log.warning(change.event_type, **about, id_note=id_note)

    def _load_then_save(self) -> None:
        while not self._load():
            gevent.sleep(RETRY_S)
        self._registry_read.read()
        while True:
            gevent.sleep(SAVE_INTERVAL_S)
            self._save()
            self._take_changed()

    def _load(self) -> bool:
        try:
            rows = self._registry.load()
        except StoreError as error:
            self._registry_read.why = str(error)
            self.log.debug("agent registry not loaded yet", reason=str(error))
            return False
        self._table.load(rows, now=time.monotonic(), wall=datetime.now(UTC))
        return True

    def _take_changed(self) -> None:
        """What other programs wrote: seen within 5 s."""
        try:
            rows = self._registry.changed()
        except StoreError as error:
            self.log.debug("agent registry not read", reason=str(error))
            return
        now = time.monotonic()
        self._publish(self._table.load(rows, now=now, wall=datetime.now(UTC)), now)

    def _save(self) -> None:
        rows: list[AgentRow] = self._table.take_dirty()
        if not rows:
            return
        try:
            self._table.mark_dirty(self._registry.upsert(rows))
        except StoreError as error:
            self._table.mark_dirty(rows)
            self.log.debug("agent registry not written yet", rows=len(rows), reason=str(error))

    def _dropped(self, message: object) -> None:
        self.log.error("agent events dropped, persister is too slow", dropped=excerpt(message))


def _in_turns(views: Iterator[AgentView]) -> Iterator[AgentView]:
    """The same; yields to others after each thousand, some milliseconds of work."""
    while turn := tuple(islice(views, TURN_AGENTS)):
        yield from turn
        give_way()


def _event(change: Change, view: AgentView) -> NewEvent:
    payload = msgspec.to_builtins(view) | {"reason": change.reason, "count": change.count}
    event_type = change.event_type or "agent.changed"
    return NewEvent(event_type, msgspec.json.encode(payload), source="orchestrator")
