"""Events by minute and class: kept in the background, added up for histograms.

Rows are counted by chunks of ids, each in one transaction, once all of ours in it are committed;
a chunk whose rows have changed since is counted again, so nothing is ever counted twice. Rows above
the last counted chunk are counted when a histogram is asked for, in the same snapshot.
"""

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from ...protocol.timestamps import timestamp
from ..connection import Connection
from ..database import Database
from ..errors import Unavailable
from ..named_queries import query
from .event_filter import EventFilter, parameters
from .event_reader import MAX_ID

CLASSES: Final = (
    "data",
    "heartbeat",
    "news",
    "quant",
    "strategy",
    "runtime",
    "agent",
    "bus",
    "risk",
)
"""First words of the contract's types; every other type is of the class ``other``."""

OTHER: Final = "other"

CHUNK_IDS: Final = 10_000
"""Ids of a chunk: counted in some 20 ms, and the most that is counted when asked."""

TAIL_ROWS: Final = 200_000
"""Rows above the last chunk that a histogram looks at, in some 200 ms: counting may be late."""

RECENT_IDS: Final = 20 * CHUNK_IDS
"""Ids below the newest chunk in which other programs' transactions may still commit."""

_STRIDE_IDS: Final = 50 * CHUNK_IDS
_LIMIT_MS: Final = 30_000
_MINUTE_S: Final = 60


class Bucket(msgspec.Struct, frozen=True):
    """The events of one span of time."""

    ts: str
    """Its beginning (ISO 8601, UTC)."""
    counts: dict[str, int]
    """Class → events; classes without any are left out."""


class Histogram(msgspec.Struct, frozen=True):
    """Events over time."""

    start: datetime
    """Beginning of the first bucket: whole minutes, a multiple of ``bucket_s`` since 1970."""
    end: datetime
    """End of the last bucket, not included."""
    bucket_s: int
    """Length of a bucket in seconds, a multiple of 60."""
    buckets: list[Bucket]
    """Those with events, in order of time."""
    counted_from: datetime | None
    """Older rows are still being counted in the background; None if all are."""


