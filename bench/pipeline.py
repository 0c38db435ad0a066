"""The way of an event: PUBLISH to committed against bare COPY, and a burst that loses nothing."""

import subprocess
import sys
import time

import psycopg

from .publisher import CHANNELS, payload
from .report import Row, progress
from .system import ROOT, System, system

COPY_ROWS = 100_000
COPY_BLOCK = 5_000
BURST = 200_000
DRAIN_LIMIT_S = 120.0


def run() -> list[Row]:
    """All on one daemon and one PostgreSQL."""
    with system() as daemon:
        progress("warming up")
        _publish(daemon, 20_000)
        _wait_committed(daemon, 20_000)
        rows = [_stored_against_copy(daemon)]
        rows.append(_burst(daemon))
    return rows


def _stored_against_copy(daemon: System) -> Row:
    ratios, details = [], []
    for number in range(3):
        progress(f"PUBLISH to committed against bare COPY, round {number + 1} of 3")
        copied = _bare_copy(daemon)
        before = _count(daemon)
        begin, _ = _publish(daemon, COPY_ROWS)
        stored = COPY_ROWS / (_wait_committed(daemon, before + COPY_ROWS) - begin)
        ratios.append(stored / copied)
        details.append(f"{stored:,.0f}/s : {copied:,.0f}/s")
    middle = sorted(range(3), key=lambda index: ratios[index])[1]
    return Row("PUBLISH→committed / bare COPY", ratios[middle], "x", 0.5, detail=details[middle])


def _burst(daemon: System) -> Row:
    progress(f"a burst of {BURST:,} numbered messages")
    before = _last_id(daemon)
    started = _count(daemon)
    begin, sent = _publish(daemon, BURST)
    done = _wait_committed(daemon, started + BURST)
    lost, twice, disordered = _check_numbers(daemon, before)
    detail = (
        f"published in {sent - begin:.1f} s, committed after {done - begin:.1f} s, "
        f"{twice} twice, {disordered} out of order"
    )
    return Row(
        "burst: lost, twice or out of order",
        lost + twice + disordered,
        "events",
        0,
        at_most=True,
        detail=detail,
    )


def _bare_copy(daemon: System) -> float:
    """Rows per second of COPY alone into an equal table, in blocks as large as ours."""
    blocks = [
        b"".join(_row(number) for number in range(start, start + COPY_BLOCK))
        for start in range(0, COPY_ROWS, COPY_BLOCK)
    ]
    with psycopg.connect(daemon.pg_url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS bench_events")
        connection.execute("CREATE TABLE bench_events (LIKE events INCLUDING ALL)")
        begin = time.monotonic()
        for block in blocks:
            with (
                connection.cursor() as cursor,
                cursor.copy("COPY bench_events (id, type, source, ts, payload) FROM STDIN") as copy,
            ):
                copy.write(block)
        rate = COPY_ROWS / (time.monotonic() - begin)
        connection.execute("DROP TABLE bench_events")
    return rate


def _row(number: int) -> bytes:
    channel = CHANNELS[number % len(CHANNELS)].encode()
    return b"%d\t%s\tbench\t2026-01-31T09:30:00.123Z\t%s\n" % (number, channel, payload(number))


def _publish(daemon: System, count: int) -> tuple[float, float]:
    finished = subprocess.run(
        [sys.executable, "-m", "bench.publisher", daemon.redis_url, str(count), "0"],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=DRAIN_LIMIT_S,
    )
    begin, end = map(float, finished.stdout.split())
    return begin, end


def _wait_committed(daemon: System, count: int) -> float:
    limit = time.monotonic() + DRAIN_LIMIT_S
    while _count(daemon) < count:
        assert time.monotonic() < limit, f"{_count(daemon)} of {count} committed"
        time.sleep(0.02)
    return time.monotonic()


def _count(daemon: System) -> int:
    """Events of the benchmark that are committed."""
    with psycopg.connect(daemon.pg_url, autocommit=True) as connection:
        row = connection.execute("SELECT count(*) FROM events WHERE source = 'bench'").fetchone()
    assert row is not None
    return int(row[0])


def _last_id(daemon: System) -> int:
    with psycopg.connect(daemon.pg_url, autocommit=True) as connection:
        row = connection.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()
    assert row is not None
    return int(row[0])


def _check_numbers(daemon: System, after_id: int) -> tuple[int, int, int]:
    """How many numbers of the burst are missing, there twice, and out of order."""
    with psycopg.connect(daemon.pg_url, autocommit=True) as connection:
        row = connection.execute(
            """
            SELECT count(DISTINCT n), count(*), count(*) FILTER (WHERE n < before)
              FROM (SELECT n, lag(n) OVER (ORDER BY id) AS before
                      FROM (SELECT id, (payload->>'n')::bigint AS n FROM events
                             WHERE id > %s AND source = 'bench') numbered) ordered
            """,
            [after_id],
        ).fetchone()
    assert row is not None
    distinct, total, disordered = row
    return BURST - distinct, total - distinct, disordered
