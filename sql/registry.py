"""The table `agents`: read whole at the start, written in batches."""

from collections.abc import Iterable

import msgspec

from .database import Database
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

    Raises `Unavailable`, `TimedOut` or another `StoreError`; then nothing is written.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self) -> list[AgentRow]:
        """All agents, in order of id."""
        return [AgentRow(*row) for row in self._database.rows(query("agents_load"))]

    def upsert(self, agents: Iterable[AgentRow]) -> None:
        """Write agents in one statement; of two with one id the later counts."""
        rows = list({agent.id: agent for agent in agents}.values())
        if not rows:
            return
        columns = {
            "ids": [row.id for row in rows],
            "names": [row.name for row in rows],
            "groups": [row.agent_group for row in rows],
            "statuses": [row.status for row in rows],
            "last_beats": [row.last_beat for row in rows],
            "last_errors": [row.last_error for row in rows],
        }
        with self._database.transaction() as connection:
            connection.execute(query("agents_upsert"), columns)
