"""``/bus/…``: pages of events, single ones, posting and marking them, the types there are."""

import re
import time
from datetime import UTC, datetime
from typing import Final

import gevent
import msgspec

from ...actors.events import KILLSWITCH, NewEvent
from ...actors.messages.event_persister import (
    GetPersisterStatus,
    NoteProcessed,
    PersisterStatus,
    PersistEvents,
    StoredEvent,
)
from ...actors.payloads import examine
from ...actors.recent_events import EventQuery
from ...protocol.timestamps import timestamp, utc_now
from ...sql.events.event_reader import EventReader
from ..errors import BadRequest, NotFound, Unavailable
from ..etag import tagged
from ..peers import Peers, ask
from ..requests import Call
from ..routes import Answer, Route, json_answer
from .event_pages import EventPages
from .schemas import (
    EventAnswer,
    EventId,
    EventsAnswer,
    EventsQuery,
    MarkProcessed,
    PostEvent,
    ProcessedAnswer,
    StoredAnswer,
    TypesAnswer,
)

# Facts about the system itself: whoever posts them would only pretend.
_RESERVED: Final = re.compile(r"(bus|runtime|agent)\..*|" + re.escape(KILLSWITCH), re.DOTALL)

_COMMIT_WAIT_S: Final = 2.0
_COMMIT_POLL_S: Final = 0.02


class _EncodedEvents(msgspec.Struct, frozen=True):
    """``EventsAnswer`` with events that are encoded already."""

    status: str
    timestamp: str
    events: msgspec.Raw
    cursor: int
    has_more: bool


class EventRoutes:
    """Events over REST."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        self._pages = EventPages(peers)
        self._reader = EventReader(peers.database)

    def routes(self) -> list[Route]:
        """The routes."""
        return [
            Route(
                "GET",
                "/bus/events",
                self.events,
                "A page of events",
                {200: EventsAnswer, 304: None},
                query=EventsQuery,
                errors=(503,),
            ),
            Route(
                "GET",
                "/bus/events/{id}",
                self.event,
                "One event",
                {200: EventAnswer, 304: None},
                path_types={"id": EventId},
                errors=(404, 503),
            ),
            Route(
                "POST",
                "/bus/events",
                self.post_event,
                "Store an event and publish it on its channel",
                {201: StoredAnswer, 202: StoredAnswer},
                body=PostEvent,
                errors=(503,),
            ),
            Route(
                "POST",
                "/bus/events/processed",
                self.mark_processed,
                "Mark events as processed",
                {200: ProcessedAnswer},
                body=MarkProcessed,
                errors=(503,),
            ),
            Route(
                "GET",
                "/bus/types",
                self.types,
                "The types there are, most frequent first",
                {200: TypesAnswer, 304: None},
                errors=(503,),
            ),
        ]

    def events(self, call: Call) -> Answer:
        """A page."""
        wanted: EventsQuery = call.query
        page = self._pages.page(event_query(wanted), ascending=wanted.order == "asc")
        events = msgspec.Raw(page.events)
        answer = _EncodedEvents("ok", utc_now(), events, page.cursor, page.has_more)
        return tagged(call, answer)

    def event(self, call: Call) -> Answer:
        """One event."""
        row = self._pages.get(call.path["id"])
        if row is None:
            raise NotFound(f"There is no event {call.path['id']}.")
        return tagged(call, EventAnswer("ok", utc_now(), row))

    def post_event(self, call: Call) -> Answer:
        """Journalled when it is answered."""
        posted: PostEvent = call.body
        payload = bytes(posted.payload)
        if _RESERVED.fullmatch(posted.type):
            raise BadRequest(f"type: {posted.type} is only made by the daemon itself.")
        if reason := examine(payload).reason:
            raise BadRequest(f"payload: {reason}.")
        event = NewEvent(posted.type, payload, source=posted.source, request_id=call.request_id)
        stored: tuple[StoredEvent, ...] = ask(
            self._peers.persister, PersistEvents((event,), publish=True)
        )
        if stored[0].rejected is not None:
            raise BadRequest(f"payload: {stored[0].rejected}.")
        if stored[0].id is None:
            return json_answer(StoredAnswer("accepted", None, stored[0].ts), 202)
        return json_answer(StoredAnswer("stored", stored[0].id, stored[0].ts), 201)

    def mark_processed(self, call: Call) -> Answer:
        """Waits for a moment if the events are not in PostgreSQL yet."""
        ids = tuple(dict.fromkeys(call.body.ids))
        self._wait_committed(max(ids))
        updated, missing = self._reader.mark_processed(ids)
        if updated:
            ask(self._peers.persister, NoteProcessed(tuple(updated)))
            self._pages.forget()
        return json_answer(ProcessedAnswer("ok", updated, missing))

    def types(self, call: Call) -> Answer:
        """From PostgreSQL: what is journalled but not stored yet is not counted."""
        return tagged(call, TypesAnswer("ok", utc_now(), self._reader.types()))

    def _wait_committed(self, event_id: int) -> None:
        """Wait until ``event_id`` is in PostgreSQL, if it is one of ours that was given.

        Raises:
            Unavailable: It is not there after 2 s.
        """
        until = time.monotonic() + _COMMIT_WAIT_S
        while True:
            status: PersisterStatus = ask(self._peers.persister, GetPersisterStatus())
            if status.committed_id >= min(event_id, status.newest_id) or not status.pending:
                return
            if time.monotonic() > until:
                raise Unavailable("These events are still being stored; try again.")
            gevent.sleep(_COMMIT_POLL_S)


def event_query(wanted: EventsQuery) -> EventQuery:
    """What the persister and PostgreSQL are asked.

    Raises:
        BadRequest: Two of ``since``, ``after`` and ``before`` are given.
    """
    after = wanted.after if wanted.after is not None else (wanted.since or None)
    if (wanted.after is not None and wanted.since) or (after is not None and wanted.before):
        raise BadRequest("since, after, before: give one of them.")
    return EventQuery(
        limit=wanted.limit,
        after=after,
        before=wanted.before,
        types=wanted.type,
        source=wanted.source,
        from_ts=_time(wanted.from_),
        to_ts=_time(wanted.to),
        processed=wanted.processed,
    )


def _time(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return timestamp(aware.timestamp())
