"""Pruning: old events of certain types go, in batches small enough to disturb nobody."""

import re
from collections.abc import Generator, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from .database import Database
from .named_queries import query

# One batch takes some 50 ms and locks its own rows only.
BATCH_ROWS: Final = 2_000
BATCH_LIMIT_MS: Final = 30_000


class RetentionRule(msgspec.Struct, frozen=True):
    """How long events of some types are kept."""

    pattern: str
    """Type or pattern (`*` is any run of characters)."""
    keep_s: float
    """Seconds."""


class PruneProgress(msgspec.Struct, frozen=True):
    """What one batch did."""

    type: str
    """The type it was about."""
    due: int
    """Rows of this batch that were too old."""
    deleted: int
    """Rows of it that are gone; 0 in a dry run."""
    last_id: int
    """The last id it looked at."""


def prune(
    database: Database,
    rules: Sequence[RetentionRule],
    now: datetime,
    *,
    dry_run: bool = False,
    batch_rows: int = BATCH_ROWS,
) -> Generator[PruneProgress, None, None]:
    """Delete what is older than its rule says, one batch and transaction for each step.

    The first rule that fits a type decides; types without one are kept for ever. Each type is
    walked from its first row until a batch finds nothing due; so a run that is broken off loses
    nothing, and one that has nothing to do is cheap. (An old row among younger ones follows.)

    Args:
        database: where.
        rules: in order of precedence.
        now: the moment ages are counted from, with a time zone.
        dry_run: only count.
        batch_rows: rows looked at in one step.

    Raises:
        StoreError: and its kinds, from the step that failed.
    """
    # Behind a large deletion this skips over dead entries once, which takes a while.
    with database.transaction(timeout_ms=BATCH_LIMIT_MS) as connection:
        types = connection.execute(query("types_oldest")).fetchall()
    for event_type, oldest in types:
        keep_s = keep_time_s(rules, event_type)
        before = None if keep_s is None else now - timedelta(seconds=keep_s)
        if before is not None and oldest is not None and oldest < before:
            yield from _prune_type(
                database, event_type, before, dry_run=dry_run, batch_rows=batch_rows
            )


def keep_time_s(rules: Sequence[RetentionRule], event_type: str) -> float | None:
    """How long events of this type are kept, in seconds; None: for ever."""
    # Whoever writes `heartbeat.*` means the channels, and these are stored as type `heartbeat`.
    names = (event_type, "heartbeat.") if event_type == "heartbeat" else (event_type,)
    for rule in rules:
        fits = re.compile(re.escape(rule.pattern).replace(r"\*", ".*"), re.DOTALL).fullmatch
        if any(map(fits, names)):
            return rule.keep_s
    return None


def _prune_type(
    database: Database, event_type: str, before: datetime, *, dry_run: bool, batch_rows: int
) -> Generator[PruneProgress, None, None]:
    given = {"type": event_type, "before": before, "dry_run": dry_run, "batch": batch_rows}
    after, due, seen = 0, batch_rows, batch_rows
    while due > 0 and seen == batch_rows:
        with database.transaction(timeout_ms=BATCH_LIMIT_MS) as connection:
            row = connection.execute(query("prune_batch"), given | {"after": after}).fetchone()
        due, deleted, last_id, seen = row if row is not None else (0, 0, None, 0)
        after = last_id or after
        if due:
            yield PruneProgress(event_type, due, deleted, after)
