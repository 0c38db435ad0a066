"""Retention: deletes old events by type without blocking the writer of new ones.

An unpartitioned table, and a partition that grew slowly, is pruned row by row in small batches. A
partition that grew fast waits until whole types in it are due. If they are half of it or more, the
remaining rows are copied to a new table that replaces the partition in one transaction: readers see
the rows of either, never of none. While rows are copied the old partition cannot be written to; a
writer that tries makes the rewrite give up within one chunk. Other writers wait only for the
exchange, some milliseconds. If less than half is due, that part is deleted in batches.
"""

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import psycopg

from ...protocol.patterns import matches
from ..connection import Connection
from ..database import Database
from ..errors import TimedOut
from ..events.event_reader import MAX_ID
from ..named_queries import query
from .partitions import (
    Partition,
    attach,
    create,
    filled,
    limit_locks,
    partition_name,
    read_layout,
)

# One batch takes some 50 ms and locks only its own rows.
BATCH_ROWS: Final = 2_000
BATCH_LIMIT_MS: Final = 30_000
# Events per second above which a partition is left alone until whole types in it are due: deleting
# rows one by one would cost as much as storing them. (A partition of a million ids then covers
# 5.6 hours at most, which is how long a row may outlive its retention.)
DENSE_PER_S: Final = 50.0
# From this share on, copying the rest is cheaper than deleting.
REWRITE_SHARE: Final = 0.5
# A partition with at most this many rows is merged into its neighbour when that is rewritten.
SMALL_ROWS: Final = 200_000
SAMPLE_PAGES: Final = 1_000
# Ids copied by one statement, which takes some 100 ms.
CHUNK_IDS: Final = 50_000
CHUNK_LIMIT_MS: Final = 30_000
# Attempts to exchange a partition, with a pause after each, before this run gives up.
SWAP_TRIES: Final = 100

Range = tuple[int, int]
"""The first id, and the first id after the range."""
Befores = Mapping[str, datetime]
"""Type → rows older than this are due."""
Pause = Callable[[], None]


class RetentionRule(msgspec.Struct, frozen=True):
    """How long events of some types are kept."""

    pattern: str
    """Type or pattern (`*` is any run of characters)."""
    keep_s: float
    """Seconds."""


class PruneProgress(msgspec.Struct, frozen=True):
    """The result of one step."""

    type: str
    """The event type."""
    due: int
    """Rows past their retention in this step."""
    deleted: int
    """Rows deleted; 0 in a dry run."""
    last_id: int
    """The last id examined."""


class _Run(msgspec.Struct, frozen=True):
    """The parameters of one run."""

    database: Database
    befores: Befores
    now: datetime
    dry_run: bool
    batch_rows: int
    pause: Pause


def prune(  # noqa: PLR0913 - what each caller wants differs
    database: Database,
    rules: Sequence[RetentionRule],
    now: datetime,
    *,
    dry_run: bool = False,
    batch_rows: int = BATCH_ROWS,
    pause: Pause = lambda: None,
) -> Generator[PruneProgress, None, None]:
    """Delete events past their retention, one batch or partition per step.

    The first rule that matches a type applies; types without one are kept forever. In batches each
    type is walked from its first row until a batch finds nothing due, so an interrupted run loses
    no progress and a run with nothing to do is cheap. (An old row among younger ones goes later.)

    Args:
        database: the database.
        rules: in order of precedence.
        now: ages are counted from this time; with a time zone.
        dry_run: only count.
        batch_rows: rows examined in one step.
        pause: called repeatedly within a long step, to let other work run.

    Raises:
        StoreError: and its kinds, from the step that failed.
    """
    # After a large deletion this skips dead index entries once, which takes a while.
    with database.transaction(timeout_ms=BATCH_LIMIT_MS) as connection:
        types = connection.execute(query("types_oldest")).fetchall()
        layout = read_layout(connection)
    befores = {}
    for event_type, oldest in types:
        keep_s = keep_time_s(rules, event_type)
        before = None if keep_s is None else now - timedelta(seconds=keep_s)
        if before is not None and oldest is not None and oldest < before:
            befores[event_type] = before
    if not befores:
        return
    run = _Run(database, befores, now, dry_run, batch_rows, pause)
    dense, growing = _dense(run, layout.partitions) if layout is not None else ([], None)
    for bounds in _rest(dense):
        yield from _prune_range(run, befores, bounds)
    previous: Partition | None = None
    for part in dense:
        if part is growing:
            yield from _prune_range(run, _whole(run, part), (part.start, part.end))
        else:
            previous = yield from _prune_partition(run, part, previous)


