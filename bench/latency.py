"""Latencies at 5,000 events a second: read to journal, REST, WebSocket."""

import json
import subprocess
import sys
import threading
import time
import urllib.request
from datetime import datetime

from websockets.sync.client import connect

from .report import Row, progress
from .system import ROOT, System, system

RATE = 5_000
SECONDS = 20
REST_PAUSE_S = 0.02
REST_PATHS = ("/bus/events?limit=50", "/health/agents", "/bus/events?limit=50&type=data.market.*")


def run() -> list[Row]:
    """One daemon under a steady load, asked meanwhile."""
    with system() as daemon:
        progress(f"{RATE:,} events/s for {SECONDS} s: read to journal, REST, WebSocket")
        publisher = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "bench.publisher",
                daemon.redis_url,
                str(RATE * SECONDS),
                str(RATE),
            ],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )
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
