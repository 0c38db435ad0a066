"""The StateKeeper: the market regime, and values of other actors that are kept for all to read.

When a run ends, only values on their way to PostgreSQL are lost; it writes
through: every change goes to PostgreSQL at once, and until it is there it is retried; a newer value
of a key replaces one that is pending.
"""

import time
from typing import Any, Final, assert_never

import gevent
from gevent.event import Event as Signal

from ...protocol.timestamps import utc_now
from ...runtime import Actor
from ...sql.errors import StoreError
from ...sql.events.event_reader import EventReader
from ...sql.refusals import RETRY_REFUSED_S
from ...sql.state import StateStore
from ..events import REGIME, Event
from ..messages.events import EventReplaced, EventsJournalled
from ..messages.state_keeper import GetRegime, GetState, Message, SetState, ShowState
from ..unread import Unread
from .regime import Regime, read_regime, regime_value
from .values import REGIME_KEY, StateValues

REGIME_TYPES: Final = (REGIME, "state")
"""Ours, and the original's, which stored the last word of a channel."""

LOOK_S: Final = 1.0
"""How often events are asked for a regime while the state has none."""

RETRY_S: Final = 1.0
"""How long to wait when PostgreSQL is away."""


class StateKeeper(Actor):
    """Keeps the system's state.

    Args:
        store: Where the state is kept for others to read.
        events: Where the regime is read while the state has none.
    """

    drain_on_stop = True

    def __init__(self, store: StateStore, events: EventReader) -> None:
        super().__init__()
        self._store = store
        self._events = events
        self._regime_is_kept = False
        self._state_read = Unread("the state", defer=self.defer_reply, after=self.after)
        self._regime_read = Unread("the regime", defer=self.defer_reply, after=self.after)
        self._values = StateValues()
        self._saving = Signal()

    # -- hooks -------------------------------------------------------------------------------

    def on_start(self) -> None:
        """PostgreSQL is read in a greenlet, since it may be away."""
        self.spawn(self._load_then_save, name="writer")

    def on_stop(self) -> None:
        """Write what is pending, if PostgreSQL is there."""
        self._save_all()

    def on_receive(self, message: Message) -> Any:
        """Dispatch."""
        match message:
            case EventsJournalled():
                self._handle_events(message)
            case EventReplaced():
                self._look_at(message.event)
            case GetRegime():
                return self._regime_read.ask(self._regime, wait_s=message.wait_s)
            case GetState():
                return self._state_read.ask(self._values.rows, wait_s=message.wait_s)
            case SetState():
                self._keep(message.key, message.value)
            case ShowState():
                self._values.show(message.key, message.value, now=utc_now())
            case _:
                assert_never(message)
        return None

    def _handle_events(self, message: EventsJournalled) -> None:
        for event in message.events:
            self._look_at(event)

    def _look_at(self, event: Event) -> None:
        if event.type == REGIME:
            self._regime_is_kept = True
            self._regime_read.read()
            self._keep(REGIME_KEY, regime_value(event))

    def _regime(self) -> Regime | None:
        row = self._values.get(REGIME_KEY)
        return None if row is None else read_regime(row)

    # -- keeping -----------------------------------------------------------------------------

    def _keep(self, key: str, value: bytes) -> None:
        self._values.keep(key, value, now=utc_now())
        self._saving.set()

    def _load_then_save(self) -> None:
        while not self._load():
            gevent.sleep(RETRY_S)
        retry_at = 0.0
        while True:
            if not self._regime_is_kept:
                self._find_regime()
            self._saving.wait(RETRY_REFUSED_S if self._regime_is_kept else LOOK_S)
            if self._saving.is_set() or time.monotonic() >= retry_at:
                self._saving.clear()
                retry_at = time.monotonic() + RETRY_REFUSED_S
                if not self._save_all():
                    gevent.sleep(RETRY_S)
                    self._saving.set()

    def _load(self) -> bool:
        try:
            rows = self._store.load()
        except StoreError as error:
            self._state_read.why = self._regime_read.why = str(error)
            self.log.debug("state not readable yet", reason=str(error))
            return False
        self._values.merge(rows)
        self._state_read.read()
        if self._values.get(REGIME_KEY) is not None:
            self._regime_is_kept = True
            self._regime_read.read()
        return True

    def _find_regime(self) -> None:
        """Show the regime of the newest event; it is written once an agent reports one."""
        try:
            row = self._events.newest_of(REGIME_TYPES)
        except StoreError as error:
            self._regime_read.why = str(error)
            self.log.debug("no regime read from events", reason=str(error))
            return
        if row is not None and not self._regime_is_kept:
            event = Event(row.id, row.type, bytes(row.payload), row.ts or "", row.source)
            self._values.show(REGIME_KEY, regime_value(event), now=event.ts)
        self._regime_read.read()

    def _save_all(self) -> bool:
        """Write what is pending but what PostgreSQL refuses; False if it cannot be reached."""
        for key, value in self._values.unsaved():
            try:
                written = self._store.put(key, value)
            except StoreError as error:
                self.log.debug("state not written yet", key=key, reason=str(error))
                return False
            if written is not None:
                self._values.saved(key, value)
        return True
