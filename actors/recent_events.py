"""The newest events, in memory: what pages above the committed ids are made of (contract, part 2).

Pure. Complete above its floor: every id of ours above it is here. What is older is PostgreSQL's to
tell, up to the last committed id; ids between that and the floor cannot be read for a
moment (a long backlog after a start), and a page that would have to pass over them is refused.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import Final

import msgspec

from .event_query import EventPage, EventQuery, NeedsDatabase, fitting, matcher, page_of
from .events import Event

# Events are dropped in chunks of this size, and of large ones by so small a part of all the bytes.
_CHUNK_EVENTS: Final = 1024
_CHUNKS: Final = 64
# What an event weighs besides its payload: the struct, its strings, its place in a list.
_OVERHEAD_BYTES: Final = 200

_id_of = attrgetter("id")


class _Chunk:
    """Neighbouring events, let go together."""

    __slots__ = ("events", "last_id", "size_bytes")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.size_bytes = 0
        self.last_id = 0


class EventWindow:
    """The newest events, bounded by number and size.

    Args:
        max_events: Events it holds at most (some 1,000 more for a moment).
        max_bytes: Their size in memory, likewise.
        floor_id: All our ids above it will be appended; None if unknown (a new journal).
    """

    def __init__(
        self,
        max_events: int = 100_000,
        max_bytes: int = 64 * 1024 * 1024,
        *,
        floor_id: int | None = None,
    ) -> None:
        self.max_events = max_events
        self.max_bytes = max_bytes
        self.floor_id = floor_id
        self.newest_id = floor_id or 0
        self.size_bytes = 0
        self._count = 0
        self._chunks: list[_Chunk] = []

    def __len__(self) -> int:
        return self._count

    def reset(self, floor_id: int | None) -> None:
        """Forget all; from now on everything above ``floor_id`` will be appended."""
        self.floor_id = floor_id
        self.newest_id = floor_id or 0
        self.size_bytes = self._count = 0
        self._chunks.clear()

    def append(self, events: Sequence[Event], payload_bytes: int) -> None:
        """Take in ``events``, whose ids are ascending and above all before.

        Args:
            events: At least one.
            payload_bytes: The size of their payloads together.
        """
        if self.floor_id is None:
            self.floor_id = events[0].id - 1
        if not self._chunks or self._is_full(self._chunks[-1]):
            self._chunks.append(_Chunk())
        chunk = self._chunks[-1]
        size_bytes = payload_bytes + len(events) * _OVERHEAD_BYTES
        chunk.events.extend(events)
        chunk.size_bytes += size_bytes
        chunk.last_id = self.newest_id = events[-1].id
        self._count += len(events)
        self.size_bytes += size_bytes
        while self._count > self.max_events or self.size_bytes > self.max_bytes:
            self._let_go(self._chunks.pop(0))

    def _is_full(self, chunk: _Chunk) -> bool:
        """Of large events too, only a small part is let go at once."""
        large = chunk.size_bytes >= self.max_bytes // _CHUNKS
        return large or len(chunk.events) >= _CHUNK_EVENTS

    def _let_go(self, chunk: _Chunk) -> None:
        self._count -= len(chunk.events)
        self.size_bytes -= chunk.size_bytes
        self.floor_id = chunk.last_id

    def raise_floor(self, floor_id: int) -> None:
        """Learn that others' rows exist up to ``floor_id``; only where memory has nothing."""
        first = self._chunks[0].events[0].id if self._chunks else None
        if first is None or floor_id < first:
            self.floor_id = max(floor_id, self.floor_id or 0)
            self.newest_id = max(self.newest_id, floor_id)

    def get(self, event_id: int) -> Event | None:
        """The event with that id, if it is here."""
        found = self._find(event_id)
        return found[0].events[found[1]] if found else None

    def replace(self, event: Event) -> bool:
        """Put ``event`` in the place of the one with its id; say whether that was here."""
        found = self._find(event.id)
        if found:
            found[0].events[found[1]] = event
        return bool(found)

    def remove(self, event_id: int) -> bool:
        """Take out one event: it got another id; say whether it was here."""
        found = self._find(event_id)
        if found:
            del found[0].events[found[1]]
            self._count -= 1
            if not found[0].events:
                self._chunks.remove(found[0])
                self.size_bytes -= found[0].size_bytes
        return bool(found)

    def mark_processed(self, event_ids: Sequence[int]) -> None:
        """Set ``processed`` of those that are here."""
        for event_id in event_ids:
            if event := self.get(event_id):
                self.replace(msgspec.structs.replace(event, processed=True))

    def _find(self, event_id: int) -> tuple[_Chunk, int] | None:
        at = bisect_left(self._chunks, event_id, key=attrgetter("last_id"))
        if at == len(self._chunks):
            return None
        events = self._chunks[at].events
        place = bisect_left(events, event_id, key=_id_of)
        if place == len(events) or events[place].id != event_id:
            return None
        return self._chunks[at], place

    def ask(
        self, query: EventQuery, committed_id: int, pause: Callable[[], object] | None = None
    ) -> EventPage | NeedsDatabase:
        """Answer ``query``, or say what PostgreSQL must add.

        Args:
            query: What is wanted.
            committed_id: Our ids up to this one are in PostgreSQL.
            pause: Called after each thousand events looked at, to let others run; the
                window may change meanwhile, the answer is of the moment of the call.
        """
        floor_id, newest_id = self.floor_id, self.newest_id
        found: list[Event] = []
        test = matcher(query) if query.filtered else None
        for events in self._walk(query):
            found += filter(test, events) if test else events[: query.limit + 1]
            if len(found) > query.limit:
                del found[query.limit + 1 :]
                break
            if pause is not None:
                pause()
        if _suffices(query, floor_id, found):
            return page_of(query, found, newest_id)
        return NeedsDatabase(query, tuple(found), floor_id, committed_id, newest_id)

    def _walk(self, query: EventQuery) -> Iterator[list[Event]]:
        if query.after is None:
            return self._downwards(query.before)
        return self._upwards(query.after)

    def _upwards(self, after: int) -> Iterator[list[Event]]:
        at = bisect_right(self._chunks, after, key=attrgetter("last_id"))
        for chunk in self._chunks[at:]:
            yield chunk.events[bisect_right(chunk.events, after, key=_id_of) :]

    def _downwards(self, before: int | None) -> Iterator[list[Event]]:
        for chunk in self._chunks[::-1]:
            events = chunk.events
            end = len(events) if before is None else bisect_left(events, before, key=_id_of)
            yield events[:end][::-1]


def _suffices(query: EventQuery, floor_id: int | None, found: list[Event]) -> bool:
    """Whether no row of PostgreSQL's could change the page."""
    if query.after is not None:
        return floor_id is not None and query.after >= floor_id
    return len(found) > query.limit or floor_id == 0 or fitting(found) < len(found)
