"""How far PostgreSQL is behind, in seconds (pure)."""

from datetime import datetime

from ..journal.rows import parse_row, split_rows
from .backlog import Backlog


class StoreLag:
    """The age of the oldest event that PostgreSQL does not have.

    Where only the journal has that event, its time is not known; the age then counts from when
    it was last known, at first from the last write of the daemon before this one.

    Args:
        last_write_s: That write, seconds since the epoch.
    """

    def __init__(self, last_write_s: float = 0.0) -> None:
        self._since_s = last_write_s

    def seconds(self, backlog: Backlog, *, now_s: float) -> float:
        """The age at ``now_s`` (seconds since the epoch); 0 when all is stored."""
        if not backlog:
            self._since_s = now_s
        elif not backlog.needs_reading():
            self._since_s = _oldest_s(backlog, now_s)
        return max(0.0, now_s - self._since_s)


def _oldest_s(backlog: Backlog, now_s: float) -> float:
    for batch in (*backlog.front, *backlog.rear):
        if batch.rows:
            first = parse_row(0, split_rows(batch.body)[0])
            return datetime.fromisoformat(first.ts).timestamp()
    return now_s
