"""What a client of the event feed asks for at connect, by WebSocket or Server-Sent Events."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from ...actors.broadcaster.clients import ALL_TYPES, MAX_WHERES, Clients
from ...protocol.patterns import MAX_STARS
from ..api.event_routes import check_where
from ..api.event_schemas import Where
from ..api.schemas import EventId
from ..errors import BadRequest, Unavailable

MAX_TYPES: Final = 100
MAX_TYPE_LENGTH: Final = 200
TOO_MANY_WHERES: Final = (
    f"Clients filter in {MAX_WHERES} different ways already; use one of theirs, or filter by types."
)


class EventStreamQuery(msgspec.Struct, frozen=True):
    """The query of ``/events/stream``, ``/`` and ``/ws``."""

    types: Annotated[tuple[str, ...], Meta(max_length=MAX_TYPES)] = ()
    """Only events of these types, comma-separated; `*` matches any run of characters."""
    type: Annotated[tuple[str, ...], Meta(max_length=MAX_TYPES)] = ()
    """The same; may repeat."""
    where: Where | None = None
    """Of these only what this filter wants, such as `data.score >= 0.8`."""
    since: EventId | None = None
    """First every event after this id, in order, then the live ones. `Last-Event-ID` goes before
    it."""

    @property
    def patterns(self) -> tuple[str, ...]:
        """The patterns it names, checked.

        Raises:
            BadRequest: As :func:`check_types`.
        """
        return check_types([*(one for text in self.types for one in text.split(",")), *self.type])

    @property
    def filter(self) -> str | None:
        """The filter, checked.

        Raises:
            BadRequest: It is none.
        """
        check_where(self.where)
        return self.where


def check_room(registry: Clients, where: str | None) -> None:
    """Refuse one filter too many.

    Raises:
        Unavailable: Too many different ones are in force.
    """
    if not registry.may_filter_by(where):
        raise Unavailable(TOO_MANY_WHERES, retry_after_s=5)


def check_types(types: list[str]) -> tuple[str, ...]:
    """The patterns, stripped, sorted and without duplicates; none means all.

    Raises:
        BadRequest: Too many, or one is too long or has too many stars.
    """
    wanted = sorted({one.strip() for one in types} - {""})
    if len(wanted) > MAX_TYPES:
        raise BadRequest(f"types: at most {MAX_TYPES}.")
    if any(len(one) > MAX_TYPE_LENGTH for one in wanted):
        raise BadRequest(f"types: at most {MAX_TYPE_LENGTH} characters each.")
    if any(one.count("*") > MAX_STARS for one in wanted):
        raise BadRequest(f"types: at most {MAX_STARS} stars (*) each.")
    return tuple(wanted) or ALL_TYPES