def keep_time_s(rules: Sequence[RetentionRule], event_type: str) -> float | None:
    """How long events of this type are kept, in seconds; None: forever."""
    # `heartbeat.*` names the channels, whose events are stored as type `heartbeat`.
    names = (event_type, "heartbeat.") if event_type == "heartbeat" else (event_type,)
    for rule in rules:
        if any(matches(rule.pattern, name) for name in names):
            return rule.keep_s
    return None


# -- in batches ---------------------------------------------------------------------------------


def _prune_range(
    run: _Run, befores: Befores, bounds: Range
) -> Generator[PruneProgress, None, None]:
    for event_type, before in befores.items():
        yield from _prune_type(run, event_type, before, bounds)


def _prune_type(
    run: _Run, event_type: str, before: datetime, bounds: Range
) -> Generator[PruneProgress, None, None]:
    given = {"type": event_type, "before": before, "dry_run": run.dry_run, "end": bounds[1]}
    given["batch"] = run.batch_rows
    after, due, seen = bounds[0] - 1, run.batch_rows, run.batch_rows
    while due > 0 and seen == run.batch_rows:
        with run.database.transaction(timeout_ms=BATCH_LIMIT_MS) as connection:
            row = connection.execute(query("prune_batch"), given | {"after": after}).fetchone()
        due, deleted, last_id, seen = row if row is not None else (0, 0, None, 0)
        after = last_id or after
        if due:
            run.pause()
            yield PruneProgress(event_type, due, deleted, after)


# -- partition by partition ---------------------------------------------------------------------


def _dense(run: _Run, partitions: Iterable[Partition]) -> tuple[list[Partition], Partition | None]:
    """Partitions in which events came fast, and the one that still grows."""
    found = []
    growing: Partition | None = None
    for part in reversed(tuple(partitions)):
        rows = run.database.rows(filled("partition_ends", name=part.name))
        if not rows:
            continue
        first, since, last, until = rows[0]
        growing = growing or part
        end = run.now if part is growing else until
        took_s = (end - since).total_seconds() if end and since else 0.0
        if last - first > DENSE_PER_S * max(took_s, 1.0):
            found.append(part)
    return found[::-1], growing


def _rest(dense: Sequence[Partition]) -> Iterable[Range]:
    """The ranges of ids between dense partitions (pure)."""
    start = 0
    for part in dense:
        if part.start > start:
            yield start, part.start
        start = part.end
    yield start, MAX_ID


def _prune_partition(
    run: _Run, part: Partition, previous: Partition | None
) -> Generator[PruneProgress, None, Partition | None]:
    """Drop, rewrite or thin out one partition. Returns its successor, the next one's neighbour."""
    database, whole = run.database, _whole(run, part)
    if not whole:
        return part
    if _share(run, part, list(whole)) < REWRITE_SHARE:
        yield from _prune_range(run, whole, (part.start, part.end))
        return part
    if run.dry_run:
        for name, due in _count_due(database, part, whole, run.pause).items():
            yield PruneProgress(name, due, 0, part.end - 1)
        return part
    sources = [part] if previous is None or not _joins(run, previous, part) else [previous, part]
    for name, gone in _rewrite(database, sources, whole, run.pause).items():
        yield PruneProgress(name, gone, gone, part.end - 1)
    return _now_at(run, part)


