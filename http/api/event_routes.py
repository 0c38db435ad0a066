"""``/bus/…``: pages of events, single ones, posting and marking them, the types that exist."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from ...actors.broadcaster.clients import Clients
from ...actors.event_query import EventQuery
from ...actors.events import NewEvent
from ...actors.messages.event_persister import (
    AwaitCommitted,
    NoteProcessed,
    PersistEvents,
)
from ...actors.payloads import LARGE_BYTES, examine, examine_in_turns
from ...protocol.channels import is_private
from ...protocol.limits import MAX_PAGE_EVENTS
from ...protocol.targets import MAX_NAME_BYTES
from ...protocol.timestamps import timestamp, utc_now
from ...protocol.where import BadWhere, where
from ...runtime import Address, give_way
from ...sql.database import Database
from ...sql.events.event_filter import EventFilter
from ...sql.events.event_reader import EventReader
from ...sql.events.minute_counts import histogram
from ..errors import BadRequest, NotFound, Unavailable
from ..peers import ASK_TIMEOUT_S
from ..requests import Call, Environ, sane_id, traceparent_of
from ..routes import Answer, Route, json_answer
from .event_pages import EventPages
from .event_schemas import (
    EventAnswer,
    EventsAnswer,
    EventsQuery,
    HistogramAnswer,
    HistogramQuery,
    MarkProcessed,
    PostEvent,
    ProcessedAnswer,
    StoredAnswer,
    TypesAnswer,
)
from .schemas import EventId

# Facts about the daemon itself, which no caller can know.
_RESERVED: Final = re.compile(r"(bus|runtime|agent)\..*|risk\.(killswitch|rule)", re.DOTALL)

_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_HISTOGRAM_SPAN: Final = timedelta(hours=1)
_HISTOGRAM_LIMIT: Final = timedelta(days=31)


class _EncodedEvents(msgspec.Struct, frozen=True):
    """``EventsAnswer`` with events that are encoded already."""

    status: str
    timestamp: str
    events: msgspec.Raw
    cursor: int
    has_more: bool
    looked_to: int | msgspec.UnsetType | None = msgspec.UNSET


class EventRoutes:
    """Events over REST.

    Args:
        persister: The EventPersister.
        clients: Knows which events were shown, and replaced.
        database: For what memory does not cover.
    """

    def __init__(self, persister: Address, clients: Clients, database: Database) -> None:
        self._persister = persister
        self._database = database
        self._reader = EventReader(database)
        self._pages = EventPages(persister, clients, self._reader)

    @Route("GET", "/bus/events", {200: EventsAnswer}, query=EventsQuery, etag=True)
    def events(self, call: Call) -> _EncodedEvents:
        """A page of events.

        Without `since`: the latest `limit` events. With `since`: the oldest ones after that id, so
        a caller that continues with `cursor` until `has_more` is false misses nothing.

        `after` is the same as `since`, but means it at 0 too: from the very first event. `before`
        pages backwards, with the page's lowest id as the next value. Give one of them.

        An answer never skips an id that cannot be read at the moment; it is 503 then.

        With `where` a page ends after 20,000 rows examined: go on while `has_more`, from
        `looked_to`.
        """
        wanted: EventsQuery = call.query
        page = self._pages.page(event_query(wanted), ascending=wanted.order == "asc")
        looked_to = msgspec.UNSET if wanted.where is None else page.looked_to
        events = msgspec.Raw(page.events)
        return _EncodedEvents("ok", utc_now(), events, page.cursor, page.has_more, looked_to)

    @Route(
        "GET",
        "/bus/events/{id}",
        {200: EventAnswer},
        path_types={"id": EventId},
        errors=(404,),
        etag=True,
    )
    def event(self, call: Call) -> EventAnswer:
        """One event."""
        row = self._pages.get(call.path["id"])
        if row is None:
            raise NotFound(f"There is no event {call.path['id']}.")
        return EventAnswer("ok", utc_now(), row)

    @Route(
        "POST",
        "/bus/events",
        {201: StoredAnswer, 202: StoredAnswer},
        body=PostEvent,
        example={
            "type": "strategy.candidate",
            "payload": {"symbol": "AAPL", "action": "buy", "score": 0.91},
            "source": "my-agent",
        },
    )
    def post_event(self, call: Call) -> Answer:
        """Store an event and publish it on its channel.

        Journalled on disk before it is answered, then published on the channel `type`. 202 with
        `id: null` while no id is available. A caller's `X-Request-ID` and `traceparent` become the
        payload's `correlation_id` and `traceparent` where it has none. Types `bus.*`, `runtime.*`,
        `agent.*`, `risk.killswitch` and `risk.rule` are the daemon's own; `orchestrator.*` and
        `reply.*` are never stored.
        """
        posted: PostEvent = call.body
        for name, text in (("type", posted.type), ("source", posted.source or "")):
            if len(text.encode()) > MAX_NAME_BYTES:
                raise BadRequest(f"{name}: must have at most {MAX_NAME_BYTES} bytes.")
        payload = with_causes(bytes(posted.payload), call.environ)
        if _RESERVED.fullmatch(posted.type):
            raise BadRequest(f"type: {posted.type} is only made by the daemon itself.")
        if is_private(posted.type):
            raise BadRequest(f"type: {posted.type} is never stored; publish it on Redis.")
        large = len(payload) > LARGE_BYTES
        envelope = examine_in_turns(payload, give_way) if large else examine(payload)
        if envelope.reason is not None:
            raise BadRequest(f"payload: {envelope.reason}.")
        event = NewEvent(posted.type, payload, posted.source, call.request_id, envelope)
        (stored,) = self._persister.ask(
            PersistEvents((event,), publish=True), timeout_s=ASK_TIMEOUT_S
        )
        if stored.rejected is not None:
            raise BadRequest(f"payload: {stored.rejected}.")
        if stored.id is None:
            return json_answer(StoredAnswer("accepted", None, stored.ts), 202)
        return json_answer(StoredAnswer("stored", stored.id, stored.ts), 201)

    @Route(
        "POST",
        "/bus/events/processed",
        {200: ProcessedAnswer},
        body=MarkProcessed,
        example={"ids": [1, 2, 3]},
    )
    def mark_processed(self, call: Call) -> ProcessedAnswer:
        """Mark events as processed.

        Unknown ids come back as `missing`; the others are marked.
        """
        ids = tuple(dict.fromkeys(call.body.ids))
        if not self._persister.ask(AwaitCommitted(max(ids)), timeout_s=ASK_TIMEOUT_S):
            raise Unavailable("These events are still being stored; try again.")
        updated, missing = self._reader.mark_processed(ids)
        if updated:
            self._persister.ask(NoteProcessed(tuple(updated)), timeout_s=ASK_TIMEOUT_S)
            self._pages.forget()
        return ProcessedAnswer("ok", updated, missing)

    @Route("GET", "/bus/types", {200: TypesAnswer}, etag=True)
    def types(self, _call: Call) -> TypesAnswer:
        """The types there are, most frequent first.

        At most 10,000. From PostgreSQL: events that are not stored yet are not counted.
        """
        return TypesAnswer("ok", utc_now(), self._reader.types())

    @Route("GET", "/bus/histogram", {200: HistogramAnswer}, query=HistogramQuery)
    def histogram(self, call: Call) -> HistogramAnswer:
        """Events over time, by class.

        An event's class is the first word of its type (`data`, `heartbeat`, `news`, `quant`,
        `strategy`, `runtime`, `agent`, `bus`, `risk`), else `other`. Buckets without events and
        classes without any are left out. What PostgreSQL has is counted, exactly, but for rows
        that other programs insert late or delete: they follow within 10 s among the latest
        200,000 ids, else within the hour.
        """
        wanted: HistogramQuery = call.query
        end = _aware(wanted.to, "to") or datetime.now(UTC)
        start = _aware(wanted.from_, "from") or end - min(_HISTOGRAM_SPAN, end - _FIRST)
        if not timedelta() <= end - start <= _HISTOGRAM_LIMIT:
            raise BadRequest(f"from, to: give at most {_HISTOGRAM_LIMIT.days} days, in order.")
        found = histogram(
            self._database,
            EventFilter(types=wanted.type),
            start=start,
            end=end,
            buckets=wanted.buckets,
        )
        since = found.counted_from
        return HistogramAnswer(
            status="ok",
            timestamp=utc_now(),
            from_=timestamp(found.start.timestamp()),
            to=timestamp(found.end.timestamp()),
            bucket_s=found.bucket_s,
            counted_from=None if since is None else timestamp(since.timestamp()),
            buckets=found.buckets,
        )


class _Causes(msgspec.Struct):
    correlation_id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    traceparent: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def with_causes(payload: bytes, environ: Environ) -> bytes:
    """The payload, an object, with what the request's headers say of its causes, if it does not."""
    given = {"correlation_id": sane_id(environ), "traceparent": traceparent_of(environ)}
    try:
        own = msgspec.json.decode(payload, type=_Causes)
    except (msgspec.DecodeError, UnicodeDecodeError):  # no object; what is no JSON is refused later
        return payload
    missing = {
        name: text
        for name, text in given.items()
        if text is not None and getattr(own, name) is msgspec.UNSET
    }
    if not missing:
        return payload
    head = payload.rstrip()[:-1].rstrip()
    comma = b"" if head.endswith(b"{") else b","
    return head + comma + msgspec.json.encode(missing)[1:]


