"""From ``POST /risk/killswitch`` to the receipts, at 5,000 events a second.

A receipt is the agent's heartbeat as it arrives on the bus: ``halted`` with the trip's id, and
``quiet`` with no open order besides. Three agents that the daemon manages, three that it does not.
"""

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import redis

from .latency import RATE
from .report import Row, progress
from .system import ROOT, System, system

SECONDS = 45
AGENTS = 3
"""Of each kind."""
RECEIPT_LIMIT_S = 10.0
GOALS_MS = {"managed": 250.0, "external": 1000.0}
"""Of ``halted``, p99."""
PLACES = {"PYTHONPATH": str(ROOT)}
STAGES = ("halted", "quiet")


def run() -> list[Row]:
    """Stop, wait for the receipts, release, and again, for as long as the load lasts."""
    names = [f"{kind}-{number}" for kind in GOALS_MS for number in range(AGENTS)]
    managed = "".join(
        f'[agents.{name}]\nmode = "process"\nclass = "bench.acting:Acting"\n'
        for name in names
        if name.startswith("managed")
    )
    with system(managed, **PLACES) as daemon, _external(daemon, names), Beats(daemon) as beats:
        progress(f"{RATE:,} events/s for {SECONDS} s: a stop, to its receipts, again and again")
        beats.wait_open(names)
        load = subprocess.Popen(
            [
                *(sys.executable, "-m", "bench.publisher"),
                *(daemon.redis_url, str(RATE * SECONDS), str(RATE)),
            ],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )
        took_ms: dict[tuple[str, str], list[float]] = {}
        end = time.monotonic() + SECONDS - 2
        while time.monotonic() < end:
            for name, stages in _stop_once(daemon, beats, names).items():
                kind = name.partition("-")[0]
                for stage, ms in zip(STAGES, stages, strict=True):
                    took_ms.setdefault((kind, stage), []).append(ms)
        load.kill()
        load.wait()
    return [_row(kind, stage, values) for (kind, stage), values in sorted(took_ms.items())]


def _row(kind: str, stage: str, values: list[float]) -> Row:
    ordered = sorted(values)
    p50, p99 = (ordered[int(part * (len(ordered) - 1))] for part in (0.5, 0.99))
    goal = GOALS_MS[kind] if stage == "halted" else None
    detail = f"p50 {p50:.0f}, max {ordered[-1]:.0f}, n {len(ordered)}"
    return Row(f"POST→{stage}, {kind}, p99", p99, "ms", goal, at_most=True, detail=detail)


def _stop_once(daemon: System, beats: "Beats", names: list[str]) -> dict[str, tuple[float, float]]:
    """Milliseconds of each agent to both receipts."""
    began = time.monotonic()
    trip_id = _post(daemon, "/risk/killswitch", {"reason": "bench"})["trip_id"]
    found = {name: beats.receipts(name, trip_id) for name in names}
    _post(daemon, "/risk/killswitch/release", {"reason": "bench", "trip_id": trip_id})
    beats.wait_open(names)
    return {name: ((h - began) * 1000, (q - began) * 1000) for name, (h, q) in found.items()}


def _post(daemon: System, path: str, body: dict[str, str]) -> Any:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(daemon.url + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


@contextmanager
def _external(daemon: System, names: list[str]) -> Iterator[None]:
    kit = (sys.executable, "-m", "orchestrator.agents.runner", "bench.acting:Acting", "--id")
    processes = [
        subprocess.Popen(
            [*kit, name],
            env=os.environ | PLACES | {"REDIS_URL": daemon.redis_url},
            stderr=subprocess.DEVNULL,
        )
        for name in names
        if name.startswith("external")
    ]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


class Beats:
    """All heartbeats, with the monotonic moment of their arrival; a context."""

    def __init__(self, daemon: System) -> None:
        self._client: Any = redis.Redis.from_url(daemon.redis_url)  # its methods have no types
        self._seen: dict[str, list[tuple[float, dict[str, Any]]]] = {}
        self._news = threading.Condition()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(5)
        self._client.close()

    def receipts(self, name: str, trip_id: str) -> tuple[float, float]:
        """When it was halted by that trip, and when it was quiet."""

        def find() -> tuple[float, float] | None:
            mine = [
                (at, beat)
                for at, beat in self._seen.get(name, ())
                if beat.get("gate") == "shut" and beat.get("trip_id") == trip_id
            ]
            quiet = [at for at, beat in mine if beat.get("open_orders") == 0]
            return (mine[0][0], quiet[0]) if quiet else None

        found: tuple[float, float] = self._wait(find, f"{name} is quiet")
        return found

    def wait_open(self, names: list[str]) -> None:
        """Until all may act."""

        def is_open(name: str) -> bool:
            beats = self._seen.get(name, [])
            return bool(beats) and beats[-1][1].get("gate") == "open"

        self._wait(lambda: all(map(is_open, names)), "all may act", 60.0)

    def _wait(self, find: Any, what: str, limit_s: float = RECEIPT_LIMIT_S) -> Any:
        with self._news:
            found = self._news.wait_for(find, limit_s)
        assert found, f"not within {limit_s:g} s: {what}"
        return found

    def _run(self) -> None:
        with self._client.pubsub(ignore_subscribe_messages=True) as bus:
            bus.psubscribe("heartbeat.*")
            while not self._over.is_set():
                message = bus.get_message(timeout=0.2)
                if message is not None:
                    at, beat = time.monotonic(), json.loads(message["data"])
                    name = message["channel"].decode().partition(".")[2]
                    with self._news:
                        self._seen.setdefault(name, []).append((at, beat))
                        self._news.notify_all()
