"""What ``/bus/…`` takes and answers; OpenAPI is written from it."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ...protocol.where import MAX_CHARS
from ...sql.events.event_reader import TypeRow
from ...sql.events.minute_counts import Bucket
from ..validation_messages import MUST
from .event_shape import EventShape
from .schemas import MAX_ID, EventId, Name, Pattern

Where = Annotated[str, Meta(min_length=1, max_length=MAX_CHARS)]


class EventsQuery(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}
):
    """The query of ``/bus/events``."""

    since: EventId | None = None
    """Events after this id, oldest first; 0 is as if it were not given."""
    after: EventId | None = None
    """As `since`, but 0 means: from the very first event."""
    before: Annotated[int, Meta(ge=1, le=MAX_ID)] | None = None
    """Events before this id, for paging backwards."""
    limit: Annotated[int, Meta(ge=1)] = 50
    """How many at most; above 200 it is 200."""
    type: Annotated[tuple[Pattern, ...], Meta(max_length=50)] = ()
    """Only these types; `*` matches any run of characters; may repeat."""
    source: str | None = None
    """Only from this source."""
    from_: datetime | None = None
    """Received at this time or later; a day alone is its beginning in UTC."""
    to: datetime | None = None
    """Received at this time or earlier; a day alone is its beginning in UTC."""
    processed: bool | None = None
    """Only events marked as processed, or only the others."""
    correlation_id: Annotated[str, Meta(min_length=1, max_length=1024)] | None = None
    """Only the events of this chain: those whose payload has this `correlation_id`, and the first,
    whose own name it is. No index helps: give `from` and `to`, or a `type`, on a large table."""
    where: Where | None = None
    """Only what this filter wants, such as `data.symbol == "AAPL" and data.score >= 0.8`. At most
    20,000 rows are examined for one page: it may be short, or empty, and have more."""
    order: Literal["asc", "desc"] = "desc"
    """Order within the page; which events are in it does not change."""


class HistogramQuery(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """The query of ``/bus/histogram``."""

    from_: datetime | None = None
    """Begin at this time; by default an hour before `to`. At most 31 days before it."""
    to: datetime | None = None
    """End at this time; by default now."""
    buckets: Annotated[int, Meta(ge=1, le=500)] = 60
    """About so many spans, each of whole minutes."""
    type: Annotated[tuple[Pattern, ...], Meta(max_length=50)] = ()
    """Only these types; `*` matches any run of characters; may repeat."""


class PostEvent(msgspec.Struct, frozen=True):
    """The body of ``POST /bus/events``."""

    type: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=200,
            pattern=r"^[^\s\x00-\x1f\x7f-\x9f]+$",
            extra={MUST: "must have no spaces and no control characters"},
        ),
    ]
    """The channel that it is published on; not one of the daemon's own."""
    payload: msgspec.Raw
    """Any JSON that PostgreSQL can store."""
    source: Name | None = None
    """Its source; by default what the payload says."""


class MarkProcessed(msgspec.Struct, frozen=True):
    """The body of ``POST /bus/events/processed``."""

    ids: Annotated[tuple[EventId, ...], Meta(min_length=1, max_length=1000)]
    """Ids of events."""


class EventsAnswer(msgspec.Struct, frozen=True):
    """``/bus/events``."""

    status: Literal["ok"]
    timestamp: str
    events: list[EventShape]
    cursor: int
    """Where to continue: the next `since`."""
    has_more: bool
    """Whether more events match in this direction; with `where`: may match."""
    looked_to: int | msgspec.UnsetType | None = msgspec.UNSET
    """With `where`: the last id examined; go on with `after` (or `before`) from there. Null: there
    are no more."""


class EventAnswer(msgspec.Struct, frozen=True):
    """``/bus/events/{id}``."""

    status: Literal["ok"]
    timestamp: str
    event: EventShape


class StoredAnswer(msgspec.Struct, frozen=True):
    """``POST /bus/events``."""

    status: Literal["stored", "accepted"]
    id: int | None
    ts: str


class ProcessedAnswer(msgspec.Struct, frozen=True):
    """``POST /bus/events/processed``."""

    status: Literal["ok"]
    updated: list[int]
    missing: list[int]


class TypesAnswer(msgspec.Struct, frozen=True):
    """``/bus/types``."""

    status: Literal["ok"]
    timestamp: str
    types: list[TypeRow]


class HistogramAnswer(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """``/bus/histogram``."""

    status: Literal["ok"]
    timestamp: str
    from_: str
    """Beginning of the first bucket, at or before the time asked for."""
    to: str
    """End of the last bucket, at or after the time asked for."""
    bucket_s: int
    """Length of a bucket in seconds, a multiple of 60; buckets begin at multiples of it (UTC)."""
    counted_from: str | None
    """Older events are still being counted in the background; null if all are."""
    buckets: list[Bucket]
    """Those with events, in order of time."""
