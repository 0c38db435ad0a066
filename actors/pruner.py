"""The Pruner: deletes old events, creates partitions for those to come, counts those there are.

Holds the rate at which ids are used, which a successor measures again. An interrupted run loses
nothing; the next one continues.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import gevent

from ..protocol.excerpt import excerpt
from ..runtime import Actor
from ..sql.database import Database
from ..sql.errors import StoreError, Unavailable
from ..sql.events.minute_counts import MinuteCounts
from ..sql.schema.partitions import IdRate, keep_ahead
from ..sql.schema.retention import RetentionRule, prune

FIRST_RUN_S: Final = 60.0
"""Right after the start there is more urgent work than pruning."""

INTERVAL_S: Final = 3600.0
"""Settings speak of days, so an hour's delay does not matter."""

PAUSE_S: Final = 0.05
"""Between two batches, so that storing comes first."""

AHEAD_INTERVAL_S: Final = 10.0
"""Partitions exist for two million ids ahead; no burst uses them up within this time."""

COUNT_INTERVAL_S: Final = 1.0
"""At 100,000 events per second ten chunks fill up meanwhile: half of what a histogram may wait."""

VERIFY_INTERVAL_S: Final = 10.0
"""How late other programs' rows are counted that were committed late. It costs some 50 ms."""


class Pruner(Actor):
    """Deletes what is older than ``rules`` allow, each hour; creates partitions; counts by minute.

    Args:
        database: Holds the events.
        rules: In order of precedence; without any, all events are kept.
        committed_id: Says up to which id all of ours are committed.
    """

    def __init__(
        self,
        *,
        database: Database,
        rules: Sequence[RetentionRule],
        committed_id: Callable[[], int],
    ) -> None:
        super().__init__()
        self._database = database
        self._rules = tuple(rules)
        self._committed_id = committed_id
        self._verify_all_at = time.monotonic() + INTERVAL_S

    def on_start(self) -> None:
        """Create partitions and count at once, and schedule the first run."""
        self.spawn(self._create_partitions, name="partitions")
        self.spawn(self._count, name="count")
        if self._rules:
            self.spawn(self._prune_hourly, name="prune")

    def on_receive(self, message: Any) -> None:
        """Log what comes: this actor accepts no messages."""
        self.log.warning("unexpected message", message=excerpt(message))

    def _prune_hourly(self) -> None:
        gevent.sleep(FIRST_RUN_S)
        while True:
            self._prune()
            gevent.sleep(INTERVAL_S)

    def _prune(self) -> None:
        deleted = 0
        try:
            steps = prune(self._database, self._rules, datetime.now(UTC), pause=_pause)
            for progress in steps:
                deleted += progress.deleted
        except StoreError as error:
            self.log.warning("pruning interrupted until the next run", reason=str(error))
        if deleted:
            self._verify_all_at = 0.0
            self.log.info("old events pruned", deleted=deleted)

    def _create_partitions(self) -> None:
        rate = IdRate()
        while True:
            try:
                for name in keep_ahead(self._database, rate):
                    self.log.info("partition created", name=name)
            except Unavailable as error:
                self.log.debug("cannot create partitions yet, retrying", reason=str(error))
            except StoreError as error:
                self.log.warning("cannot create partition", reason=str(error))
            gevent.sleep(AHEAD_INTERVAL_S)

    def _count(self) -> None:
        counts = MinuteCounts(self._database)
        verify_at = 0.0
        while True:
            try:
                self._count_new(counts)
                if time.monotonic() >= verify_at:
                    verify_at = time.monotonic() + VERIFY_INTERVAL_S
                    self._verify(counts)
            except Unavailable as error:
                self.log.debug("cannot count events yet, retrying", reason=str(error))
            except StoreError as error:
                self.log.warning("cannot count events", reason=str(error))
            gevent.sleep(COUNT_INTERVAL_S)

    def _count_new(self, counts: MinuteCounts) -> None:
        """New chunks at once, old ones one by one between them."""
        while counts.advance(self._committed_id()) or counts.fill():
            _pause()

    def _verify(self, counts: MinuteCounts) -> None:
        """Recent chunks; all of them each hour, and after rows were deleted."""
        every = time.monotonic() >= self._verify_all_at
        if every:
            self._verify_all_at = time.monotonic() + INTERVAL_S
        for _ in counts.verify(0 if every else None):
            _pause()


def _pause() -> None:
    gevent.sleep(PAUSE_S)
