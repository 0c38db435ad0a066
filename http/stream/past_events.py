"""The events that resuming clients have missed, in stretches encoded for the wire.

Memory has the newest ones, PostgreSQL the older ones. A stretch is small compared with a client's
queue; those from memory end at round ids, so that clients which disconnected at different moments
soon read the same ones, and share them.
"""

import time
from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter
from typing import Final, NamedTuple

from gevent.lock import BoundedSemaphore

from ...actors.broadcaster.clients import ALL_TYPES, Clients
from ...actors.broadcaster.frames import EventFrames, Wire
from ...actors.broadcaster.send_buffer import Chunk
from ...actors.event_query import EventPage, EventQuery, NeedsDatabase, type_test, where_test
from ...actors.events import Event
from ...actors.messages.event_persister import GetEvents, GetPersisterStatus, PersisterStatus
from ...runtime import Address, OrchestratorError, deadline
from ...sql.database import Database
from ...sql.errors import StoreError
from ...sql.events.event_filter import EventFilter
from ...sql.events.event_reader import EventReader, EventRow
from ..api.event_pages import PageCache
from ..peers import ASK_TIMEOUT_S

STRETCH_BYTES: Final = 192 * 1024
"""Of payloads in one stretch; beyond it only the rest of the last event."""

STRETCH_IDS: Final = 512
"""A stretch in memory ends at a multiple of this."""

_ROWS: Final = 200
_CACHE_BYTES: Final = 16 * 1024 * 1024
# Concurrent reads: they must not fill the persister's mailbox or take all connections.
_ASKING: Final = 4
_READING: Final = 4
# Each is some 0.3 ms, sending included; a thousand may reconnect at once.
_TURNS: Final = 8
# A read has limits of its own; they do not cover a server that is frozen (SIGSTOP).
_READ_LIMIT_S: Final = 10.0
_CURSOR_TIMEOUT_S: Final = 1.0

_id_of = attrgetter("id")
_Key = tuple[tuple[str, ...], str | None, Wire, int]


class NotReadable(OrchestratorError):
    """Events after a client's position are not readable at the moment."""

    def __init__(self, through: int | None) -> None:
        super().__init__(through)
        self.through = through
        """The last id that is not; ``None``: unknown."""

    def __str__(self) -> str:
        return f"events up to {self.through} are not readable at the moment"


class Stretch(NamedTuple):
    """Events after a position."""

    chunk: Chunk | None
    """Those that match; ``None`` if none do."""
    through: int
    """It is complete up to this id."""
    final: bool
    """Whether reading it again would give the same."""

    @property
    def size_bytes(self) -> int:
        """Its weight in the cache, in bytes."""
        return len(self.chunk.data) if self.chunk is not None else 0


