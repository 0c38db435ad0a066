"""Small tables: passing trouble is retried, a row that PostgreSQL refuses is set aside by itself.

The rule for every writer of single rows (registry, state, the stop's row, the stream's position): a
refusal (a constraint, a trigger, a missing right or table, text that cannot be encoded) holds up no
other row, fails no actor, and is not silent: logged once, counted, shown by ``/ready`` and
``doctor``. The row is tried again when it changes, and each minute, since rights and constraints
change too.
"""

import time
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from typing import Final, TypeVar

import msgspec
import structlog

from .errors import StoreError, is_refusal, is_row_wise

RETRY_REFUSED_S: Final = 60.0
"""An unchanged row is tried again this often: somebody may have mended the table."""
SMALL_TABLES: Final = ("agents", "orchestrator_audit", "orchestrator_state", "orchestrator_stream")
"""Whose rows are written one by one."""
_NAMED_ROWS: Final = 20

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

log = structlog.get_logger(actor="postgres")


class Refused(msgspec.Struct, frozen=True):
    """The rows of one table that are set aside."""

    table: str
    """The table."""
    rows: tuple[str, ...]
    """Their keys, in order."""
    reason: str
    """What PostgreSQL said of the first."""

    def __str__(self) -> str:
        named = ", ".join(self.rows[:_NAMED_ROWS])
        return f"{self.table} refuses {len(self.rows)} ({named}): {self.reason}"


class _Aside(msgspec.Struct, frozen=True):
    value: object
    reason: str
    tried_at: float


class Refusals:
    """What is set aside; one for each `Database`.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._aside: dict[tuple[str, str], _Aside] = {}
        self.totals: Counter[str] = Counter()
        """Refusals by table, since the start."""

    def report(self) -> tuple[Refused, ...]:
        """The tables with rows set aside."""
        tables = sorted({table for table, _ in self._aside})
        return tuple(self._of(table) for table in tables)

    def reason(self, table: str, row: str) -> str | None:
        """Why a row is set aside; ``None`` if it is not."""
        aside = self._aside.get((table, row))
        return None if aside is None else aside.reason

    def write(
        self,
        table: str,
        row: str,
        value: object,
        put: Callable[[], T],
        *,
        is_refused: Callable[[StoreError], bool] = is_refusal,
    ) -> T | None:
        """Write one row, unless it is set aside and unchanged.

        Args:
            table: for the report.
            row: its key.
            value: what is written; compared by equality.
            put: writes it.
            is_refused: whether an error of `put` is this row's refusal.

        Returns:
            What `put` returned; ``None``: the row is set aside.

        Raises:
            StoreError: passing trouble: try again.
        """
        if not self._admits(table, row, value):
            return None
        try:
            result = put()
        except StoreError as error:
            if not is_refused(error):
                raise
            self._set_aside(table, {row: (value, error)})
            return None
        self._stored(table, (row,))
        return result

    def write_rows(
        self,
        table: str,
        rows: Mapping[str, T],
        put: Callable[[list[T]], object],
        *,
        value: Callable[[T], object],
    ) -> list[T]:
        """Write rows in as few calls as possible; those refused are found by halving.

        Args:
            table: for the report.
            rows: by their keys.
            put: writes some of them, all or none.
            value: what of a row has to change for it to be tried again at once.

        Returns:
            The rows that are set aside.

        Raises:
            StoreError: passing trouble, after whatever else could be written.
        """
        admitted = [key for key, row in rows.items() if self._admits(table, key, value(row))]
        failed: dict[str, StoreError] = {}
        _sift(admitted, lambda keys: put([rows[key] for key in keys]), failed)
        refused = {key: error for key, error in failed.items() if is_refusal(error)}
        self._stored(table, [key for key in admitted if key not in failed])
        self._set_aside(table, {key: (value(rows[key]), why) for key, why in refused.items()})
        for key in failed.keys() - refused.keys():
            raise failed[key]
        return [row for key, row in rows.items() if (table, key) in self._aside]

    def _admits(self, table: str, row: str, value: object) -> bool:
        aside = self._aside.get((table, row))
        if aside is None or aside.value != value:
            return True
        return self._clock() - aside.tried_at >= RETRY_REFUSED_S

    def _stored(self, table: str, rows: tuple[str, ...] | list[str]) -> None:
        mended = [row for row in rows if self._aside.pop((table, row), None)]
        if mended:
            log.info("rows stored again", table=table, rows=mended[:_NAMED_ROWS], count=len(mended))

    def _set_aside(self, table: str, rows: Mapping[str, tuple[object, StoreError]]) -> None:
        new = {row: str(why) for row, (_, why) in rows.items() if (table, row) not in self._aside}
        for row, (value, why) in rows.items():
            self._aside[table, row] = _Aside(value, str(why), self._clock())
        self.totals[table] += len(rows)
        if new:
            named, reason = sorted(new)[:_NAMED_ROWS], next(iter(new.values()))
            log.warning("rows refused", table=table, rows=named, count=len(new), reason=reason)

    def _of(self, table: str) -> Refused:
        rows = sorted(row for of_table, row in self._aside if of_table == table)
        return Refused(table, tuple(rows), self._aside[table, rows[0]].reason)


def _sift(keys: list[K], put: Callable[[list[K]], object], failed: dict[K, StoreError]) -> None:
    """Write all `keys` but those that fail by themselves.

    Raises:
        StoreError: there is no use in going on: no connection.
    """
    if not keys:
        return
    try:
        put(keys)
    except StoreError as error:
        if not (is_refusal(error) or is_row_wise(error)):
            raise
        if len(keys) == 1:
            failed[keys[0]] = error
            return
        middle = len(keys) // 2
        _sift(keys[:middle], put, failed)
        _sift(keys[middle:], put, failed)
