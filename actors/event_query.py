"""What a page of events is asked by, and how one is cut (contract, part 2). Pure."""

from collections.abc import Callable, Sequence
from itertools import accumulate, takewhile
from typing import Any, Final

import msgspec

from ..protocol.causes import is_of_chain
from ..protocol.patterns import TypeMatcher
from ..protocol.where import Subject, where
from ..sql.events.event_reader import EventRow
from .events import HEARTBEAT, HEARTBEAT_PREFIX, Event
from .fields import MAX_NUMBER_BYTES, FieldReader

MAX_FILTERED_BYTES: Final = 256 * 1024
"""Filters do not look into larger payloads: fields of these compare false."""
MAX_PAGE_BYTES: Final = 8 * 1024 * 1024
"""A page ends before its payloads grow larger; there are more then, which the cursor brings."""


class EventQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which events a page holds; at most one of ``after`` and ``before``."""

    limit: int = 50
    """Events of the page, 1 to 200."""
    after: int | None = None
    """The oldest events above this id, instead of the latest."""
    before: int | None = None
    """The latest events below this id."""
    types: tuple[str, ...] = ()
    """Patterns of which one must match; ``heartbeat.<id>`` is a heartbeat with that source."""
    source: str | None = None
    """Only events of this source."""
    from_ts: str | None = None
    """Not older than this time, in the contract's form."""
    to_ts: str | None = None
    """Not newer than this time, in the contract's form."""
    processed: bool | None = None
    """Only events that are, or are not, marked as processed."""
    chain: str | None = None
    """Only events of this chain of causes (`protocol.causes`)."""
    where: str | None = None
    """Only events that this filter wants (`protocol.where`)."""
    others: bool = False
    """Also rows of other programs, by their time: for pages, not for streams that go by ids."""

    @property
    def filtered(self) -> bool:
        """Whether not every event matches."""
        narrowed = (self.source, self.from_ts, self.to_ts, self.processed, self.chain, self.where)
        return bool(self.types) or any(value is not None for value in narrowed)


class EventPage(msgspec.Struct, frozen=True):
    """An answer to ``EventQuery``."""

    events: tuple[Event | EventRow, ...]
    """Newest first."""
    cursor: int
    """The page's highest id if there are newer events, else the newest id there is to read."""
    has_more: bool
    """Whether there are more: newer ones for ``after``, else older ones."""
    looked_to: int | None = None
    """With `where`: the last id examined, where the next page begins; None: there are no more."""


class DatabaseRange(msgspec.Struct, frozen=True):
    """Which rows PostgreSQL must supply, filtered as the query says."""

    after: int | None
    """Only ids above."""
    through: int | None
    """Only ids up to this one."""
    limit: int
    """Maximum number of rows."""
    oldest_first: bool
    """Whether the lowest ids are wanted, or the highest."""


class NeedsDatabase(msgspec.Struct, frozen=True):
    """An answer to ``EventQuery`` that memory alone cannot give: fetch, then ``complete``."""

    query: EventQuery
    """What was asked."""
    part: tuple[Event, ...]
    """What memory has of it, in the order of the query: all matching above the floor."""
    floor_id: int | None
    """Rows up to this id are PostgreSQL's; None if memory holds nothing."""
    committed_id: int
    """Our ids up to this one are in PostgreSQL."""
    newest_id: int
    """The newest id known to memory."""
    others: tuple[Event, ...] = ()
    """Rows of other programs, newest first by time."""

    @property
    def readable(self) -> bool:
        """Whether PostgreSQL has all that memory lacks and the page may need.

        A new journal (no floor) has nothing of its own that could be missing.
        """
        last = self._last_needed
        return self.floor_id is None or last is None or last <= self.committed_id

    @property
    def _last_needed(self) -> int | None:
        if self.query.before is None:
            return self.floor_id
        below = self.query.before - 1
        return below if self.floor_id is None else min(below, self.floor_id)

    def rows_wanted(self) -> DatabaseRange | None:
        """What to ask PostgreSQL; None if no answer can complete the page at this moment."""
        oldest_first = self.query.after is not None
        through = self._last_needed
        if not self.readable:
            if not oldest_first:
                return None
            through = self.committed_id
        held = 0 if oldest_first else len(self.part)
        return DatabaseRange(
            after=self.query.after,
            through=through,
            limit=self.query.limit + 1 - held,
            oldest_first=oldest_first,
        )

    def complete(self, rows: Sequence[Event | EventRow]) -> EventPage | None:
        """The page, with PostgreSQL's answer to ``rows_wanted`` in its order.

        None if it would pass over ids that cannot be read yet: 503 with ``Retry-After``.
        """
        if self.query.after is None:
            found: tuple[Event | EventRow, ...] = (*self.part, *rows)
        elif not self.readable and len(rows) <= self.query.limit:
            return None
        else:
            found = (*rows, *self.part)
        newest_id = max(self.newest_id, *(row.id for row in rows), 0)
        return with_others(page_of(self.query, found, newest_id), self.query, self.others)

    def partial(self, rows: Sequence[Event | EventRow], looked_to: int) -> EventPage:
        """A page of which only rows up to (or down to) an id were examined.

        Args:
            rows: Those of PostgreSQL's that are wanted, in the query's order; no more than a page.
            looked_to: The last id examined.
        """
        if self.query.after is not None:
            return EventPage(tuple(reversed(rows)), looked_to, has_more=True, looked_to=looked_to)
        page = page_of(self.query, (*self.part, *rows), self.newest_id)
        if not page.has_more:
            page = msgspec.structs.replace(page, has_more=True, looked_to=looked_to)
        return with_others(page, self.query, self.others)


