"""Pages of events: from memory where it suffices, completed from PostgreSQL where not.

A page is cached for 10 s if no newer event can change it, and dropped when an older one was changed
(replaced, or marked as processed), so it is never stale.
"""

import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, Generic, Protocol, TypeVar

import msgspec

from ...actors.broadcaster.clients import Clients
from ...actors.event_query import DatabaseRange, EventPage, EventQuery, NeedsDatabase
from ...actors.events import Event
from ...actors.messages.event_persister import GetEvent, GetEvents, StillStoring
from ...runtime import Address, give_way
from ...sql.events.event_filter import EventFilter
from ...sql.events.event_reader import OWN_IDS_END, EventReader, EventRow
from ..errors import Unavailable
from ..peers import ASK_TIMEOUT_S
from .event_shape import EventShape, shape_of
from .where_search import search

CACHE_S: Final = 10.0
"""The contract's."""

_CACHE_BYTES: Final = 16 * 1024 * 1024
_CACHE_PAGES: Final = 512

# Encoded between two yields: a millisecond.
_TURN_BYTES: Final = 1024 * 1024


class Kept(Protocol):
    """A value with a weight."""

    @property
    def size_bytes(self) -> int:
        """Its weight in the cache, in bytes."""


P = TypeVar("P", bound=Kept)


class EncodedPage(msgspec.Struct, frozen=True):
    """A page, encoded."""

    events: bytes
    """A JSON array, in the order that was asked for."""
    cursor: int
    """The id to continue from."""
    has_more: bool
    """Whether more events match."""
    looked_to: int | None = None
    """As `EventPage.looked_to`."""

    @property
    def size_bytes(self) -> int:
        """Its weight in the cache, in bytes."""
        return len(self.events)


class PageCache(Generic[P]):
    """Encoded pages, for 10 s, evicted by least recent use. Pure: takes ``now``."""

    def __init__(self, max_bytes: int = _CACHE_BYTES, max_pages: int = _CACHE_PAGES) -> None:
        self.max_bytes = max_bytes
        self.max_pages = max_pages
        self.size_bytes = 0
        self._revision: object = None
        self._pages: OrderedDict[object, tuple[float, P]] = OrderedDict()

    def get(self, key: object, *, now: float, revision: object) -> P | None:
        """The page, if it is fresh and no event was changed since (``revision``)."""
        self._clear_if_changed(revision)
        found = self._pages.get(key)
        if found is None:
            return None
        if now - found[0] >= CACHE_S:
            self._remove(key)
            return None
        self._pages.move_to_end(key)
        return found[1]

    def put(self, key: object, page: P, *, now: float, revision: object) -> None:
        """Keep ``page``, which was made at ``now`` (monotonic seconds)."""
        self._clear_if_changed(revision)
        self._remove(key)
        self._pages[key] = (now, page)
        self.size_bytes += page.size_bytes
        while self.size_bytes > self.max_bytes or len(self._pages) > self.max_pages:
            self._remove(next(iter(self._pages)))

    def _clear_if_changed(self, revision: object) -> None:
        if revision != self._revision:
            self._revision = revision
            self._pages.clear()
            self.size_bytes = 0

    def _remove(self, key: object) -> None:
        found = self._pages.pop(key, None)
        if found is not None:
            self.size_bytes -= found[1].size_bytes


class EventPages:
    """Answers page queries; each call blocks the caller's greenlet, for some seconds at most."""

    def __init__(self, persister: Address, clients: Clients, reader: EventReader) -> None:
        self._persister = persister
        self._clients = clients
        self._reader = reader
        self._cache: PageCache[EncodedPage] = PageCache()
        self._marked = 0

    def page(self, query: EventQuery, *, ascending: bool) -> EncodedPage:
        """The page that ``query`` asks for.

        Raises:
            Unavailable: It includes ids of ours that are not readable at the moment.
            StoreError: PostgreSQL, where memory does not suffice.
            OrchestratorError: The persister does not answer.
        """
        key, now, revision = (query, ascending), time.monotonic(), self._revision
        encoded = self._cache.get(key, now=now, revision=revision)
        if encoded is None:
            page = self._read(query)
            events = page.events[::-1] if ascending else page.events
            encoded = EncodedPage(encode_events(events), page.cursor, page.has_more, page.looked_to)
            if self._is_settled(query, page) and revision == self._revision:
                self._cache.put(key, encoded, now=now, revision=revision)
        return encoded

    def get(self, event_id: int) -> EventShape | None:
        """One event.

        Raises:
            Unavailable: It may be one of ours that is not readable at the moment.
        """
        found: Event | StillStoring | None = self._persister.ask(
            GetEvent(event_id), timeout_s=ASK_TIMEOUT_S
        )
        if isinstance(found, Event):
            return shape_of(found)
        row = self._reader.get(event_id)
        if row is None and found is not None:
            raise Unavailable("This event may still be on its way to PostgreSQL; try again.")
        return None if row is None else shape_of(row)

    def forget(self) -> None:
        """Older events were changed."""
        self._marked += 1

    @property
    def _revision(self) -> tuple[int, int]:
        return self._marked, self._clients.replaced

    def _read(self, query: EventQuery) -> EventPage:
        answer: EventPage | NeedsDatabase = self._persister.ask(
            GetEvents(query), timeout_s=ASK_TIMEOUT_S
        )
        if isinstance(answer, EventPage):
            return answer
        wanted = answer.rows_wanted()
        page = None
        if wanted is not None:
            page = self._completed(answer, wanted)
        if page is None:
            raise Unavailable("Events of this page are still being stored; try again.")
        return page

    def _completed(self, answer: NeedsDatabase, wanted: DatabaseRange) -> EventPage | None:
        query = answer.query
        if query.where is None:
            return answer.complete(self._rows(query, wanted))
        found = search(self._reader, query.where, narrowed_by(query), wanted)
        if found.looked_to is not None:
            return answer.partial(found.rows, found.looked_to)
        return answer.complete(found.rows)

    def _rows(self, query: EventQuery, wanted: DatabaseRange) -> list[EventRow]:
        narrowed = narrowed_by(query)
        if wanted.oldest_first:
            after = wanted.after or 0
            return self._reader.after(after, wanted.limit, narrowed, up_to_id=wanted.through)
        through = OWN_IDS_END if wanted.through is None else wanted.through
        return self._reader.latest(wanted.limit, narrowed, up_to_id=through)

    def _is_settled(self, query: EventQuery, page: EventPage) -> bool:
        """Whether no newer event can change ``page``."""
        if query.after is not None:
            return page.has_more
        newest = self._clients.newest_id
        return query.before is not None and newest is not None and query.before <= newest + 1


def narrowed_by(query: EventQuery) -> EventFilter:
    """The conditions that PostgreSQL checks: all but ``where``."""
    return EventFilter(
        query.types, query.source, query.from_ts, query.to_ts, query.processed, query.chain
    )


def encode_events(events: Sequence[Event | EventRow]) -> bytes:
    """``events`` as a JSON array; payloads as published. Yields once per megabyte."""
    parts, turn_bytes = [b"["], 0
    for event in events:
        row = msgspec.json.encode(shape_of(event))
        parts += (row, b",")
        turn_bytes += len(row)
        if turn_bytes > _TURN_BYTES:
            turn_bytes = 0
            give_way()
    parts[-1] = b"]" if events else b"[]"
    return b"".join(parts)
