"""The table `orchestrator_state`: a few keys with JSON values, written through."""

import msgspec

from .connection import Row
from .database import Database
from .errors import KeptOut
from .named_queries import query

TABLE = "orchestrator_state"


class StateRow(msgspec.Struct, frozen=True):
    """One row of `orchestrator_state`."""

    key: str
    """text, unique."""
    value: msgspec.Raw
    """jsonb, as UTF-8 JSON."""
    updated_at: str | None
    """timestamptz as ISO 8601, UTC, milliseconds."""


class StateStore:
    """Reads and writes keys on pooled connections; each call blocks the caller's greenlet.

    Raises `Unavailable`, `TimedOut` or another `StoreError`; then nothing is written.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self) -> list[StateRow]:
        """All keys, in order."""
        return [_state(row) for row in self._database.rows(query("state_load"))]

    def get(self, key: str) -> StateRow | None:
        """One key, or None."""
        rows = self._database.rows(query("state_get"), {"key": key})
        return _state(rows[0]) if rows else None

    def put(self, key: str, value: bytes) -> str | None:
        """Write one key; returns its `updated_at`. Durable on return.

        Args:
            key: its name.
            value: JSON, UTF-8.

        Returns:
            ``None``: PostgreSQL refuses the row, and it is set aside (`Refusals`).
        """
        return self._database.refusals.write(TABLE, key, value, lambda: self._put(key, value))

    def _put(self, key: str, value: bytes) -> str:
        given = {"key": key, "value": value.decode(errors="surrogateescape")}
        rows = self._database.rows(query("state_put"), given)
        if not rows:
            raise KeptOut
        return str(rows[0][0])


def _state(row: Row) -> StateRow:
    key, value, updated_at = row
    return StateRow(key, msgspec.Raw(value.encode()), updated_at)