class PastEvents:
    """Reads stretches for all clients; each call blocks the caller's greenlet only.

    Args:
        persister: Has the newest ones in memory.
        database: Has the others.
        registry: Counts the replaced ones.
    """

    def __init__(self, persister: Address, database: Database, registry: Clients) -> None:
        self._persister = persister
        self._reader = EventReader(database)
        self._registry = registry
        self._frames = EventFrames()
        self._cache: PageCache[Stretch] = PageCache(_CACHE_BYTES)
        self.turns = BoundedSemaphore(_TURNS)
        """Held while a stretch is sent: bounds how many clients are served before others run."""
        self._asking = BoundedSemaphore(_ASKING)
        self._reading = BoundedSemaphore(_READING)

    def known_id(self) -> int:
        """The persister's newest id; 0 if it does not answer within a second."""
        try:
            status: PersisterStatus = self._persister.ask(
                GetPersisterStatus(), timeout_s=_CURSOR_TIMEOUT_S
            )
        except OrchestratorError:
            return 0
        return status.newest_id

    def newest_id(self, at_least: int) -> int:
        """The newest id; PostgreSQL is only asked if the persister's is below ``at_least``.

        Raises:
            OrchestratorError: The persister does not answer.
            StoreError: PostgreSQL does not.
        """
        status: PersisterStatus = self._persister.ask(GetPersisterStatus(), timeout_s=ASK_TIMEOUT_S)
        if status.newest_id >= at_least:
            return status.newest_id
        with deadline(_READ_LIMIT_S, NotReadable(None)):
            return max(status.newest_id, self._reader.newest_id())

    def after(
        self, position: int, types: tuple[str, ...], wire: Wire, where: str | None = None
    ) -> Stretch:
        """The next stretch after ``position``.

        Raises:
            NotReadable: PostgreSQL has them and is down, or does not have them yet.
            OrchestratorError: The persister does not answer.
        """
        key: _Key = (types, where, wire, position)
        revision = self._registry.replaced
        stretch = self._cache.get(key, now=time.monotonic(), revision=revision)
        if stretch is None:
            stretch = self._read(position, types, _Shown(self._frames, where, wire))
            if stretch.final and revision == self._registry.replaced:
                self._cache.put(key, stretch, now=time.monotonic(), revision=revision)
        return stretch

    def _read(self, position: int, types: tuple[str, ...], shown: "_Shown") -> Stretch:
        with self._asking:
            # All types: filtering is our work, not the persister's.
            query = EventQuery(limit=STRETCH_IDS, after=position)
            answer: EventPage | NeedsDatabase = self._persister.ask(
                GetEvents(query), timeout_s=ASK_TIMEOUT_S
            )
            if isinstance(answer, EventPage):
                return self._from_memory(answer, position, types, shown)
        return self._from_database(answer, position, types, shown)

    # -- memory --------------------------------------------------------------------------------

    def _from_memory(
        self, page: EventPage, position: int, types: tuple[str, ...], shown: "_Shown"
    ) -> Stretch:
        end = (position // STRETCH_IDS + 1) * STRETCH_IDS
        events = [as_event(one) for one in reversed(page.events)]
        events = events[: bisect_right(events, end, key=_id_of)]
        if types != ALL_TYPES:
            events = list(filter(type_test(types), events))
        kept = _cut(events)
        if len(kept) < len(events):
            return Stretch(shown.joined(kept), kept[-1].id, final=True)
        through = max(position, min(end, page.cursor))
        return Stretch(shown.joined(kept), through, final=through == end)

    # -- PostgreSQL ----------------------------------------------------------------------------

    def _from_database(
        self, answer: NeedsDatabase, position: int, types: tuple[str, ...], shown: "_Shown"
    ) -> Stretch:
        through = answer.floor_id if answer.readable else answer.committed_id
        if through is not None and through <= position:
            raise NotReadable(answer.floor_id)
        try:
            rows = self._rows(position, through, types)
        except (StoreError, NotReadable) as error:
            raise NotReadable(answer.floor_id) from error
        events = [as_event(row) for row in rows]
        chunk = shown.joined(events)
        if len(rows) >= _ROWS or sum(len(one.payload) for one in events) >= STRETCH_BYTES:
            return Stretch(chunk, events[-1].id, final=True)
        if through is None:  # no ids of ours are known: what was read is all
            through = max(position, answer.newest_id, *(one.id for one in events[-1:]))
        return Stretch(chunk, through, final=False)

    def _rows(self, position: int, through: int | None, types: tuple[str, ...]) -> list[EventRow]:
        wanted = EventFilter() if types == ALL_TYPES else EventFilter(types)
        with deadline(_READ_LIMIT_S, NotReadable(through)), self._reading:
            return self._reader.after(
                position, _ROWS, wanted, up_to_id=through, max_bytes=STRETCH_BYTES
            )


class _Shown(NamedTuple):
    """How the events of a stretch are shown, and which of them."""

    frames: EventFrames
    where: str | None
    wire: Wire

    def joined(self, events: Sequence[Event]) -> Chunk | None:
        """The frames of those that are wanted."""
        if self.where is not None:
            events = list(filter(where_test(self.where), events))
        if not events:
            return None
        frames = [self.wire(self.frames.build(event), event.id) for event in events]
        return Chunk(b"".join(frames), events[0].id, events[-1].id, len(frames))


def as_event(row: Event | EventRow) -> Event:
    """A row as the event that it was."""
    if isinstance(row, Event):
        return row
    return Event(row.id, row.type, bytes(row.payload), row.ts or "", row.source, row.processed)


def _cut(events: list[Event]) -> list[Event]:
    """The first of ``events``, up to ``STRETCH_BYTES`` of payload."""
    size_bytes = 0
    for number, event in enumerate(events, 1):
        size_bytes += len(event.payload)
        if size_bytes >= STRETCH_BYTES:
            return events[:number]
    return events