class MinuteCounts:
    """Counts what is stored; each call blocks the caller's greenlet, some 20 ms a chunk.

    All raise ``Unavailable``, ``TimedOut`` or another ``StoreError``; nothing has changed then.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._high: int | None = None

    def advance(self, committed_id: int) -> bool:
        """Count the next chunk above those counted. Returns whether there was a whole one.

        Args:
            committed_id: Our ids up to this one are committed: only what is below is final.
        """
        if self._high is not None and committed_id + 1 < self._high + CHUNK_IDS:
            return False
        with self._database.transaction(timeout_ms=_LIMIT_MS) as connection:
            low, high = _lock(connection)
            self._high = high
            (found,) = connection.execute(query("counts_above"), {"high": high}).fetchone() or (0,)
            first = _chunk_of(committed_id + 1 if found is None else min(found, committed_id + 1))
            whole = found is not None and first + CHUNK_IDS <= committed_id + 1
            if whole:
                _count(connection, first)
                first += CHUNK_IDS
            if first > high:  # ids between are not in use
                connection.execute(query("counts_note"), {"low": low, "high": first})
        self._high = max(high, first)
        return whole

    def fill(self) -> bool:
        """Count the next older chunk. Returns whether there was one."""
        with self._database.transaction(timeout_ms=_LIMIT_MS) as connection:
            low, high = _lock(connection)
            if not low:
                return False
            (found,) = connection.execute(query("counts_below"), {"low": low}).fetchone() or (None,)
            first = 0 if found is None else _chunk_of(found)
            if found is not None:
                _count(connection, first)
            connection.execute(query("counts_note"), {"low": first, "high": high})
        return found is not None

    def verify(self, start: int | None = None) -> Iterator[int]:
        """Recount chunks whose rows were deleted, or came late from another program.

        Args:
            start: From this id on; by default ``RECENT_IDS`` below the newest chunk.

        Yields:
            The number of chunks recounted, after each half million ids.
        """
        with self._database.transaction(timeout_ms=_LIMIT_MS) as connection:
            low, high = _lock(connection)
        end = max(low, high - RECENT_IDS if start is None else start)
        while (at := self._next(end, high)) is not None:
            end = min(at + _STRIDE_IDS, high)
            given = {"start": at, "end": end, "chunk": CHUNK_IDS}
            changed = self._database.rows(query("counts_changed"), given)
            for (first,) in changed:
                with self._database.transaction(timeout_ms=_LIMIT_MS) as connection:
                    _lock(connection)
                    _count(connection, first)
            yield len(changed)

    def _next(self, at: int, high: int) -> int | None:
        """The next chunk that has rows or counts; None if there is none below ``high``."""
        ((found,),) = self._database.rows(query("counts_next"), {"start": at})
        return None if found is None or found >= high else max(at, _chunk_of(found))


def histogram(
    database: Database,
    event_filter: EventFilter,
    *,
    start: datetime,
    end: datetime,
    buckets: int,
) -> Histogram:
    """Count what is stored from ``start`` to ``end``, both widened to whole buckets.

    Args:
        database: The database.
        event_filter: Only its types count.
        start: With a time zone.
        end: With a time zone.
        buckets: About how many: as short as that number and whole minutes allow.

    Raises:
        Unavailable: Counting is late by more than ``TAIL_ROWS``, or has not begun.
        StoreError: and its other kinds.
    """
    length_s = (end - start).total_seconds()
    bucket_s = max(1, math.ceil(length_s / buckets / _MINUTE_S)) * _MINUTE_S
    first = math.floor(start.timestamp() / bucket_s) * bucket_s
    last = max(first + bucket_s, math.ceil(end.timestamp() / bucket_s) * bucket_s)
    given: dict[str, Any] = {
        "start": datetime.fromtimestamp(first, UTC),
        "end": datetime.fromtimestamp(last, UTC),
        "bucket_s": bucket_s,
        "classes": list(CLASSES),
        "tail": TAIL_ROWS,
    }
    since = database.rows(query("counts_since"))
    counts = _counts(database, event_filter, given)
    return Histogram(
        start=given["start"],
        end=given["end"],
        bucket_s=bucket_s,
        buckets=[Bucket(timestamp(at), counts[at]) for at in sorted(counts)],
        counted_from=since[0][0] if since else None,
    )


def _counts(
    database: Database, event_filter: EventFilter, given: dict[str, Any]
) -> dict[int, dict[str, int]]:
    """Bucket (seconds since 1970) → class → events."""
    name = "histogram"
    if event_filter.types:
        name = "histogram_of_types"
        given = given | parameters(event_filter) | {"fitting": _fitting(event_filter.types)}
    counts: dict[int, dict[str, int]] = {}
    looked_at = TAIL_ROWS + 1  # nothing has been counted yet if no row says so
    for at, event_class, events in database.rows(query(name), given, prepare=False):
        if at is None:
            looked_at = events
        else:
            counts.setdefault(at, {})[event_class] = events
    if looked_at > TAIL_ROWS:
        raise Unavailable("events are still being counted")
    return counts


def _fitting(types: tuple[str, ...]) -> list[str] | None:
    """The classes that types of these patterns can have; None: any (pure)."""
    words = [pattern.partition(".")[0] for pattern in types]
    if any("*" in word for word in words):
        return None
    return [word if word in CLASSES else OTHER for word in words]


def _chunk_of(event_id: int) -> int:
    return event_id // CHUNK_IDS * CHUNK_IDS


def _lock(connection: Connection) -> tuple[int, int]:
    """What is counted (from, up to but not including), held until the transaction ends."""
    row = connection.execute(query("counts_lock")).fetchone()
    if row is None:
        connection.execute(query("counts_begin"), {"chunk": CHUNK_IDS})
        row = connection.execute(query("counts_lock")).fetchone()
    low, high = row or (0, 0)
    return int(low), int(high)


def _count(connection: Connection, first: int) -> None:
    """Count one chunk, in place of what was counted before."""
    connection.execute(query("counts_forget"), {"first": first})
    given = {"first": first, "end": min(first + CHUNK_IDS, MAX_ID), "classes": list(CLASSES)}
    connection.execute(query("counts_chunk"), given)
