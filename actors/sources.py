"""Where events come from, and the balance of each source: what came in, and where it is now (pure).

For each source, after the start of this daemon and at any moment::

    carried over + received = stored + rejected + in the journal + dropped
                              + copies + echoes + aside

No figure is computed from the others. What is in the journal is counted up when a batch is passed
on and down when it is stored, if need be by what the journal's record itself says; a difference is
a defect of the program, and is shown as such.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from typing import Final

import msgspec

SOURCES: Final = ("earlier", "control", "data", "daemon", "stream")
"""By number in the journal: the connections to Redis, the daemon itself, the durable stream."""

EARLIER, CONTROL, DATA, DAEMON, STREAM = SOURCES


class Run(msgspec.Struct, frozen=True, gc=False):
    """Consecutive rows of a batch that came from the same source."""

    source: str
    """Which."""
    rows: int
    """How many."""
    rejected: int = 0
    """How many of them are ``bus.rejected`` instead of what was received."""


Runs = tuple[Run, ...]


def rows_by_source(runs: Iterable[Run]) -> Counter[str]:
    """How many rows came from each source, rejected ones included."""
    counts: Counter[str] = Counter()
    for run in runs:
        counts[run.source] += run.rows
    return counts


def rejected_by_source(runs: Iterable[Run]) -> Counter[str]:
    """How many of them are ``bus.rejected``."""
    counts: Counter[str] = Counter()
    for run in runs:
        counts[run.source] += run.rejected
    return counts


def source_of_each_row(runs: Iterable[Run]) -> Iterator[str]:
    """The source of each row, in order."""
    return chain.from_iterable(repeat(run.source, run.rows) for run in runs)


class SourceBalance(msgspec.Struct, frozen=True, kw_only=True):
    """What became of everything that came from one source since the daemon's start."""

    source: str
    """``control``, ``data``, ``stream``: from Redis; ``daemon``: made by it or posted; ``earlier``:
    found in the journal at the start, and not read yet, or damaged."""
    carried: int
    """Found in the journal at the start, not stored yet."""
    received: int
    """Taken in since."""
    stored: int
    """Committed in PostgreSQL as they came."""
    rejected: int
    """Committed in PostgreSQL as ``bus.rejected``."""
    journal: int
    """Received and not committed yet: in the journal, or in memory while the disk refuses."""
    dropped: int
    """Given up, and reported by ``bus.dropped``: no room on disk and in memory, a damaged
    journal."""
    copies: int
    """Left out: second copies of messages that two patterns matched."""
    echoes: int
    """Left out: the daemon's own publications that came back."""
    aside: int
    """Passed on without being stored: the daemon's own signs of life."""

    @property
    def difference(self) -> int:
        """What is missing (positive) or present twice (negative)."""
        gone = self.copies + self.echoes + self.aside
        placed = self.stored + self.rejected + self.journal + self.dropped
        return self.carried + self.received - placed - gone
