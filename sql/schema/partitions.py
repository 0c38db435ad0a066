"""The partitions of `events`: which there are, and that some are always ahead of the ids in use.

A table that a host made is not partitioned; for it everything here does nothing.
"""

import time
from collections import deque
from collections.abc import Sequence
from typing import Final

import msgspec

from ..connection import Connection
from ..database import Database
from ..named_queries import query

# Smaller ones would be many, and each costs a query that looks through all of them some 20 µs.
SPAN_MIN: Final = 1_000_000
# Larger ones would take minutes to look through when they are due.
SPAN_MAX: Final = 50_000_000
# A partition should cover so much time: a week's are then some 60.
SPAN_S: Final = 3 * 3_600
# So far ahead of the ids in use there are partitions: two minutes of the fastest burst, or
AHEAD_IDS: Final = 2_000_000
# so much time at the present rate.
AHEAD_S: Final = 1_800
# Where the sequence has leapt, ids given meanwhile may still land in the default partition.
LEAP_MARGIN: Final = 200_000
# As many rows of the default partition are moved in one go; more stay where they are.
HEAL_ROWS: Final = 100_000
# How long others may have to wait behind us for a lock.
LOCK_MS: Final = 200
LIMIT_MS: Final = 30_000


# The rate of ids is told from so many observations, over at least
RATE_SAMPLES: Final = 360
# so many seconds: ids are taken some 100,000 at a time.
RATE_WINDOW_S: Final = 600.0


class Partition(msgspec.Struct, frozen=True):
    """A range of ids with a table of its own."""

    name: str
    """As SQL writes it."""
    start: int
    """Its first id."""
    end: int
    """The first id behind it."""


class Layout(msgspec.Struct, frozen=True):
    """How `events` is divided."""

    partitions: tuple[Partition, ...]
    """In order of ids; there may be gaps."""
    default: str
    """The table for ids that have no partition."""


class IdRate:
    """How fast ids are given, from observations (pure)."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque(maxlen=RATE_SAMPLES)

    def note(self, now_s: float, last_id: int) -> None:
        """At this (monotonic) time the last id was this."""
        self._seen.append((now_s, last_id))

    @property
    def per_s(self) -> float:
        """Ids a second, over the last hour; slow to rise at first."""
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
    """The partitions that are ours to keep; None if `events` is one table, or a host's affair."""
    rows = connection.execute(query("partitions"), prepare=False).fetchall()
    default = next((name for name, start, _ in rows if start is None), None)
    if default is None:
        return None
    return Layout(tuple(Partition(*row) for row in rows if None not in row), default)


def span_ids(per_s: float) -> int:
    """How many ids a new partition should take at this rate; a multiple of 100,000."""
    wanted = int(per_s * SPAN_S)
    return min(max(wanted, SPAN_MIN), SPAN_MAX) // 100_000 * 100_000


def missing_ahead(partitions: Sequence[Partition], last_id: int, per_s: float) -> list[Partition]:
    """What must be made so that ids behind `last_id` find a place (pure).

    Args:
        partitions: in order of ids.
        last_id: the last id that was given to anyone.
        per_s: ids given in a second.
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
    """What the partition of these ids is called; another name if one like that is there."""
    name = f"events_p{start}_{end}"
    return f"{name}_r" if any(other.endswith(name) for other in unlike) else name


def gap_around(partitions: Sequence[Partition], event_id: int) -> tuple[int | None, int | None]:
    """The bounds of the gap that an id lies in (pure): the end before, the start behind."""
    before = [part.end for part in partitions if part.end <= event_id]
    behind = [part.start for part in partitions if part.start > event_id]
    return max(before, default=None), min(behind, default=None)


def keep_ahead(database: Database, rate: IdRate) -> list[str]:
    """See to it that there are partitions ahead, and that rows of the default one find theirs.

    Blocks the caller's greenlet. Others go on storing meanwhile; whoever holds a lock for long
    makes this give up until the next call.

    Returns:
        What was made.

    Raises:
        StoreError: and its kinds; what was made before that stays.
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
    """Let nobody wait behind us for longer than 200 ms."""
    connection.execute(f"SET LOCAL lock_timeout = {LOCK_MS:d}".encode())


def create(connection: Connection, name: str) -> None:
    """Make a table that can become a partition, and that nobody else may use."""
    connection.execute(filled("partition_create", name=name))
    connection.execute(filled("partition_private", name=name))


def attach(connection: Connection, part: Partition) -> None:
    """Make a table a partition."""
    connection.execute(filled("partition_attach", name=part.name, start=part.start, end=part.end))


def _last_id(connection: Connection) -> int:
    """The last id that the sequence gave."""
    sequence = connection.execute(query("sequence_name")).fetchone()
    last = 0
    if sequence is not None and sequence[0] is not None:
        statement = query("sequence_last").replace(b"{}", str(sequence[0]).encode())
        last = (connection.execute(statement).fetchone() or (0,))[0]
    return int(last)


def _heal(database: Database, layout: Layout) -> list[Partition]:
    """Give rows that landed in the default partition one of their own, gap by gap.

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
