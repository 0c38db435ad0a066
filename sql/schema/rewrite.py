"""Old partitions go as a whole; what of them must stay is copied out first, in one transaction.

The table with the survivors takes the place of the old one(s) at once: readers see the rows of
either, never of none. While rows are copied, the old tables cannot be written to (they are long
past; whoever wants to all the same makes this give up within one chunk). All others go on; for the
exchange itself they wait some milliseconds.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import psycopg

from ..connection import Connection
from ..database import Database
from ..errors import TimedOut
from ..named_queries import query
from .partitions import Partition, attach, create, filled, limit_locks, partition_name

# Ids looked at in one statement: some 100 ms.
CHUNK_IDS: Final = 50_000
CHUNK_LIMIT_MS: Final = 30_000
# How often the exchange is tried, after a pause each time, before all is given up for this run.
SWAP_TRIES: Final = 100

Pause = Callable[[], None]


def count_due(
    database: Database, source: Partition, befores: Mapping[str, datetime], pause: Pause
) -> Counter[str]:
    """How many rows of each type are too old; changes nothing."""
    due: Counter[str] = Counter()
    for start, end in _chunks(database, source):
        given = _parameters(befores, start, end)
        due.update(dict(database.rows(filled("partition_due", source=source.name), given)))
        pause()
    return due


def rewrite(
    database: Database,
    sources: Sequence[Partition],
    befores: Mapping[str, datetime],
    pause: Pause,
) -> Counter[str]:
    """Replace neighbouring partitions by one with the rows that are not too old, or by none.

    Args:
        database: where.
        sources: neighbours, in order of ids.
        befores: type → what is older goes; other types stay.
        pause: called between chunks.

    Returns:
        How many rows of each type are gone.

    Raises:
        TimedOut: others need these tables; nothing has changed.
        StoreError: and its other kinds; nothing has changed.
    """
    start, end = sources[0].start, sources[-1].end
    names = [source.name for source in sources]
    kept = Partition(partition_name(start, end, unlike=names), start, end)
    gone: Counter[str] = Counter()
    copied = 0
    chunks = [(source, list(_chunks(database, source))) for source in sources]
    with database.transaction(timeout_ms=CHUNK_LIMIT_MS) as connection:
        limit_locks(connection)
        for name in names:
            connection.execute(f"LOCK TABLE {name} IN SHARE MODE".encode())
        create(connection, kept.name)
        for source, parts in chunks:
            for low, high in parts:
                given = _parameters(befores, low, high)
                copied += _copy_chunk(connection, source, kept, given, gone)
                _give_way_to_others(connection, names)
                pause()
        _swap(connection, names, kept if copied else None, kept.name, pause)
    return gone


def _copy_chunk(
    connection: Connection,
    source: Partition,
    kept: Partition,
    given: dict[str, Any],
    gone: Counter[str],
) -> int:
    """Copy what stays of one chunk; how many rows that were."""
    due = connection.execute(filled("partition_due", source=source.name), given)
    gone.update({event_type: int(count) for event_type, count in due})
    statement = filled("partition_keep", source=source.name, name=kept.name)
    return connection.execute(statement, given).rowcount


def _parameters(befores: Mapping[str, datetime], start: int, end: int) -> dict[str, Any]:
    types = list(befores)
    return {
        "types": types,
        "befores": [befores[name] for name in types],
        "start": start,
        "end": end,
    }


def _chunks(database: Database, source: Partition) -> Iterator[tuple[int, int]]:
    """The ranges of ids to look at one after the other; empty ends are left out."""
    rows = database.rows(filled("partition_ends", name=source.name))
    first, _, last, _ = rows[0] if rows else (None, None, None, None)
    if first is None or last is None:
        return
    for start in range(first, last + 1, CHUNK_IDS):
        yield start, min(start + CHUNK_IDS, last + 1)


def _give_way_to_others(connection: Connection, names: list[str]) -> None:
    (waited,) = connection.execute(query("partition_waiters"), {"names": names}).fetchone() or (0,)
    if waited:
        raise TimedOut("somebody writes to a partition that is to go")


def _swap(
    connection: Connection,
    names: list[str],
    kept: Partition | None,
    made: str,
    pause: Pause,
) -> None:
    if kept is not None:  # said beforehand, so that attaching need not look at each row
        bounds = f"CHECK (id >= {kept.start} AND id < {kept.end})"
        connection.execute(f"ALTER TABLE {made} ADD CONSTRAINT bounds {bounds}".encode())
    for left in reversed(range(SWAP_TRIES)):
        try:
            with connection.transaction():
                _exchange(connection, names, kept, made)
        except psycopg.errors.LockNotAvailable:
            if not left:
                raise
            _give_way_to_others(connection, names)
            pause()
        else:
            return


def _exchange(connection: Connection, names: list[str], kept: Partition | None, made: str) -> None:
    connection.execute(b"LOCK TABLE ONLY events IN ACCESS EXCLUSIVE MODE")
    for name in names:
        connection.execute(f"ALTER TABLE events DETACH PARTITION {name}".encode())
        connection.execute(f"DROP TABLE {name}".encode())
    if kept is None:
        connection.execute(f"DROP TABLE {made}".encode())
    else:
        attach(connection, kept)
        connection.execute(f"ALTER TABLE {made} DROP CONSTRAINT bounds".encode())
