"""Row ``killswitch_status`` of `orchestrator_state`, never overwritten blindly."""

from dataclasses import dataclass

from .database import Database
from .errors import Denied, KeptOut
from .named_queries import query
from .state import TABLE

STOP_KEY = "killswitch_status"


@dataclass(frozen=True, slots=True)
class StopText:
    """The row as it was found."""

    value: bytes | None
    """jsonb as UTF-8 text; ``None``: there is no such row."""
    xmin: str = ""
    """The transaction that wrote it; empty without a row."""
    hidden: bool = False
    """Row security keeps the row, or whether there is one, from us."""


class StopRow:
    """Each call is one transaction, and blocks the caller's greenlet.

    Raises `Unavailable`, `TimedOut` or another `StoreError`; then nothing is written.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self) -> StopText:
        """What it holds now."""
        [(value, xmin, may_hide)] = self._database.rows(query("stop_read"))
        if value is None:
            return StopText(None, hidden=may_hide and self._is_hidden())
        return StopText(value.encode(), xmin)

    def write(self, document: bytes, *, xmin: str) -> str | None:
        """Write it, if it still is as it was read.

        Args:
            document: JSON, UTF-8.
            xmin: of the row as it was read; empty: there was none.

        Returns:
            The new xmin; ``None``: nothing was written, since it has changed meanwhile or
            PostgreSQL refuses it, which sets it aside (`Refusals`).
        """
        return self._database.refusals.write(
            TABLE, STOP_KEY, document, lambda: self._put(document, xmin)
        )

    def _put(self, document: bytes, xmin: str) -> str | None:
        name = "stop_update" if xmin else "stop_insert"
        given = {"value": document.decode(errors="surrogateescape"), "xmin": xmin}
        if rows := self._database.rows(query(name), given):
            return str(rows[0][0])
        if self.read().xmin == xmin:
            raise KeptOut
        return None

    @property
    def refused(self) -> str | None:
        """Why PostgreSQL does not take the row; ``None`` if it does."""
        return self._database.refusals.reason(TABLE, STOP_KEY)

    def _is_hidden(self) -> bool:
        try:
            with self._database.transaction() as connection:
                probed = connection.execute(query("stop_probe")).fetchone()
                raise _Probed(inserted=probed is not None)  # noqa: TRY301 rolls back
        except Denied:
            return True
        except _Probed as probe:
            return not probe.inserted


class _Probed(Exception):
    def __init__(self, *, inserted: bool) -> None:
        super().__init__()
        self.inserted = inserted
