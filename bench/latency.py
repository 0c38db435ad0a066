"""Latencies at 5,000 events a second: read to journal, REST, WebSocket; and with 200 clients."""

import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from urllib.parse import urlsplit

import psutil
from websockets.sync.client import connect

from .report import Row, progress
from .system import ROOT, System, system

RATE = 5_000
CLIENTS = 200
CROWD_TYPE = "data.market.AAPL.1m"
SECONDS = 20
REST_PAUSE_S = 0.02
REST_PATHS = ("/bus/events?limit=50", "/health/agents", "/bus/events?limit=50&type=data.market.*")


def run() -> list[Row]:
    """One daemon under a steady load, asked meanwhile; another one with many clients."""
    return [*_alone(), _in_a_crowd()]


def _in_a_crowd() -> Row:
    """REST while 200 clients follow one symbol each of five: 200,000 frames a second."""
    with system() as daemon, _crowd(daemon) as crowd:
        progress(f"{RATE:,} events/s for {SECONDS} s and {CLIENTS} WebSocket clients: REST")
        process = psutil.Process(daemon.pid)
        publisher = _publisher(daemon)
        rest: list[float] = []
        time.sleep(1)
        before = process.cpu_times()
        began = time.monotonic()
        _ask(daemon, began + SECONDS - 2, rest)
        took_s = time.monotonic() - began
        used = sum(process.cpu_times()[:2]) - sum(before[:2])
        publisher.wait(60)
        assert crowd.stdin is not None
        assert crowd.stdout is not None
        crowd.stdin.close()
        left, read = map(int, crowd.stdout.readline().split())
    detail = (
        f"{_spread(rest)}, {read / 1e6 / took_s:.0f} MB/s to {left} clients, "
        f"{used / took_s:.0%} of a processor"
    )
    name = f"REST p99, {CLIENTS} clients"
    return Row(name, _percentile(rest, 99), "ms", 50, at_most=True, detail=detail)


@contextmanager
def _crowd(daemon: System) -> Iterator[subprocess.Popen[str]]:
    parts = urlsplit(daemon.url)
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "bench.listeners"),
            *(str(parts.hostname), str(parts.port), str(CLIENTS), CROWD_TYPE),
        ],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert int(process.stdout.readline()) == CLIENTS
        yield process
    finally:
        process.kill()
        process.wait()


def _publisher(daemon: System) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "bench.publisher"),
            *(daemon.redis_url, str(RATE * SECONDS), str(RATE)),
        ],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )


def _alone() -> list[Row]:
    with system() as daemon:
        progress(f"{RATE:,} events/s for {SECONDS} s: read to journal, REST, WebSocket")
        publisher = _publisher(daemon)
        rest: list[float] = []
        frames: list[float] = []
        end = time.monotonic() + SECONDS - 2
        workers = [
            threading.Thread(target=_ask, args=(daemon, end, rest)),
            threading.Thread(target=_listen, args=(daemon, end, frames)),
        ]
        time.sleep(1)
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(SECONDS * 2)
        journal_ms = _journal_p99_ms(daemon)
        publisher.wait(60)
    return [
        Row("read→journal p99", journal_ms, "ms", 20, at_most=True),
        Row("REST p99", _percentile(rest, 99), "ms", 100, at_most=True, detail=_spread(rest)),
        Row("read→WebSocket client p99", _percentile(frames, 99), "ms", detail=_spread(frames)),
    ]


def _ask(daemon: System, end: float, times: list[float]) -> None:
    number = 0
    while time.monotonic() < end:
        begin = time.perf_counter()
        with urllib.request.urlopen(
            daemon.url + REST_PATHS[number % len(REST_PATHS)], timeout=30
        ) as response:
            response.read()
        times.append((time.perf_counter() - begin) * 1000)
        number += 1
        time.sleep(REST_PAUSE_S)


def _listen(daemon: System, end: float, times: list[float]) -> None:
    """From the moment the daemon read an event (its ``ts``, in whole ms) to its frame here."""
    with connect(daemon.url.replace("http", "ws", 1) + "/", compression=None) as client:
        while time.monotonic() < end:
            text = client.recv(timeout=10)
            frame = json.loads(text)
            if frame["type"] == "redis_event":
                times.append((time.time() - _seconds(frame["timestamp"])) * 1000)


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _percentile(values: list[float], percent: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * percent / 100))]


def _spread(values: list[float]) -> str:
    return f"p50 {_percentile(values, 50):.1f}, max {max(values):.1f}, n {len(values):,}"


def _journal_p99_ms(daemon: System) -> float:
    """Of the batches that the daemon remembers, each by its oldest event."""
    return daemon.metrics()['orchestrator_ingest_lag_seconds{quantile="p99"}'] * 1000
