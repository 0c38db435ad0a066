"""The tables at the start: brought up to date, and refused if another daemon writes to them."""

import os
import socket
from collections.abc import Callable
from contextlib import closing
from typing import Final

import gevent
import structlog

from ..runtime import OrchestratorError, deadline
from ..sql.connection import Connection
from ..sql.database import Database
from ..sql.errors import StoreError, Unavailable, WriterClaimed
from ..sql.events.event_writer import EventWriter
from ..sql.schema.migrator import migrate

CONNECT_LIMIT_S: Final = 3.0
"""A start does not wait longer for a PostgreSQL that does not answer; it goes on without."""

ANSWER_LIMIT_S: Final = 30.0
"""One that is there may take longer: nothing must act before it is known to be ours."""

RETRY_S: Final = 1.0
"""How often PostgreSQL is looked for after that."""

log = structlog.get_logger(actor="tables")


class TablesUnusable(OrchestratorError):
    """The database cannot be ours; the text says why and what to do."""


class _NotNow(OrchestratorError):
    """PostgreSQL did not answer in time."""


class Tables:
    """Looks after the tables of one daemon until they are ready.

    Args:
        database: Where they are.
        instance: Who we are; the same instance takes over from itself at once.
        on_unusable: Told why, if that is found out after the start.
    """

    def __init__(
        self, database: Database, *, instance: str, on_unusable: Callable[[str], None]
    ) -> None:
        self._database = database
        self._instance = instance
        self._on_unusable = on_unusable
        self.ready = False
        self.reason = "PostgreSQL has not been asked yet"
        """Why they are not ready."""

    def prepare(self) -> None:
        """Try once, before anything else is started; an absent PostgreSQL is no hindrance.

        Raises:
            TablesUnusable: Another daemon writes there, or the tables have another shape.
        """
        try:
            with deadline(ANSWER_LIMIT_S, _NotNow(f"no answer within {ANSWER_LIMIT_S:g} s")):
                self._try()
        except (Unavailable, _NotNow) as error:
            self.reason = str(error)
            log.warning("PostgreSQL is not there yet", reason=str(error))

    def keep_trying(self) -> None:
        """Go on until it has worked or cannot; meant for a greenlet of the daemon's own."""
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
            with closing(self._connect()) as connection:
                applied = migrate(connection)
            with closing(EventWriter(self._database)) as writer:
                writer.claim(instance=self._instance, host=socket.gethostname(), pid=os.getpid())
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
