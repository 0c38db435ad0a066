"""``postgres_up``, ``db_bytes``: asked at intervals, so that no scrape waits for PostgreSQL."""

import time
from typing import Final

import gevent

from ..runtime.telemetry.metrics import Metrics
from ..sql.database import Database
from ..sql.errors import StoreError

UP_INTERVAL_S: Final = 5.0
"""Shorter than any usual scrape interval, so that each scrape finds a new answer."""

BYTES_INTERVAL_S: Final = 60.0
"""Sizes are read from the files of every table: cheap, but not free with hundreds of partitions."""

CLASSES: Final = ("agents", "events", "orchestrator_state", "other", "own", "system")
"""``own``: the tables ``orchestrator_*``; ``other``: other programs'; ``system``: the rest."""


class DatabaseGauges:
    """Asks PostgreSQL whether it answers and what it takes on disk.

    Args:
        database: It.
        metrics: The daemon's registry.
    """

    def __init__(self, database: Database, metrics: Metrics) -> None:
        self._database = database
        self._up = metrics.gauge("postgres_up", "Whether PostgreSQL answered within 5 s.")
        text = "Bytes on disk, indexes and all, by class of table."
        self._bytes = metrics.gauge("db_bytes", text, ("class",))

    def run(self) -> None:
        """Ask until killed. Run it in a greenlet of its own."""
        bytes_at = 0.0
        while True:
            up = self._database.health().ok
            self._up.set(up)
            if up and time.monotonic() >= bytes_at:
                bytes_at = time.monotonic() + BYTES_INTERVAL_S
                self.measure()
            gevent.sleep(UP_INTERVAL_S)

    def measure(self) -> None:
        """Set the bytes of each class; after an error the former figures stay."""
        try:
            found = self._database.bytes_by_class()
        except StoreError:
            return
        for name in CLASSES:
            self._bytes.labels(name).set(found.get(name, 0))
