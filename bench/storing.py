"""Storing after an outage, and the path that a commit of unknown fate takes.

The backlog's rate is that of the storer alone: PostgreSQL is stopped in its tracks while events
come in, then goes on.
"""

import signal
import statistics
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
from orchestrator.sql.connection import connect
from orchestrator.sql.database import Database, PostgresSettings
from orchestrator.sql.events.copy_text import copy_row
from orchestrator.sql.events.event_writer import EventWriter
from orchestrator.sql.schema.migrator import migrate
from pydantic import SecretStr

from .pipeline import _bare_copy, _count, _publish, _wait_committed
from .publisher import CHANNELS, payload
from .report import Row, progress
from .system import System, system

BACKLOG = 100_000
BLOCK = 5_000
ROUNDS = 7


def run() -> list[Row]:
    """On one daemon and one PostgreSQL."""
    with system() as daemon:
        progress("warming up")
        _publish(daemon, 20_000)
        _wait_committed(daemon, 20_000)
        return [_drained_after_outage(daemon), _unknown_commit(daemon)]


def _drained_after_outage(daemon: System) -> Row:
    progress(f"an outage of PostgreSQL with {BACKLOG:,} events")
    copied = _bare_copy(daemon)
    before = _count(daemon)
    servers = _postgres_of(daemon)
    for process in servers:
        process.send_signal(signal.SIGSTOP)
    try:
        _publish(daemon, BACKLOG)
    finally:
        began = time.monotonic()
        for process in servers:
            process.send_signal(signal.SIGCONT)
    drained = BACKLOG / (_wait_committed(daemon, before + BACKLOG) - began)
    detail = f"{drained:,.0f}/s : {copied:,.0f}/s"
    return Row("drain after an outage / bare COPY", drained / copied, "x", 0.3, detail=detail)


def _postgres_of(daemon: System) -> list[psutil.Process]:
    folder = str(psycopg.conninfo.conninfo_to_dict(daemon.pg_url)["host"])
    parent = Path(folder).parent
    return [
        process
        for process in psutil.process_iter(["name", "cwd"])
        if process.info["name"] == "postgres"
        and Path(process.info["cwd"] or "/").is_relative_to(parent)
    ]


def _unknown_commit(daemon: System) -> Row:
    """A block of rows through the staging table against the same by COPY, per block."""
    progress(f"blocks of {BLOCK:,} rows whose commit is unknown")
    database = Database(PostgresSettings(url=SecretStr(_database_beside(daemon.pg_url))))
    writer = EventWriter(database)
    plain, settled = [], []
    try:
        writer.claim(instance="bench", host="bench", pid=1, stale_after_s=60.0)
        for _ in range(ROUNDS):
            plain.append(_timed(writer, known=True))
            settled.append(_timed(writer, known=False))
    finally:
        writer.close()
        database.close()
    fast, slow = statistics.median(plain), statistics.median(settled)
    detail = f"{slow * 1000:.0f} ms : {fast * 1000:.0f} ms a block"
    return Row("unknown commit / COPY", slow / fast, "x", 6.0, at_most=True, detail=detail)


def _database_beside(url: str) -> str:
    """A database of its own on the same server, since one daemon writes to each."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE bench_storing")
    beside = urlsplit(url)._replace(path="/bench_storing").geturl()
    with closing(connect(beside)) as connection:
        migrate(connection)
    return beside


def _timed(writer: EventWriter, *, known: bool) -> float:
    ((first, _last), *_more) = writer.take_ids(BLOCK)
    ts = "2026-01-31T09:30:00.123Z"
    rows = b"".join(
        copy_row(first + number, CHANNELS[0], "bench", ts, payload(number))
        for number in range(BLOCK)
    )
    began = time.perf_counter()
    if known:
        writer.store(rows)
    else:
        writer.resolve(rows)
    return time.perf_counter() - began
