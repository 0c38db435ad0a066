"""Pages of events from PostgreSQL: 10,000,000 rows against 100,000, filter by filter.

No daemon and none of its memory: the reader's own statements, in turn on two databases of one
server, which are filled there. Rows are as a daemon stores them: ids and times rise together, 20
types, 40 agents' heartbeats, some that have not been seen since the first percent, and 1,000 marks.
"""

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import psycopg
from orchestrator.runtime.embedded import EmbeddedPostgres
from orchestrator.sql.connection import connect
from orchestrator.sql.database import Database, PostgresSettings
from orchestrator.sql.errors import TimedOut
from orchestrator.sql.events.event_filter import EventFilter
from orchestrator.sql.events.event_reader import EventReader, EventRow
from orchestrator.sql.schema.migrator import migrate
from orchestrator.sql.schema.partitions import IdRate, keep_ahead

from .report import Row, progress

SMALL = 100_000
LARGE = int(os.environ.get("BENCH_PAGES_ROWS", "10000000"))
BLOCK = 500_000
ROUNDS = 30
GOAL = 1.5
FILL = """
INSERT INTO events (id, type, source, ts, processed, payload)
SELECT n,
       CASE WHEN n % 1000 = 7 THEN 'risk.alert' WHEN n % 20 = 3 THEN 'strategy.candidate'
            WHEN n <= %(early)s AND n % 50 = 11 THEN 'strategy.retired'
            WHEN n % 5 = 1 THEN 'heartbeat' ELSE 'data.market.S' || n % 16 || '.1m' END,
       CASE WHEN n % 1000 = 7 THEN NULL WHEN n % 20 = 3 THEN 'dev-agent'
            WHEN n <= %(early)s AND n % 50 = 11 THEN 'retired-agent'
            WHEN n <= %(early)s AND n % 50 = 16 THEN 'gone-agent'
            WHEN n % 5 = 1 THEN 'agent-' || n / 5 % 40 ELSE 'quotes-agent' END,
       now() - (%(rows)s - n) * %(apart)s::interval, n % (%(rows)s / 1000) = 0,
       ('{"symbol":"AAPL","price":187.42,"agent_id":"quotes-agent","n":' || n || '}')::jsonb
FROM generate_series(%(first)s, %(last)s) AS n
"""


class Table(NamedTuple):
    """A filled database."""

    rows: int
    reader: EventReader
    database: Database
    filled_at: float
    """The newest row's time."""

    def at(self, part: float) -> int:
        """The id that lies so far into the table."""
        return max(1, int(self.rows * part))

    def ago(self, part: float) -> str:
        """The time of that id (within a second)."""
        seconds = (self.rows - self.at(part)) * 0.1
        moment = time.gmtime(self.filled_at - seconds)
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", moment)


Page = Callable[[Table], list[EventRow]]


def _types(*types: str) -> EventFilter:
    return EventFilter(types=types)


def _between(table: Table, low: float, high: float, **more: object) -> EventFilter:
    return EventFilter(from_ts=table.ago(low), to_ts=table.ago(high), **more)  # type: ignore[arg-type]


PAGES: dict[str, Page] = {
    "latest": lambda t: t.reader.latest(50),
    "after the first": lambda t: t.reader.after(0, 50),
    "before the middle": lambda t: t.reader.before(t.at(0.5), 50),
    "a frequent type": lambda t: t.reader.latest(50, _types("heartbeat")),
    "a sparse type": lambda t: t.reader.latest(50, _types("risk.alert")),
    "a sparse type, from the first": lambda t: t.reader.after(0, 50, _types("risk.alert")),
    "a type long gone": lambda t: t.reader.latest(50, _types("strategy.retired")),
    "a pattern": lambda t: t.reader.latest(200, _types("strategy.*", "risk.*")),
    "a type that never was": lambda t: t.reader.latest(50, _types("nothing.*")),
    "one agent's heartbeats": lambda t: t.reader.latest(50, _types("heartbeat.agent-7")),
    "heartbeats of one long gone": lambda t: t.reader.latest(50, _types("heartbeat.gone-agent")),
    "heartbeats of nobody": lambda t: t.reader.latest(50, _types("heartbeat.nobody")),
    "a source": lambda t: t.reader.latest(50, EventFilter(source="dev-agent")),
    "a source long gone": lambda t: t.reader.latest(50, EventFilter(source="gone-agent")),
    "a source that never was": lambda t: t.reader.latest(50, EventFilter(source="nobody")),
    "marked": lambda t: t.reader.latest(50, EventFilter(processed=True)),
    "marked, of a type": lambda t: t.reader.latest(
        50, EventFilter(types=("strategy.candidate",), processed=True)
    ),
    "not marked": lambda t: t.reader.after(0, 50, EventFilter(processed=False)),
    "the last minute": lambda t: t.reader.latest(50, EventFilter(from_ts=t.ago(1 - 600 / t.rows))),
    "a minute in the middle": lambda t: t.reader.latest(50, _between(t, 0.5, 0.5 + 600 / t.rows)),
    "the first half": lambda t: t.reader.latest(50, EventFilter(to_ts=t.ago(0.5))),
    "the second half, forward": lambda t: t.reader.after(0, 50, EventFilter(from_ts=t.ago(0.5))),
    "the future": lambda t: t.reader.latest(50, EventFilter(from_ts="2999-01-01T00:00:00Z")),
    "a frequent type in the middle": lambda t: t.reader.latest(
        50, _between(t, 0.4, 0.5, types=("heartbeat",))
    ),
    "a sparse type in the middle": lambda t: t.reader.latest(
        50, _between(t, 0.4, 0.5, types=("risk.alert",))
    ),
    "a type when there was none": lambda t: t.reader.latest(
        50, _between(t, 0.4, 0.5, types=("strategy.retired",))
    ),
    "a source in the middle": lambda t: t.reader.latest(
        50, _between(t, 0.4, 0.5, source="quotes-agent")
    ),
    "all filters, nothing": lambda t: t.reader.latest(
        50, _between(t, 0.4, 0.5, types=("strategy.*",), source="agent-3", processed=True)
    ),
}