def page_of(query: EventQuery, found: Sequence[Event | EventRow], newest_id: int) -> EventPage:
    """Cut ``found`` (in the query's order, one more than wanted if there are more) to a page."""
    events = found[: min(query.limit, fitting(found))]
    has_more = len(found) > len(events)
    looked_to = events[-1].id if has_more and query.where is not None else None
    highest = max((event.id for event in events), default=newest_id)
    if query.after is not None:
        cursor = highest if has_more else max(highest, newest_id)
        return EventPage(tuple(reversed(events)), cursor, has_more, looked_to)
    cursor = max(highest, newest_id) if query.before is None else highest
    return EventPage(tuple(events), cursor, has_more, looked_to)


def with_others(page: EventPage, query: EventQuery, others: Sequence[Event]) -> EventPage:
    """Put rows of other programs into a page that goes backwards; its cursor stays.

    Args:
        page: Of our events, newest first.
        query: What was asked.
        others: Newest first by time.
    """
    ours = {event.id for event in page.events}
    oldest = (page.events[-1].ts or "") if page.has_more and page.events else ""
    pending = [row for row in others if row.id not in ours and row.ts >= oldest][::-1]
    if not pending:
        return page
    if query.where is not None and ours:  # which goes on from one of ours
        pending = pending[max(0, len(pending) - query.limit + 1) :]
    found: list[Event | EventRow] = []
    for event in page.events:
        while pending and pending[-1].ts > (event.ts or ""):
            found.append(pending.pop())
        found.append(event)
    found += reversed(pending)
    events = found[: min(query.limit, fitting(found))]
    has_more, looked_to = page.has_more, page.looked_to
    if len(found) > len(events):
        has_more = True
        if query.where is not None:
            looked_to = min((row.id for row in events if row.id in ours), default=looked_to)
    return EventPage(tuple(events), page.cursor, has_more, looked_to)


def fitting(found: Sequence[Event | EventRow]) -> int:
    """How many of ``found`` fit into a page; one always does."""
    sizes = accumulate(memoryview(event.payload).nbytes for event in found)
    return max(1, sum(1 for _ in takewhile(lambda size: size <= MAX_PAGE_BYTES, sizes)))


def matcher(query: EventQuery) -> Callable[[Event], bool]:
    """The filters of ``query`` as one test of an event."""
    tests: list[Callable[[Event], bool]] = []
    if query.types:
        tests.append(type_test(query.types))
    if (source := query.source) is not None:
        tests.append(lambda event: event.source == source)
    if (from_ts := query.from_ts) is not None:
        tests.append(lambda event: event.ts >= from_ts)
    if (to_ts := query.to_ts) is not None:
        tests.append(lambda event: event.ts <= to_ts)
    if (processed := query.processed) is not None:
        tests.append(lambda event: event.processed is processed)
    if (chain := query.chain) is not None:
        tests.append(lambda event: _is_of_chain(event, chain))
    if query.where is not None:
        tests.append(where_test(query.where))
    return lambda event: all(test(event) for test in tests)


class _Causes(msgspec.Struct):
    """What a payload says of causes; the rest is skipped."""

    correlation_id: object = None
    id: object = None
    boot: object = None
    seq: object = None


_read_causes = FieldReader(_Causes)


def _is_of_chain(event: Event, chain: str) -> bool:
    try:
        causes = _read_causes(event.payload)
    except (msgspec.DecodeError, RecursionError):  # no object, or another program's
        return False
    return is_of_chain(msgspec.structs.asdict(causes), event.source, event.type, chain=chain)


def where_test(text: str) -> Callable[[Event | EventRow], bool]:
    """Whether an event is one that a filter wants.

    Raises:
        BadWhere: The text is no filter.
    """
    wants = where(text)
    return lambda event: wants(subject_of(event))


def subject_of(event: Event | EventRow) -> Subject:
    """An event as filters see it, at a bounded cost: one level of objects is read at a time."""
    return Subject(event.type, event.source, bytes(event.payload), _read_level)


_read_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def _read_level(item: bytes | msgspec.Raw) -> Any:
    """A value of JSON; of an object its fields unread, of a list and a long number nothing."""
    text = bytes(item)
    if len(text) > MAX_FILTERED_BYTES:
        raise ValueError("too large to look into")
    begin = text.lstrip(b" \t\r\n")[:1]
    try:
        if begin == b"{":
            return _read_object(text)
        if begin == b"[" or (begin != b'"' and len(text) > MAX_NUMBER_BYTES):
            return ()
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from None


def type_test(types: tuple[str, ...]) -> Callable[[Event], bool]:
    """Whether an event is of one of ``types``; ``heartbeat.<agent>`` goes by its source."""
    every_beat = (HEARTBEAT,) if f"{HEARTBEAT_PREFIX}*" in types else ()  # without a source, too
    match_type = TypeMatcher((*types, *every_beat))
    beats = tuple(name for name in types if name.startswith(HEARTBEAT_PREFIX))
    match_source = TypeMatcher(name.removeprefix(HEARTBEAT_PREFIX) for name in beats)

    def test(event: Event) -> bool:
        if match_type(event.type):
            return True
        source = event.source
        return event.type == HEARTBEAT and source is not None and match_source(source)

    return test
