"""Values of ``orchestrator_state``: what is known, and what still waits to be written. Pure."""

from collections.abc import Iterable
from typing import Final

import msgspec

from ...sql.state import StateRow

REGIME_KEY: Final = "regime_state"


class StateValues:
    """The newest value of each key; of the unwritten ones a newer replaces an older.

    Keys come from our own code and from the table, so there are few.
    """

    def __init__(self) -> None:
        self._rows: dict[str, StateRow] = {}
        self._unsaved: dict[str, bytes] = {}

    def keep(self, key: str, value: bytes, *, now: str) -> None:
        """Note a new value, to be written."""
        self._rows[key] = StateRow(key, msgspec.Raw(value), now)
        self._unsaved[key] = value

    def show(self, key: str, value: bytes, *, now: str) -> None:
        """Note a new value that another program wrote."""
        self._rows[key] = StateRow(key, msgspec.Raw(value), now)

    def merge(self, rows: Iterable[StateRow]) -> None:
        """Take what PostgreSQL holds; newer values that wait to be written stand."""
        for row in rows:
            self._rows.setdefault(row.key, row)

    def get(self, key: str) -> StateRow | None:
        """The newest value of ``key``."""
        return self._rows.get(key)

    def rows(self) -> tuple[StateRow, ...]:
        """All of them, in order of key."""
        return tuple(self._rows[key] for key in sorted(self._rows))

    def unsaved(self) -> tuple[tuple[str, bytes], ...]:
        """What is to be written, oldest key first."""
        return tuple(self._unsaved.items())

    def saved(self, key: str, value: bytes) -> None:
        """Note that ``value`` has been written; one that came meanwhile still waits."""
        if self._unsaved.get(key) is value:
            del self._unsaved[key]
