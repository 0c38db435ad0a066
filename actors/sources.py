"""The books: what came in by each lane, and where all of it is (pure).

For each source, after the start of this daemon and at any moment::

    carried over + received = stored + rejected + in the journal + dropped
                              + copies + echoes + aside

No figure is made from the others. What is in the journal is counted up when a batch is passed on
and down when it is stored, where need be by what the journal's record itself says; a difference is
a fault of the program, and is shown as such.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat
from typing import Final, NamedTuple

import msgspec

LANES: Final = ("earlier", "control", "data", "daemon", "stream")
"""Sources, by number in the journal. ``earlier``: journalled by a version that did not say."""

_CODES: Final = {lane: code for code, lane in enumerate(LANES)}


class Run(NamedTuple):
    """Neighbouring rows of a batch that came by the same lane."""

    lane: str
    """Which."""
    rows: int
    """How many."""
    rejected: int = 0
    """How many of them are ``bus.rejected`` instead of what was received."""


Runs = tuple[Run, ...]


def code_of(lane: str) -> int:
    """The lane's number in the journal."""
    return _CODES.get(lane, 0)


def append_run(runs: list[Run], run: Run) -> None:
    """Put ``run`` behind ``runs``, together with the last one if that is of the same lane."""
    if runs and runs[-1].lane == run.lane:
        last = runs.pop()
        run = Run(run.lane, last.rows + run.rows, last.rejected + run.rejected)
    if run.rows:
        runs.append(run)


def rows_by_lane(runs: Iterable[Run]) -> Counter[str]:
    """How many rows came by each lane, rejected ones among them."""
    counts: Counter[str] = Counter()
    for run in runs:
        counts[run.lane] += run.rows
    return counts


def rejected_by_lane(runs: Iterable[Run]) -> Counter[str]:
    """How many of them are ``bus.rejected``."""
    counts: Counter[str] = Counter()
    for run in runs:
        counts[run.lane] += run.rejected
    return counts


def lane_of_each_row(runs: Iterable[Run]) -> Iterator[str]:
    """The lane of each row, in order."""
    return chain.from_iterable(repeat(run.lane, run.rows) for run in runs)


class SourceBooks(msgspec.Struct, frozen=True, kw_only=True):
    """What became of all that came by one lane since the daemon's start."""

    source: str
    """``control``, ``data``, ``stream``: from Redis; ``daemon``: made by it or posted; ``earlier``:
    found in the journal at the start, and not looked at yet, or damaged, or journalled by a version
    that did not note the source."""
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
    """Given up, and said by ``bus.dropped``: no room on disk and in memory, a damaged journal."""
    copies: int
    """Left out: second copies of messages that two patterns matched."""
    echoes: int
    """Left out: the daemon's own publications that came back."""
    aside: int
    """Passed on without being stored: the daemon's own signs of life."""

    @property
    def difference(self) -> int:
        """What is missing (positive) or there twice (negative)."""
        gone = self.copies + self.echoes + self.aside
        placed = self.stored + self.rejected + self.journal + self.dropped
        return self.carried + self.received - placed - gone


class Books:
    """The sums that only storing knows; the others are with the intake and the backlogs."""

    def __init__(self) -> None:
        self.carried: Counter[str] = Counter()
        self.stored: Counter[str] = Counter()
        self.rejected: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.moving: Counter[str] = Counter()
        """Journalled again under new ids; the rows under the old ids are still in the backlog."""
        self._refused: Counter[str] = Counter()

    def note_refused(self, lane: str) -> None:
        """PostgreSQL refused a row of the block that is being stored."""
        self._refused[lane] += 1

    def note_stored(self, block: Iterable[Sequence[Run]], moved: Counter[str]) -> None:
        """A block is committed.

        Args:
            block: The runs of its batches.
            moved: Rows of it, by lane, that are not: they are journalled again instead.
        """
        runs = [run for batch in block for run in batch]
        rejected = rejected_by_lane(runs) + self._refused
        self.stored.update(rows_by_lane(runs))
        self.stored.subtract(rejected)
        self.stored.subtract(moved)
        self.rejected.update(rejected)
        self.moving.subtract(moved)
        self._refused.clear()
