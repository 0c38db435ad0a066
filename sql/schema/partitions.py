"""The partitions of `events`: their layout, and making them ahead of the ids in use.

A table created by a host is not partitioned; nothing here applies to it.
"""

import time
from collections import deque
from collections.abc import Sequence
from typing import Final

import msgspec

from ..connection import Connection
from ..database import Database
from ..named_queries import query

# Smaller ones would be many, and each adds some 20 µs to a query that scans all of them.
SPAN_MIN: Final = 1_000_000
# Larger ones would take minutes to scan when they are due.
SPAN_MAX: Final = 50_000_000
# The time that a partition should cover: a week needs some 60 of them.
SPAN_S: Final = 3 * 3_600
# How far ahead of the ids in use partitions are made: two minutes of the fastest burst, or
AHEAD_IDS: Final = 2_000_000
# this long at the current rate.
AHEAD_S: Final = 1_800
# After a leap of the sequence, ids assigned meanwhile may still land in the default partition.
LEAP_MARGIN: Final = 200_000
# Largest number of rows moved out of the default partition; more stay where they are.
HEAL_ROWS: Final = 100_000
# How long other transactions may have to wait for our locks.
LOCK_MS: Final = 200
LIMIT_MS: Final = 30_000


# Observations that the rate of ids is computed from, over at least
RATE_SAMPLES: Final = 360
# this many seconds: ids are taken some 100,000 at a time.
RATE_WINDOW_S: Final = 600.0


class Partition(msgspec.Struct, frozen=True):
    """A range of ids with a table of its own."""

    name: str
    """As a SQL identifier."""
    start: int
    """Its first id."""
    end: int
    """The first id after it."""


class Layout(msgspec.Struct, frozen=True):
    """How `events` is divided."""

    partitions: tuple[Partition, ...]
    """In order of ids; there may be gaps."""
    default: str
    """The table for ids that have no partition."""


