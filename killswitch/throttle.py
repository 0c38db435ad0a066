"""Attempts of one kind within a minute: some rows of their own, the others one row. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from ..sql.audit import AuditRow

ALONE: Final = 10
"""Acts of one kind by one caller in a minute that have a row each."""
MAX_KINDS: Final = 1_000
"""Addresses come from outside: they must not fill the memory."""
OTHERS: Final = "others"
"""The address of those beyond."""

Kind = tuple[str, str | None, str | None]


@dataclass(slots=True)
class _Minute:
    number: int
    seen: int = 0
    first: AuditRow | None = None
    counted: int = 0


class Throttle:
    """Counts what somebody may repeat at will.

    Args:
        alone: How many rows of one kind are passed on as they are, a minute.
    """

    def __init__(self, alone: int = ALONE) -> None:
        self._alone = alone
        self._kinds: dict[Kind, _Minute] = {}

    def take(self, row: AuditRow, unix_s: float, *, alone: bool = True) -> AuditRow | None:
        """The row if it is to be stored as it is, ``None`` if it is counted.

        Args:
            row: An attempt.
            unix_s: Now.
            alone: Whether it may have a row of its own; those without a good token may not.
        """
        if self._kind(row) not in self._kinds and len(self._kinds) >= MAX_KINDS:
            row = msgspec.structs.replace(row, actor=None, address=OTHERS)
        minute = self._kinds.setdefault(self._kind(row), _Minute(int(unix_s // 60)))
        minute.seen += 1
        if alone and minute.seen <= self._alone:
            return row
        minute.first = minute.first or row
        minute.counted += 1
        return None

    def due(self, unix_s: float) -> Iterator[AuditRow]:
        """One row for each kind that was counted in a minute that is over."""
        for kind, minute in [*self._kinds.items()]:
            if minute.number != unix_s // 60:
                del self._kinds[kind]
                if minute.first is not None:
                    yield msgspec.structs.replace(minute.first, count=minute.counted)

    @staticmethod
    def _kind(row: AuditRow) -> Kind:
        return row.action, row.actor, row.address