def event_query(wanted: EventsQuery) -> EventQuery:
    """What the persister and PostgreSQL are asked.

    Raises:
        BadRequest: Two of ``since``, ``after`` and ``before`` are given, or ``where`` is no filter.
    """
    check_where(wanted.where)
    after = wanted.after if wanted.after is not None else (wanted.since or None)
    if (wanted.after is not None and wanted.since) or (after is not None and wanted.before):
        raise BadRequest("since, after, before: give one of them.")
    return EventQuery(
        limit=min(wanted.limit, MAX_PAGE_EVENTS),
        after=after,
        before=wanted.before,
        types=wanted.type,
        source=wanted.source,
        from_ts=_time(wanted.from_, "from"),
        to_ts=_time(wanted.to, "to"),
        processed=wanted.processed,
        others=True,
        chain=wanted.correlation_id,
        where=wanted.where,
    )


def check_where(text: str | None) -> None:
    """Refuse what is no filter; none is fine.

    Raises:
        BadRequest: It says where it cannot be read.
    """
    try:
        if text is not None:
            where(text)
    except BadWhere as error:
        raise BadRequest(f"where: {error}.") from None


def _time(moment: datetime | None, name: str) -> str | None:
    aware = _aware(moment, name)
    return None if aware is None else timestamp(aware.timestamp())


def _aware(moment: datetime | None, name: str) -> datetime | None:
    if moment is None:
        return None
    try:
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (OverflowError, ValueError):
        raise BadRequest(f"{name}: must be within the years 1 to 9999 in UTC.") from None
