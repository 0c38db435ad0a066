"""The table `agents`: read whole at the start, written in batches."""

from collections.abc import Iterable

import msgspec

from .database import Database
from .errors import KeptOut
from .named_queries import query


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

    def load(self) -> list[AgentRow]:
        """All agents, in order of id."""
        return [AgentRow(*row) for row in self._database.rows(query("agents_load"))]

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


def _without_beat(row: AgentRow) -> AgentRow:
    """What of a row has to change to make it another: a beat comes every few seconds."""
    return msgspec.structs.replace(row, last_beat=None)
