"""The table `agents`: read whole at the start, written in batches."""

from collections import deque
from collections.abc import Iterable
from typing import Final

import msgspec

from .database import Database
from .errors import KeptOut
from .named_queries import query

OWN_TRANSACTIONS: Final = 100
"""Whose rows are not others'; one or two between two looks."""
_XID: Final = "SELECT pg_current_xact_id()::xid::text"


class AgentRow(msgspec.Struct, frozen=True):
    """One row of `agents`. Times are ISO 8601, UTC, milliseconds."""

    id: str
    """text, primary key."""
    name: str
    """text."""
    agent_group: str | None
    """text, nullable."""
    status: str
    """text."""
    last_beat: str | None
    """timestamptz, nullable."""
    last_error: str | None
    """text, nullable."""
    created_at: str | None = None
    """timestamptz; set by the database, not written."""
    updated_at: str | None = None
    """timestamptz; set by the database, not written."""


class AgentRegistry:
    """Reads and writes agents on pooled connections; each call blocks the caller's greenlet.

    Raises `Unavailable`, `TimedOut` or another `StoreError`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._since: str | None = None
        self._own: deque[str] = deque(maxlen=OWN_TRANSACTIONS)

    def load(self) -> list[AgentRow]:
        """All agents, in order of id; from now on `changed` tells what others write."""
        self._since = None
        return self.changed()

    def changed(self) -> list[AgentRow]:
        """The agents that other programs have written since the last call, in order of id."""
        given = {"since": self._since, "own": list(self._own)}
        rows = self._database.rows(query("agents_changed"), given)
        self._since = rows[0][0]
        return [AgentRow(*row[1:]) for row in rows if row[1] is not None]

    def upsert(self, agents: Iterable[AgentRow]) -> list[AgentRow]:
        """Write agents in one statement; of two with one id the later counts.

        Returns:
            Those that PostgreSQL refuses, which are set aside (`Refusals`); the others are written.
        """
        rows = {agent.id: agent for agent in agents}
        return self._database.refusals.write_rows("agents", rows, self._put, value=_without_beat)

    def _put(self, rows: list[AgentRow]) -> None:
        columns = {
            "ids": [row.id for row in rows],
            "names": [row.name for row in rows],
            "groups": [row.agent_group for row in rows],
            "statuses": [row.status for row in rows],
            "last_beats": [row.last_beat for row in rows],
            "last_errors": [row.last_error for row in rows],
        }
        with self._database.transaction() as connection:
            if connection.execute(query("agents_upsert"), columns).rowcount < len(rows):
                raise KeptOut
            for (xid,) in connection.execute(_XID):
                self._own.append(xid)


def _without_beat(row: AgentRow) -> AgentRow:
    """What of a row has to change to make it another: a beat comes every few seconds."""
    return msgspec.structs.replace(row, last_beat=None)
