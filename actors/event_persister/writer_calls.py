"""Calls of the writer: each within its limit, or until another host of the URL has taken over.

A frozen primary keeps its connections and answers nothing. Where ``PG_URL`` names several hosts,
the others are asked once it has been silent for some seconds; as soon as one takes writes and
holds the lease that we hold (or somebody's who took it there), the silent one is given up.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, ParamSpec, TypeVar

import gevent
from gevent.hub import get_hub
from greenlet import getcurrent

from ...runtime import deadline
from ...runtime.errors import OrchestratorError
from ...sql.errors import StoreError
from ...sql.events.event_writer import EventWriter
from ...sql.hosts import Place

ASK_AFTER_S: Final = 3.0
"""A block takes so long only where a server is slow; asking the others costs it nothing."""
ASK_EVERY_S: Final = 1.0
ASK_LIMIT_S: Final = 2.5
"""For one host; a host that is gone must not keep the next from being asked."""

P = ParamSpec("P")
T = TypeVar("T")


class PostgresSilent(OrchestratorError):
    """PostgreSQL does not answer; its connection is given up."""

    def __init__(self, limit_s: float) -> None:
        super().__init__(limit_s)
        self.limit_s = limit_s

    def __str__(self) -> str:
        return f"PostgreSQL has not answered for {self.limit_s:g} s"


class PostgresMoved(PostgresSilent):
    """The same, and another host of the URL takes writes."""

    def __init__(self, silent_s: float, place: Place) -> None:
        super().__init__(silent_s)
        self.place = place

    def __str__(self) -> str:
        named = ":".join(self.place.values())
        return f"PostgreSQL has not answered for {self.limit_s:.0f} s, and {named} takes writes"


class WriterCalls:
    """Makes calls of the writer's from one greenlet.

    Args:
        writer: The writer.
        stale_after_s: How long a lease lasts.
    """

    def __init__(self, writer: EventWriter, stale_after_s: float) -> None:
        self._writer = writer
        self._stale_after_s = stale_after_s
        self.renewed_at = time.monotonic()
        """When the lease was last asked for with success."""

    def within(self, limit_s: float, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Make a call.

        Raises:
            PostgresSilent: It took too long, and the writer has discarded its connection.
            PostgresMoved: The same, sooner: another host of the URL takes writes.
        """
        with deadline(limit_s, PostgresSilent(limit_s)), self._watched():
            return call(*args, **kwargs)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        if not self._writer.hosts.others:
            yield
            return
        caller, began, is_over = getcurrent(), time.monotonic(), False

        def give_up(place: Place) -> None:
            if not is_over:  # in the hub, so nothing comes between
                caller.throw(PostgresMoved(time.monotonic() - began, place))

        def ask() -> None:
            while (place := self._promoted()) is None:
                gevent.sleep(ASK_EVERY_S)
            get_hub().loop.run_callback(give_up, place)

        asking = gevent.spawn_later(ASK_AFTER_S, ask)
        asking.name = "EventPersister-other-hosts"
        try:
            yield
        finally:
            is_over = True
            asking.kill(block=False)

    def _promoted(self) -> Place | None:
        """Another host that takes writes and goes on with what ours had; None without one."""
        for place in self._writer.hosts.others:
            oldest_s = time.monotonic() - self.renewed_at + self._stale_after_s
            try:
                with deadline(ASK_LIMIT_S, PostgresSilent(ASK_LIMIT_S)):
                    lease_age_s = self._writer.lease_age_s(place)
            except (StoreError, PostgresSilent):
                continue
            if lease_age_s is not None and lease_age_s <= oldest_s:
                return place
        return None