def _whole(run: _Run, part: Partition) -> Befores:
    """The types of which every row in a partition is due."""
    rows = run.database.rows(filled("partition_ends", name=part.name))
    newest = rows[0][3] if rows else None
    there = [name for (name,) in run.database.rows(filled("partition_types", name=part.name))]
    due = {name: run.befores[name] for name in there if name in run.befores}
    return {name: before for name, before in due.items() if newest and newest < before}


def _share(run: _Run, part: Partition, types: list[str]) -> float:
    ((pages,),) = run.database.rows(query("partition_pages"), {"name": part.name})
    percent = min(100.0, 100.0 * SAMPLE_PAGES / max(1, pages))
    statement = filled("partition_share", name=part.name)
    ((share,),) = run.database.rows(statement, {"types": types, "percent": percent})
    return float(share)


def _joins(run: _Run, previous: Partition, part: Partition) -> bool:
    """Whether the neighbour is small enough to be merged."""
    given = {"start": previous.start, "end": previous.end, "limit": SMALL_ROWS + 1}
    ((rows,),) = run.database.rows(filled("partition_rows", name=previous.name), given)
    return previous.end == part.start and int(rows) <= SMALL_ROWS


def _now_at(run: _Run, part: Partition) -> Partition | None:
    """The partition that replaced a rewritten one, if any rows were kept."""
    with run.database.transaction() as connection:
        layout = read_layout(connection)
    parts = layout.partitions if layout is not None else ()
    return next((each for each in parts if each.start < part.end <= each.end), None)


# -- replacing a partition ---------------------------------------------------------------------


def _count_due(
    database: Database, source: Partition, befores: Befores, pause: Pause
) -> Counter[str]:
    """Number of due rows per type; changes nothing."""
    due: Counter[str] = Counter()
    for start, end in _chunks(database, source):
        given = _parameters(befores, start, end)
        due.update(dict(database.rows(filled("partition_due", source=source.name), given)))
        pause()
    return due


def _rewrite(
    database: Database,
    sources: Sequence[Partition],
    befores: Befores,
    pause: Pause,
) -> Counter[str]:
    """Replace neighbouring partitions, in order of ids, by one with the rows that are not due.

    Returns:
        Number of rows deleted, per type.

    Raises:
        TimedOut: other transactions need these tables; nothing has changed.
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
    """Copy the rows of one chunk that are kept; returns their number."""
    due = connection.execute(filled("partition_due", source=source.name), given)
    gone.update({event_type: int(count) for event_type, count in due})
    statement = filled("partition_keep", source=source.name, name=kept.name)
    return connection.execute(statement, given).rowcount


def _parameters(befores: Befores, start: int, end: int) -> dict[str, Any]:
    types = list(befores)
    return {
        "types": types,
        "befores": [befores[name] for name in types],
        "start": start,
        "end": end,
    }


def _chunks(database: Database, source: Partition) -> Iterator[tuple[int, int]]:
    """Consecutive ranges of ids, from the first row to the last."""
    rows = database.rows(filled("partition_ends", name=source.name))
    first, _, last, _ = rows[0] if rows else (None, None, None, None)
    if first is None or last is None:
        return
    for start in range(first, last + 1, CHUNK_IDS):
        yield start, min(start + CHUNK_IDS, last + 1)


def _give_way_to_others(connection: Connection, names: list[str]) -> None:
    (waited,) = connection.execute(query("partition_waiters"), {"names": names}).fetchone() or (0,)
    if waited:
        raise TimedOut("another transaction writes to a partition that is being replaced")


def _swap(
    connection: Connection,
    names: list[str],
    kept: Partition | None,
    made: str,
    pause: Pause,
) -> None:
    if kept is not None:  # with this constraint, attaching does not scan the rows
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
