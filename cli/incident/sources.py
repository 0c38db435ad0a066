"""Where an incident's events and acts come from: a daemon that answers, or its database."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from ...protocol.timestamps import timestamp
from ..client.pages import Event, Pages
from ..client.rest import Client
from ..filters import Filter
from ..offline.database import database_failures
from ..offline.time_range import open_history
from .span import Span

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ...sql.connection import Connection

NEWEST: Final = 200
"""Of each type, up to a moment; a page of the daemon's."""
AUDIT_PAGE: Final = 200


class Source(Protocol):
    """Gives events in the form of ``GET /bus/events``, and acts in that of ``GET /audit``."""

    name: str
    """In words."""

    def events(self, span: Span) -> Iterator[Event]:
        """All of a span, by id."""

    def newest(self, types: Sequence[str], moment: datetime) -> list[Event]:
        """The newest `NEWEST` of each type up to a moment, newest first."""

    def acts(self) -> Iterator[dict[str, Any]]:
        """Acts and refused attempts, the newest first."""


class DaemonSource:
    """Asks a daemon.

    Args:
        client: Connection to it.
        pages: Its pages; wait when it limits the rate.
    """

    def __init__(self, client: Client, pages: Pages) -> None:
        self.name = f"the daemon at {client.url}"
        self._client = client
        self._pages = pages

    def events(self, span: Span) -> Iterator[Event]:
        """See `Source`."""
        yield from self._pages.between(0, None, Filter(begin=span.begin_text, end=span.end_text))

    def newest(self, types: Sequence[str], moment: datetime) -> list[Event]:
        """See `Source`."""
        found: list[Event] = []
        for name in types:
            wanted = Filter(types=(name,), end=timestamp(moment.timestamp()))
            found += self._pages.latest(NEWEST, wanted)
        return sorted(found, key=_age, reverse=True)

    def acts(self) -> Iterator[dict[str, Any]]:
        """See `Source`."""
        before: str | None = None
        while True:
            answer = self._client.get("/audit", {"limit": AUDIT_PAGE, "before": before})
            yield from answer["audit"]
            if not answer["has_more"] or not answer["audit"]:
                return
            before = str(answer["audit"][-1]["id"])


class DatabaseSource:
    """Reads the configured database.

    Args:
        config: The settings' file.
    """

    def __init__(self, config: Path | None) -> None:
        self.name = "the database"
        self._config = config

    def events(self, span: Span) -> Iterator[Event]:
        """See `Source`."""
        wanted = Filter(begin=span.begin_text, end=span.end_text)
        with open_history(self._config, wanted) as history:
            bounds = history.bounds()
            for page in history.pages(bounds.after, bounds.up_to):
                yield from map(_plain, page.events)

    def newest(self, types: Sequence[str], moment: datetime) -> list[Event]:
        """See `Source`."""
        with self._connection() as opened, database_failures():
            from ...sql.events.history import newest_before

            return [_plain(row) for row in newest_before(opened, types, moment, NEWEST)]

    def acts(self) -> Iterator[dict[str, Any]]:
        """See `Source`."""
        with self._connection() as opened, database_failures():
            from ...sql.named_queries import query

            before: str | None = None
            while True:
                given = {"limit": AUDIT_PAGE, "before": before, "action": None}
                rows = opened.execute(query("audit_page"), given).fetchall()
                page = [json.loads(text) for (text,) in rows]
                yield from page
                if len(page) < AUDIT_PAGE:
                    return
                before = page[-1]["id"]

    def _connection(self) -> "AbstractContextManager[Connection]":
        from ..offline.database import connection

        return connection(self._config)


def _plain(row: Any) -> Event:
    import msgspec

    found: Event = msgspec.json.decode(msgspec.json.encode(row))
    return found


def _age(event: Event) -> tuple[str, int]:
    return str(event.get("ts")), int(event["id"])
