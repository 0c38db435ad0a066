"""The Pruner: deletes events past their retention, and creates partitions for those to come.

Holds the rate at which ids are used, which a successor measures again. An interrupted run loses
nothing; the next one continues.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import gevent

from ..runtime import Actor
from ..sql.database import Database
from ..sql.errors import StoreError, Unavailable
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


class Pruner(Actor):
    """Deletes what is older than ``rules`` allow, each hour, and creates partitions ahead.

    Args:
        database: Holds the events.
        rules: In order of precedence; without any, all events are kept.
    """

    def __init__(self, *, database: Database, rules: Sequence[RetentionRule]) -> None:
        super().__init__()
        self._database = database
        self._rules = tuple(rules)

    def on_start(self) -> None:
        """Create partitions at once, and schedule the first run."""
        self.spawn(self._create_partitions, name="partitions")
        if self._rules:
            self.spawn(self._prune_hourly, name="prune")

    def on_receive(self, message: Any) -> None:
        """Log what comes: this actor accepts no messages."""
        self.log.warning("unexpected message", message=repr(message))

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


def _pause() -> None:
    gevent.sleep(PAUSE_S)
