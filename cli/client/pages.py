"""Stored events over REST, page by page."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ...protocol.limits import MAX_PAGE_EVENTS
from ..filters import Filter
from ..formatting import duration
from .rest import Client, path_with, refusal

LONGEST_WAIT_S = 120.0
"""A rate limit's window is a minute; a longer `Retry-After` is an error."""
SAY_EVERY_S = 2.0
MAX_WAITS = 10
"""Consecutive waits for one page."""

Event = dict[str, Any]


def channel_of(event: Event) -> str:
    """The channel it was published on: its type, or ``heartbeat.<source>``."""
    name, source = str(event.get("type")), event.get("source")
    return f"heartbeat.{source}" if name == "heartbeat" and source else name


@dataclass
class Pages:
    """Reads pages; waits when the daemon limits the rate.

    Args:
        client: connection to the daemon.
        note: called with the reason for a wait.
    """

    client: Client
    note: Callable[[str], None]
    sleep: Callable[[float], None] = field(default=time.sleep)

    def __post_init__(self) -> None:
        """A search may begin now."""
        self._said_at = time.monotonic()

    def page(self, query: dict[str, object]) -> dict[str, Any]:
        """One page.

        Raises:
            Failure: the daemon refuses it or is unreachable.
        """
        path = path_with("/bus/events", query)
        for _ in range(MAX_WAITS):
            answer = self.client.ask("GET", path)
            wait_s = answer.retry_after_s
            too_many = answer.status == 429  # noqa: PLR2004 - HTTP's
            if not too_many or wait_s is None or wait_s > LONGEST_WAIT_S:
                break
            self.note(f"rate limited by the daemon: continuing in {duration(wait_s)}")
            self.sleep(max(wait_s, 0.1))
        if answer.status >= 400:  # noqa: PLR2004 - HTTP's
            raise refusal(answer)
        return answer.body

    def between(self, after: int, up_to: int | None, wanted: Filter) -> Iterator[Event]:
        """All events with ``after < id <= up_to``, ascending."""
        more = up_to is None or up_to > after
        while more:
            query = {**wanted.query(), "after": after, "limit": MAX_PAGE_EVENTS, "order": "asc"}
            page = self.page(query)
            for event in page["events"]:
                if up_to is not None and event["id"] > up_to:
                    return
                yield event
            more = bool(page["has_more"]) and page["cursor"] > after
            after = page["cursor"]
            self._say_where(page)

    def latest(self, count: int, wanted: Filter, *, up_to: int | None = None) -> list[Event]:
        """The newest ``count`` events up to an id, ascending."""
        found: list[Event] = []
        before = None if up_to is None else up_to + 1
        more = count > 0
        while more:
            limit = min(MAX_PAGE_EVENTS, count - len(found))
            page = self.page({**wanted.query(), "before": before, "limit": limit})
            found += page["events"]
            lowest = min((event["id"] for event in page["events"]), default=None)
            before = page.get("looked_to") or lowest
            more = bool(page["has_more"] and before) and len(found) < count
            self._say_where(page)
        return found[:count][::-1]

    def _say_where(self, page: dict[str, Any]) -> None:
        """A search that takes long says every few seconds how far it is."""
        if page.get("looked_to") and time.monotonic() - self._said_at >= SAY_EVERY_S:
            self._said_at = time.monotonic()
            self.note(f"searched as far as #{page['looked_to']}; Ctrl-C ends it")
