"""The tables at the start: migrated, or refused if another daemon writes to them."""

import os
import socket
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Final

import gevent
import structlog

from ..runtime import OrchestratorError, deadline
from ..sql.connection import Connection
from ..sql.database import Database
from ..sql.errors import SchemaError, StoreError, Unavailable, WriterClaimed
from ..sql.events.event_writer import EventWriter
from ..sql.schema.migrator import migrate

CONNECT_LIMIT_S: Final = 3.0
"""A start waits no longer for PostgreSQL; it goes on without."""

ANSWER_LIMIT_S: Final = 30.0
"""A connected one may take longer: nothing may act before its tables are known to be ours."""

RETRY_S: Final = 1.0
"""Between two later attempts."""

log = structlog.get_logger(actor="tables")


class TablesUnusable(OrchestratorError):
    """The database cannot be ours; the text says why and what to do."""


class _NotNow(OrchestratorError):
    """PostgreSQL did not answer in time."""


class Tables:
    """Prepares the tables, retrying until they are ready.

    Args:
        database: Their database.
        instance: This daemon's instance id; the same instance may reclaim at once.
        on_unusable: Called with the reason, if it is found after the start.
    """

    def __init__(
        self, database: Database, *, instance: str, on_unusable: Callable[[str], None]
    ) -> None:
        self._database = database
        self._instance = instance
        self._on_unusable = on_unusable
        self.ready = False
        self.reason = "PostgreSQL has not been tried yet"
        """Why they are not ready."""
        self.newest_at_ms = 0
        """When the newest event in there was received; 0: none was, or it is not known."""

    def prepare(self) -> None:
        """Try once, before anything else starts; PostgreSQL may be unavailable.

        Raises:
            TablesUnusable: Another daemon writes there, or the tables have another shape.
        """
        try:
            with deadline(ANSWER_LIMIT_S, _NotNow(f"no answer within {ANSWER_LIMIT_S:g} s")):
                self._try()
        except (Unavailable, _NotNow) as error:
            self.reason = str(error)
            log.warning("PostgreSQL is unavailable, retrying", reason=str(error))

    def keep_trying(self) -> None:
        """Retry until it succeeds or fails for good. Run it in a greenlet of its own."""
        while not self.ready:
            gevent.sleep(RETRY_S)
            try:
                self._try()
            except (Unavailable, _NotNow) as error:
                self.reason = str(error)
            except TablesUnusable as error:
                self._on_unusable(str(error))
                return

    def _connect(self) -> Connection:
        with deadline(CONNECT_LIMIT_S, _NotNow(f"no connection within {CONNECT_LIMIT_S:g} s")):
            return self._database.connect_writer("orchestrator-migrate")

    def _try(self) -> None:
        try:
            with closing(EventWriter(self._database)) as writer:
                applied = self._claim_then_migrate(writer)
                self.newest_at_ms = writer.newest_at_ms()
        except Unavailable:
            raise
        except WriterClaimed as error:
            advice = "Stop that one, or set PG_URL to another database."
            raise TablesUnusable(f"{error}. {advice}") from error
        except StoreError as error:
            advice = "`orchestrator db status` says more."
            raise TablesUnusable(
                f"the tables in PostgreSQL cannot be used: {error}. {advice}"
            ) from error
        self.ready = True
        log.info("tables are up to date", applied=applied)

    def _claim_then_migrate(self, writer: EventWriter) -> list[str]:
        """A database that another daemon writes to keeps its schema."""
        self._connect().close()  # within its limit, and with its reason
        claimed = self._claim(writer)
        writer.close()  # the claim stays; a role may have few connections
        try:
            with closing(self._connect()) as connection:
                applied = migrate(connection)
        except StoreError:
            if claimed:
                with suppress(StoreError):
                    writer.release()
            raise
        if not claimed:
            self._require_claim(writer)
        return applied

    def _claim(self, writer: EventWriter) -> bool:
        """Claim the database, unless it has no tables of ours yet."""
        try:
            self._require_claim(writer)
        except SchemaError:
            return False
        return True

    def _require_claim(self, writer: EventWriter) -> None:
        writer.claim(instance=self._instance, host=socket.gethostname(), pid=os.getpid())