def run() -> list[Row]:
    """Both tables on one PostgreSQL of their own."""
    with ExitStack() as stack:
        url = stack.enter_context(server())
        small, large = (stack.enter_context(filled(url, rows)) for rows in (SMALL, LARGE))
        progress(f"{len(PAGES)} kinds of pages, {ROUNDS} rounds")
        rows = [compared(name, page, small, large) for name, page in PAGES.items()]
        return [*rows, _ended(large)]


@contextmanager
def server() -> Iterator[str]:
    """A PostgreSQL of its own."""
    folder = Path(tempfile.mkdtemp(prefix="orchestrator-bench-"))
    folder.chmod(0o711)
    postgres = EmbeddedPostgres(folder / "postgres")
    try:
        yield postgres.start()
    finally:
        postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def filled(server_url: str, rows: int, apart: str = "100 ms") -> Iterator[Table]:
    """A database with so many rows, at such intervals up to now."""
    url = urlsplit(server_url)._replace(path=f"/pages_{rows}").geturl()
    with psycopg.connect(server_url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE pages_{rows}".encode())
    with connect(url) as connection:
        migrate(connection)
    database = Database(PostgresSettings(statement_timeout_ms=600_000), url=url)
    database.open()
    with connect(url) as connection:
        fill(connection, database, rows, apart)
    try:
        with opened(url, rows) as table:
            yield table
    finally:
        database.close()


@contextmanager
def opened(url: str, rows: int) -> Iterator[Table]:
    """A database that is filled; reads are limited as they are in a daemon."""
    database = Database(PostgresSettings(), url=url)
    database.open()
    newest = b"SELECT extract(epoch FROM max(ts))::float8 FROM events WHERE id = %(id)s"
    try:
        filled_at = database.rows(newest, {"id": rows})[0][0]
        yield Table(rows, EventReader(database), database, filled_at)
    finally:
        database.close()


def fill(connection: psycopg.Connection, database: Database, rows: int, apart: str) -> None:
    """Rows by the server itself, then what autovacuum does in time."""
    statement = FILL.replace(" % ", " %% ").encode()  # as psycopg writes it
    began, pace = time.monotonic(), IdRate()
    for first in range(1, rows + 1, BLOCK):
        last = min(first + BLOCK - 1, rows)
        connection.execute(b"SELECT setval('events_id_seq', %d)" % last)
        keep_ahead(database, pace)
        given = {"first": first, "last": last, "rows": rows, "early": rows // 100, "apart": apart}
        connection.execute(statement, given)
        progress(f"{last:,} of {rows:,} rows, {last / (time.monotonic() - began):,.0f} a second")
    connection.execute("VACUUM (ANALYZE) events")


def compared(name: str, page: Page, small: Table, large: Table) -> Row:
    """How much longer the page takes in the large table."""
    small_ms: list[float] = []
    large_ms: list[float] = []
    for _ in range(ROUNDS):
        small_ms += _timed(page, small), _timed(page, small)
        large_ms += _timed(page, large), _timed(page, large)
    few, many = _usual(small_ms), _usual(large_ms)
    detail = f"{many:.2f} ms : {few:.2f} ms, at most {max(large_ms):.1f} ms"
    return Row(f"page: {name}", many / few, "x", GOAL, at_most=True, detail=detail)


def _usual(times_ms: list[float]) -> float:
    """The lowest tenth: what it takes when nobody else wants the processor."""
    return statistics.quantiles(times_ms, n=10)[0]


def _ended(large: Table) -> Row:
    """Two conditions that many rows meet, each by itself, and none together."""
    began = time.perf_counter()
    with suppress(TimedOut):
        large.reader.latest(50, EventFilter(types=("data.market.*",), source="dev-agent"))
    took_s = time.perf_counter() - began
    goal = large.database.settings.statement_timeout_ms / 1_000 + 0.5
    return Row("page: two frequent conditions, never both", took_s, "s", goal, at_most=True)


def _timed(page: Page, table: Table) -> float:
    """Milliseconds; one that the statement timeout ended took as long."""
    began = time.perf_counter()
    with suppress(TimedOut):
        page(table)
    return (time.perf_counter() - began) * 1_000