class IdRate:
    """The rate at which ids are assigned, from observations (pure)."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque(maxlen=RATE_SAMPLES)

    def note(self, now_s: float, last_id: int) -> None:
        """Record the last id at a (monotonic) time."""
        self._seen.append((now_s, last_id))

    @property
    def per_s(self) -> float:
        """Ids per second, over the last hour; slow to rise at first."""
        if not self._seen:
            return 0.0
        (since, first), (until, last) = self._seen[0], self._seen[-1]
        return max(0, last - first) / max(until - since, RATE_WINDOW_S)


def filled(query_name: str, /, **words: object) -> bytes:
    """A named query with names of tables and bounds filled in, which cannot be parameters."""
    text = query(query_name)
    for word, value in words.items():
        text = text.replace(b"{%b}" % word.encode(), str(value).encode())
    return text


def read_layout(connection: Connection) -> Layout | None:
    """The partitions that we manage; None if `events` is one table, or managed by a host."""
    rows = connection.execute(query("partitions"), prepare=False).fetchall()
    default = next((name for name, start, _ in rows if start is None), None)
    if default is None:
        return None
    return Layout(tuple(Partition(*row) for row in rows if None not in row), default)


def span_ids(per_s: float) -> int:
    """Size of a new partition in ids, at this rate; a multiple of 100,000."""
    wanted = int(per_s * SPAN_S)
    return min(max(wanted, SPAN_MIN), SPAN_MAX) // 100_000 * 100_000


def missing_ahead(partitions: Sequence[Partition], last_id: int, per_s: float) -> list[Partition]:
    """Partitions to make so that ids after `last_id` have one (pure).

    Args:
        partitions: in order of ids.
        last_id: the last id assigned.
        per_s: ids assigned per second.
    """
    top = partitions[-1].end if partitions else 0
    start = top if top > last_id else last_id + LEAP_MARGIN
    up_to = last_id + max(AHEAD_IDS, int(per_s * AHEAD_S))
    made = []
    while start < up_to:
        end = start + span_ids(per_s)
        made.append(Partition(partition_name(start, end), start, end))
        start = end
    return made


def partition_name(start: int, end: int, *, unlike: Sequence[str] = ()) -> str:
    """Name of the partition of these ids, different from those in `unlike`."""
    name = f"events_p{start}_{end}"
    return f"{name}_r" if any(other.endswith(name) for other in unlike) else name


def gap_around(partitions: Sequence[Partition], event_id: int) -> tuple[int | None, int | None]:
    """The gap that an id lies in (pure): the end before it, the start after it."""
    before = [part.end for part in partitions if part.end <= event_id]
    behind = [part.start for part in partitions if part.start > event_id]
    return max(before, default=None), min(behind, default=None)


def keep_ahead(database: Database, rate: IdRate) -> list[str]:
    """Make partitions ahead, and move rows of the default partition into their own.

    Blocks the caller's greenlet. Storing continues meanwhile; a transaction that holds a lock for
    long makes this give up until the next call.

    Returns:
        Names of the partitions made.

    Raises:
        StoreError: and its kinds; partitions made before that stay.
    """
    with database.transaction() as connection:
        layout = read_layout(connection)
        if layout is None:
            return []
        last_id = _last_id(connection)
    rate.note(time.monotonic(), last_id)
    made = missing_ahead(layout.partitions, last_id, rate.per_s)
    for part in made:
        with database.transaction(timeout_ms=LIMIT_MS) as connection:
            limit_locks(connection)
            create(connection, part.name)
            attach(connection, part)
    healed = _heal(database, Layout((*layout.partitions, *made), layout.default))
    return [part.name for part in (*made, *healed)]


def limit_locks(connection: Connection) -> None:
    """Give up a lock after 200 ms, so that others do not wait longer."""
    connection.execute(f"SET LOCAL lock_timeout = {LOCK_MS:d}".encode())


def create(connection: Connection, name: str) -> None:
    """Make a table that can become a partition, which no other role may use."""
    connection.execute(filled("partition_create", name=name))
    connection.execute(filled("partition_private", name=name))


def attach(connection: Connection, part: Partition) -> None:
    """Attach a table as a partition."""
    connection.execute(filled("partition_attach", name=part.name, start=part.start, end=part.end))


def _last_id(connection: Connection) -> int:
    """The last value of the sequence."""
    sequence = connection.execute(query("sequence_name")).fetchone()
    last = 0
    if sequence is not None and sequence[0] is not None:
        statement = query("sequence_last").replace(b"{}", str(sequence[0]).encode())
        last = (connection.execute(statement).fetchone() or (0,))[0]
    return int(last)


def _heal(database: Database, layout: Layout) -> list[Partition]:
    """Move rows of the default partition into partitions of their own, gap by gap.

    Only gaps between partitions are healed; below and above all of them rows stay where they are.
    """
    healed: list[Partition] = []
    above = layout.partitions[0].end if layout.partitions else None
    while above is not None:
        with database.transaction(timeout_ms=LIMIT_MS) as connection:
            statement = filled("partition_stray", name=layout.default)
            (stray,) = connection.execute(statement, {"above": above}).fetchone() or (None,)
        if stray is None:
            break
        start, above = gap_around(layout.partitions, stray)
        if start is not None and above is not None:
            part = Partition(partition_name(start, above), start, above)
            if _moved(database, layout.default, part):
                healed.append(part)
    return healed


def _moved(database: Database, default: str, part: Partition) -> bool:
    bounds = {"start": part.start, "end": part.end, "limit": HEAL_ROWS + 1}
    with database.transaction(timeout_ms=LIMIT_MS) as connection:
        limit_locks(connection)
        statement = filled("partition_rows", name=default)
        (rows,) = connection.execute(statement, bounds).fetchone() or (0,)
        if rows > HEAL_ROWS:
            return False
        connection.execute(f"LOCK TABLE {default} IN ACCESS EXCLUSIVE MODE".encode())
        create(connection, part.name)
        connection.execute(filled("partition_move", source=default, name=part.name), bounds)
        attach(connection, part)
    return True
