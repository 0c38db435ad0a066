"""Pruning: old events of certain types go, without holding up who stores new ones.

On one table, and where few events come, rows are deleted in small batches. On a partitioned one,
where many come, a partition waits until whole types in it are due, and is then dropped (what must
stay is copied out first), or, if only a small part is due, that part is deleted in batches.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from ...protocol.patterns import matches
from ..database import Database
from ..events.event_reader import MAX_ID
from ..named_queries import query
from .partitions import Partition, filled, read_layout
from .rewrite import count_due, rewrite

# One batch takes some 50 ms and locks its own rows only.
BATCH_ROWS: Final = 2_000
BATCH_LIMIT_MS: Final = 30_000
# Above so many events a second a partition is left alone until whole types in it are due: deleting
# them one by one before would cost as much as storing them. (A partition of a million ids then
# covers 5.6 hours at most, and so long may a row outlive its time.)
DENSE_PER_S: Final = 50.0
# From this part on copying the rest is cheaper than deleting.
REWRITE_SHARE: Final = 0.5
# What has shrunk to so few rows is joined to its neighbour when that is rewritten.
SMALL_ROWS: Final = 200_000
SAMPLE_PAGES: Final = 1_000

Range = tuple[int, int]
"""First id, and the first id behind."""
Befores = dict[str, datetime]
"""Type → what is older is due."""


class RetentionRule(msgspec.Struct, frozen=True):
    """How long events of some types are kept."""

    pattern: str
    """Type or pattern (`*` is any run of characters)."""
    keep_s: float
    """Seconds."""


class PruneProgress(msgspec.Struct, frozen=True):
    """What one step did."""

    type: str
    """The type it was about."""
    due: int
    """Rows of this step that were too old."""
    deleted: int
    """Rows of it that are gone; 0 in a dry run."""
    last_id: int
    """The last id it looked at."""


class _Run(msgspec.Struct, frozen=True):
    """What holds for all of one run."""

    database: Database
    befores: Befores
    now: datetime
    dry_run: bool
    batch_rows: int
    pause: Callable[[], None]


def prune(  # noqa: PLR0913 - what each caller wants differs
    database: Database,
    rules: Sequence[RetentionRule],
    now: datetime,
    *,
    dry_run: bool = False,
    batch_rows: int = BATCH_ROWS,
    pause: Callable[[], None] = lambda: None,
) -> Generator[PruneProgress, None, None]:
    """Delete what is older than its rule says, one batch or partition for each step.

    The first rule that fits a type decides; types without one are kept for ever. In batches each
    type is walked from its first row until a batch finds nothing due; so a run that is broken off
    loses nothing, and one that has nothing to do is cheap. (An old row among younger ones follows.)

    Args:
        database: where.
        rules: in order of precedence.
        now: the moment ages are counted from, with a time zone.
        dry_run: only count.
        batch_rows: rows looked at in one step.
        pause: called again and again within a long step, for others to come first.

    Raises:
        StoreError: and its kinds, from the step that failed.
    """
    # Behind a large deletion this skips over dead entries once, which takes a while.
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
    """How long events of this type are kept, in seconds; None: for ever."""
    # Whoever writes `heartbeat.*` means the channels, and these are stored as type `heartbeat`.
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
    """Those in which events came fast, and which one still grows."""
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
    """Drop, rewrite or thin out one partition; what stands before the next one then."""
    database, whole = run.database, _whole(run, part)
    if not whole:
        return part
    if _share(run, part, list(whole)) < REWRITE_SHARE:
        yield from _prune_range(run, whole, (part.start, part.end))
        return part
    if run.dry_run:
        for name, due in count_due(database, part, whole, run.pause).items():
            yield PruneProgress(name, due, 0, part.end - 1)
        return part
    sources = [part] if previous is None or not _joins(run, previous, part) else [previous, part]
    for name, gone in rewrite(database, sources, whole, run.pause).items():
        yield PruneProgress(name, gone, gone, part.end - 1)
    return _now_at(run, part)


def _whole(run: _Run, part: Partition) -> Befores:
    """The types that are due in a partition down to its newest row."""
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
    """Whether the neighbour has become so small that both may be one."""
    given = {"start": previous.start, "end": previous.end, "limit": SMALL_ROWS + 1}
    ((rows,),) = run.database.rows(filled("partition_rows", name=previous.name), given)
    return previous.end == part.start and int(rows) <= SMALL_ROWS


def _now_at(run: _Run, part: Partition) -> Partition | None:
    """The partition that has the place of one that was rewritten, if there is one."""
    with run.database.transaction() as connection:
        layout = read_layout(connection)
    parts = layout.partitions if layout is not None else ()
    return next((each for each in parts if each.start < part.end <= each.end), None)
