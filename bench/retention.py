"""Letting go and looking back: COPY with and without partitions, prune, export, replay.

No daemon: a PostgreSQL and a Valkey of its own, the daemon's own code and the command line on them.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import psycopg
from orchestrator.runtime.embedded import EmbeddedPostgres, EmbeddedValkey
from orchestrator.sql.connection import connect
from orchestrator.sql.database import Database, PostgresSettings
from orchestrator.sql.schema.migrator import migrate
from orchestrator.sql.schema.retention import RetentionRule, prune

from .publisher import CHANNELS, payload
from .report import Row, progress

COPY_ROWS = 200_000
COPY_BLOCK = 5_000
ROUNDS = 5
HISTORY = 500_000
DAY_S = 86_400
RULES = (RetentionRule("risk.*", 365 * DAY_S), RetentionRule("*", DAY_S))
COPY = "COPY {} (id, type, source, ts, payload) FROM STDIN"


class Place(NamedTuple):
    """Servers, and a folder for files."""

    pg_url: str
    redis_url: str
    folder: Path


def run() -> list[Row]:
    """All on one PostgreSQL."""
    with _place() as place, connect(place.pg_url) as connection:
        migrate(connection)
        rows = [_copy_against_one_table(connection)]
        rows += _prune_partition(place, connection)
        rows.append(_prune_batches(place, connection))
        _fill(connection, "events", HISTORY, "5 minutes")
        rows.append(_export(place, "jsonl"))
        with suppress(ModuleNotFoundError):
            import pyarrow  # noqa: F401, ICN001 - an extra

            rows.append(_export(place, "parquet"))
        rows.append(_replay(place))
    return rows


@contextmanager
def _place() -> Iterator[Place]:
    folder = Path(tempfile.mkdtemp(prefix="orchestrator-bench-"))
    folder.chmod(0o711)
    postgres, valkey = EmbeddedPostgres(folder / "postgres"), EmbeddedValkey(folder / "valkey")
    try:
        yield Place(postgres.start(), valkey.start(), folder)
    finally:
        valkey.stop()
        postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)


# -- COPY ---------------------------------------------------------------------------------------


def _copy_against_one_table(connection: psycopg.Connection) -> Row:
    connection.execute("CREATE TABLE plain (LIKE events INCLUDING ALL)")
    ratios, details = [], []
    for number in range(ROUNDS):
        progress(f"COPY into partitions against one table, round {number + 1} of {ROUNDS}")
        rates = {}
        for table in ("plain", "events") if number % 2 else ("events", "plain"):
            rates[table] = _copied(connection, table)
        ratios.append(rates["events"] / rates["plain"])
        details.append(f"{rates['events']:,.0f}/s : {rates['plain']:,.0f}/s")
    connection.execute("DROP TABLE plain")
    middle = sorted(range(ROUNDS), key=lambda index: ratios[index])[ROUNDS // 2]
    return Row("COPY: partitions / one table", ratios[middle], "x", 0.9, detail=details[middle])


def _copied(connection: psycopg.Connection, table: str) -> float:
    """Rows per second, across a boundary of partitions."""
    connection.execute(f"TRUNCATE {table}".encode())
    connection.execute("CHECKPOINT")
    first = 1_000_000 - COPY_ROWS // 2
    blocks = [
        b"".join(_row(number) for number in range(start, start + COPY_BLOCK))
        for start in range(first, first + COPY_ROWS, COPY_BLOCK)
    ]
    begin = time.monotonic()
    for block in blocks:
        _copy(connection, table, block)
    return COPY_ROWS / (time.monotonic() - begin)


def _copy(connection: psycopg.Connection, table: str, block: bytes) -> None:
    with connection.cursor() as cursor, cursor.copy(COPY.format(table).encode()) as copy:
        copy.write(block)


def _row(number: int) -> bytes:
    channel = CHANNELS[number % len(CHANNELS)].encode()
    return b"%d\t%s\tbench\t2026-01-31T09:30:00.123Z\t%s\n" % (number, channel, payload(number))


# -- prune --------------------------------------------------------------------------------------


def _fill(connection: psycopg.Connection, table: str, rows: int, took: str) -> None:
    """History of ten days ago, dense; and one row of now in the next partition."""
    connection.execute(f"TRUNCATE {table}".encode())
    connection.execute(
        f"INSERT INTO {table} (id, type, source, ts, payload)"
        " SELECT n, CASE WHEN n %% 100 = 0 THEN 'risk.alert' ELSE 'data.market.S' || n %% 50 END,"
        " 'bench', now() - interval '10 days' + n * %(took)s::interval / %(rows)s::int,"
        ' \'{"price": 1.5, "volume": 100, "symbol": "AAPL", "agent_id": "quotes-agent-1"}\''
        " FROM generate_series(1, %(rows)s) AS n".encode(),
        {"rows": rows, "took": took},
    )
    connection.execute(f"INSERT INTO {table} (id, type) VALUES (1000001, 'now')".encode())
    connection.execute(f"ANALYZE {table}".encode())


def _prune_partition(place: Place, connection: psycopg.Connection) -> list[Row]:
    progress("prune: a partition, while rows are stored")
    _fill(connection, "events", HISTORY, "5 minutes")
    gone, took_s, longest_ms = _pruned(place)
    detail = f"{gone:,} rows in {took_s:.2f} s, 1 % of them survive, rows stored meanwhile"
    return [
        Row("prune: by partitions", gone / took_s, "rows/s", 50_000, detail=detail),
        Row("prune: longest COPY meanwhile", longest_ms, "ms", 500, at_most=True),
    ]


def _prune_batches(place: Place, connection: psycopg.Connection) -> Row:
    progress("prune: one table, in batches, while rows are stored")
    rows = HISTORY // 5
    connection.execute(
        "CREATE TABLE plain (LIKE events INCLUDING ALL); ALTER TABLE events RENAME TO parts;"
        " ALTER TABLE plain RENAME TO events"
    )
    _fill(connection, "events", rows, "5 minutes")
    gone, took_s, longest_ms = _pruned(place)
    connection.execute("DROP TABLE events; ALTER TABLE parts RENAME TO events")
    detail = f"{gone:,} rows in {took_s:.2f} s, longest COPY meanwhile {longest_ms:.0f} ms"
    return Row("prune: one table, in batches", gone / took_s, "rows/s", 5_000, detail=detail)


def _pruned(place: Place) -> tuple[int, float, float]:
    """Rows that went, seconds it took, the longest COPY of 100 rows beside it (ms)."""
    database = Database(PostgresSettings(), url=place.pg_url)
    database.open()
    storing = _Storing(place.pg_url)
    begin = time.monotonic()
    gone = sum(step.deleted for step in prune(database, RULES, datetime.now(UTC)))
    took_s = time.monotonic() - begin
    longest_ms = storing.end()
    database.close()
    return gone, took_s, longest_ms


class _Storing:
    """Stores 5,000 rows a second in a thread, and remembers what took longest."""

    def __init__(self, pg_url: str) -> None:
        self._url = pg_url
        self._ended = threading.Event()
        self._longest_s = 0.0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def end(self) -> float:
        """Stop; the longest COPY in milliseconds."""
        self._ended.set()
        self._thread.join(30)
        return self._longest_s * 1000

    def _run(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            number = 1_100_000
            while not self._ended.wait(0.02):
                block = b"".join(_row(each) for each in range(number, number + 100))
                begin = time.monotonic()
                _copy(connection, "events", block)
                self._longest_s = max(self._longest_s, time.monotonic() - begin)
                number += 100


# -- the command line ---------------------------------------------------------------------------


def _export(place: Place, kind: str) -> Row:
    progress(f"export as {kind}")
    out = place.folder / f"all.{kind}"
    took_s, memory_mb = _orc(place, "event", "export", "--format", kind, "--out", str(out))
    size_mb = out.stat().st_size / 1e6
    detail = f"{HISTORY:,} events, {size_mb:.0f} MB in {took_s:.1f} s, memory {memory_mb:.0f} MB"
    return Row(f"export: {kind}", HISTORY / took_s, "events/s", 10_000, detail=detail)


def _replay(place: Place) -> Row:
    progress("replay at full speed")
    words = ("--speed", "max", "--to", "replay.bench", "--yes")
    took_s, memory_mb = _orc(place, "event", "replay", *words)
    detail = f"{HISTORY:,} events in {took_s:.1f} s, memory {memory_mb:.0f} MB"
    return Row("replay: max", HISTORY / took_s, "events/s", 10_000, detail=detail)


def _orc(place: Place, *words: str) -> tuple[float, float]:
    """Seconds, and the memory at its highest (MB), of a command."""
    environment = {"PG_URL": place.pg_url, "REDIS_URL": place.redis_url}
    environment["ORCHESTRATOR_DATA_DIR"] = str(place.folder / "data")
    begin = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrator", *words],
        env=os.environ | environment,
        cwd=place.folder,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{words} ended with {process.returncode}"
    return time.monotonic() - begin, usage.ru_maxrss / 1024
