"""The Pruner: lets go of old events, so that the disk does not fill.

Holds nothing. A run that is broken off has lost nothing; the successor's first run does the rest.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import gevent

from ..runtime import Actor
from ..sql.database import Database
from ..sql.errors import StoreError
from ..sql.retention import RetentionRule, prune

FIRST_RUN_S: Final = 60.0
"""After the start there are more urgent things to do than pruning."""

INTERVAL_S: Final = 3600.0
"""Settings speak of days, so an hour's delay does not matter."""

PAUSE_S: Final = 0.05
"""Between two batches, so that storing always comes first."""


class Pruner(Actor):
    """Deletes what is older than ``rules`` allow, each hour, in small batches.

    Args:
        database: Where.
        rules: In order of precedence; without any, everything is kept.
    """

    def __init__(self, *, database: Database, rules: Sequence[RetentionRule]) -> None:
        super().__init__()
        self._database = database
        self._rules = tuple(rules)

    def on_start(self) -> None:
        """Begin to wait for the first run."""
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
            for progress in prune(self._database, self._rules, datetime.now(UTC)):
                deleted += progress.deleted
                gevent.sleep(PAUSE_S)
        except StoreError as error:
            self.log.warning("pruning broken off until the next run", reason=str(error))
        if deleted:
            self.log.info("old events pruned", deleted=deleted)
