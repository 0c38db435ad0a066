"""A day of 10,000,000 events over time: counted by minute in the background, then asked for.

No daemon: the counting and the reading are the daemon's own, on a PostgreSQL of their own.
"""

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from orchestrator.sql.database import Database
from orchestrator.sql.events.event_filter import EventFilter
from orchestrator.sql.events.minute_counts import Histogram, MinuteCounts, histogram

from .pages import LARGE, filled, server
from .report import Row, progress

ROUNDS = 20
DAY = timedelta(days=1)
SPAN = DAY + timedelta(hours=1)
"""Filling takes a while, and each row's time is counted from its own moment."""

PLAIN = b"""
SELECT count(*) FROM (
  SELECT date_bin('5 minutes', ts, 'epoch'), split_part(type, '.', 1), count(*)
  FROM events GROUP BY 1, 2
) AS buckets
"""


def run() -> list[Row]:
    """One table of a day."""
    apart = f"{DAY.total_seconds() * 1e6 / LARGE:.0f} us"
    with server() as url, filled(url, LARGE, apart) as table:
        counted = _counted(table.database)
        end = datetime.fromtimestamp(table.filled_at, UTC)

        def ask(*types: str) -> Histogram:
            wanted = EventFilter(types=types)
            return histogram(table.database, wanted, start=end - SPAN, end=end, buckets=288)

        plain_ms = _plain_ms(table.database)
        found = ask()
        events = sum(sum(bucket.counts.values()) for bucket in found.buckets)
        progress(f"{events:,} events in {len(found.buckets)} buckets")
        return [
            counted,
            _asked("24 h", ask, plain_ms),
            _asked("24 h of a pattern", lambda: ask("data.market.S1.*", "risk.*"), plain_ms),
            _asked("24 h of one agent's heartbeats", lambda: ask("heartbeat.agent-7"), plain_ms),
            Row("histogram: events missing", LARGE - events, "events", 0, at_most=True),
        ]


def _counted(database: Database) -> Row:
    counts, began, chunks = MinuteCounts(database), time.monotonic(), 0
    while counts.advance(LARGE) or counts.fill():
        chunks += 1
        if chunks % 100 == 0:
            progress(f"{chunks} chunks counted")
    took_s = time.monotonic() - began
    detail = f"{took_s / chunks * 1000:.1f} ms a chunk, {took_s:.1f} s for {LARGE:,} rows"
    return Row("histogram: counted in the background", LARGE / took_s, "/s", 100_000, detail=detail)


def _plain_ms(database: Database) -> float:
    progress("a plain count, for comparison")
    began = time.perf_counter()
    with database.transaction(timeout_ms=600_000) as connection:
        connection.execute(PLAIN)
    return (time.perf_counter() - began) * 1000


def _asked(name: str, ask: Callable[[], Histogram], plain_ms: float) -> Row:
    times_ms = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        ask()
        times_ms.append((time.perf_counter() - began) * 1000)
    detail = f"at most {max(times_ms):.1f} ms; a plain count takes {plain_ms:,.0f} ms"
    usual = statistics.quantiles(times_ms, n=10)[0]
    return Row(f"histogram: {name}", usual, "ms", 100, at_most=True, detail=detail)
