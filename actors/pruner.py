"""The Pruner: lets go of old events, so that the disk does not fill, and makes room for new ones.

Holds how fast ids are given, which a successor finds out anew. A run that is broken off has lost
nothing; the successor's first run does the rest.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import gevent

from ..runtime import Actor
from ..sql.database import Database
from ..sql.errors import StoreError, Unavailable
from ..sql.schema.partitions import IdPace, keep_ahead
from ..sql.schema.retention import RetentionRule, prune

FIRST_RUN_S: Final = 60.0
"""After the start there are more urgent things to do than pruning."""

INTERVAL_S: Final = 3600.0
"""Settings speak of days, so an hour's delay does not matter."""

PAUSE_S: Final = 0.05
"""Between two batches, so that storing always comes first."""


AHEAD_INTERVAL_S: Final = 10.0
"""There is room for two million ids ahead; no burst takes them within that time."""


class Pruner(Actor):
    """Deletes what is older than ``rules`` allow, each hour, and makes partitions for what comes.

    Args:
        database: Where.
        rules: In order of precedence; without any, everything is kept.
    """

    def __init__(self, *, database: Database, rules: Sequence[RetentionRule]) -> None:
        super().__init__()
        self._database = database
        self._rules = tuple(rules)

    def on_start(self) -> None:
        """Make room at once, and begin to wait for the first run."""
        self.spawn(self._keep_ahead_for_ever, name="partitions")
        if self._rules:
            self.spawn(self._prune_for_ever, name="prune")

    def on_receive(self, message: Any) -> None:
        """Nobody sends this actor anything."""
        self.log.warning("unexpected message", message=repr(message))

    def _prune_for_ever(self) -> None:
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
            self.log.warning("pruning broken off until the next run", reason=str(error))
        if deleted:
            self.log.info("old events pruned", deleted=deleted)

    def _keep_ahead_for_ever(self) -> None:
        pace = IdPace()
        while True:
            try:
                for name in keep_ahead(self._database, pace):
                    self.log.info("partition made", name=name)
            except Unavailable as error:
                self.log.debug("partitions are looked after later", reason=str(error))
            except StoreError as error:
                self.log.warning("no partition could be made", reason=str(error))
            gevent.sleep(AHEAD_INTERVAL_S)


def _pause() -> None:
    gevent.sleep(PAUSE_S)
