"""The event stream's faults: clients that are cut off and come back, clients that do not read."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from typing import Any

from .crowd import CATCH_UP_S, Options
from .rig import (
    TESTS,
    Meter,
    Outcome,
    Rig,
    compare_onlookers,
    percentile,
    rig,
    wait_until,
)

QUEUE_MB = 2.0
"""What a client that does not read may cost."""

PROCESS_MB = 40.0
"""What the daemon's own work may add meanwhile."""

LATE_MS = 100.0
BUSY = 2.0
"""On a machine that makes clients late by itself: so many times as late with them as without."""


class Crowd:
    """A crowd's process."""

    def __init__(self, of: Rig, options: Options) -> None:
        self._file = of.folder / f"crowd-{id(self)}.json"
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "faults.crowd"),
                *(of.url, str(self._file), json.dumps(asdict(options))),
            ],
            cwd=TESTS,
            env=os.environ | {"PYTHONPATH": f"{TESTS}:{os.environ.get('PYTHONPATH', '')}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def wait_open(self) -> None:
        """All have connected."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"open\n"

    def seen(self, until: int) -> dict[str, Any]:
        """What all have seen, once they have seen ``until``."""
        self._process.communicate(f"{until}\n".encode(), timeout=CATCH_UP_S + 60)
        found: dict[str, Any] = json.loads(self._file.read_text())
        return found

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


def cut_off(  # noqa: PLR0913 sizes
    *,
    seed: int,
    clients: int,
    cuts: int,
    away_s: float,
    rate: int,
    load_s: float,
    outage_s: float,
) -> Outcome:
    """Subscribers are cut off at random and come back, PostgreSQL dies meanwhile."""
    outcome = Outcome(f"{clients} subscribers, {cuts} cuts", faults=cuts + 1)
    options = Options(clients, 0, seed, cuts, load_s, away_s, sse=clients // 10)
    with _ready(clients) as (of, since):
        options.since = since
        crowd = Crowd(of, options)
        try:
            crowd.wait_open()
            of.publish(int(rate * load_s), rate)
            time.sleep(load_s / 3)
            of.kill_postgres()
            time.sleep(outage_s)
            of.postgres.start()
            of.wait_published()
            wait_until(of.drained, 120)
            _compare(outcome, of, crowd, since)
        finally:
            crowd.close()
    return outcome


def not_reading(  # noqa: PLR0913 sizes
    *, seed: int, clients: int, quiet: int, rate: int, load_s: float, limits: str = ""
) -> Outcome:
    """Some read nothing for 10 s: the others do not notice, and memory is bounded."""
    outcome = Outcome(f"{quiet} of {clients} do not read", faults=quiet)
    with _ready(clients, limits) as (of, since), ExitStack() as stack:
        of.look_on("follow")
        others = Crowd(of, Options(clients - quiet, since, seed))
        stack.callback(others.close)
        others.wait_open()
        of.publish(int(rate * load_s / 2), rate)  # without them, for comparison
        of.wait_published()
        wait_until(of.drained, 120)
        mark = of.newest_id()
        crowd = Crowd(of, Options(quiet, mark, seed, quiet=quiet, quiet_s=10.0))
        stack.callback(crowd.close)
        crowd.wait_open()
        before_mb = of.memory_mb()
        memory = Meter(of.memory_mb)
        of.publish(int(rate * load_s), rate)
        of.wait_published()
        each_mb = (max(memory.stop()) - before_mb) / quiet
        wait_until(of.drained, 120)
        _compare(outcome, of, others, since)
        seen = _compare(outcome, of, crowd, mark)["seen"]
        follower = compare_onlookers(outcome, of)["follow"]
        outcome.figures["closed 1013"] = _closed(of, 1013)
    told = sum(bool(one["gaps"] or one["reopened"]) for one in seen)
    outcome.expect("neither told nor closed", quiet - told, 0)
    outcome.expect("MB for each", each_mb, max(QUEUE_MB, PROCESS_MB / quiet))
    _compare_late(outcome, follower, mark)
    return outcome


def _compare_late(outcome: Outcome, follower: dict[str, Any], since: int) -> None:
    """Of one who reads, with them and without; a busy machine makes both late."""
    pairs = list(zip(follower["ids"], follower["times_ms"], strict=True))
    before = percentile([late for event_id, late in pairs if event_id <= since], 0.99)
    outcome.figures["late p99 ms without them"] = round(before, 1)
    late = percentile([late for event_id, late in pairs if event_id > since], 0.99)
    outcome.expect("late p99 ms with them", late, max(LATE_MS, before * BUSY))


@contextmanager
def _ready(clients: int, limits: str = "") -> Iterator[tuple[Rig, int]]:
    """A rig whose daemon takes so many clients, and the newest id."""
    with rig() as of:
        more = f"[websocket]\nmax_clients = {clients + 10}\n{limits}"
        of.daemon.settings.write_text(of.settings(of.pg_url, more))
        of.daemon.start()
        wait_until(of.drained)
        yield of, of.newest_id()


def _compare(outcome: Outcome, of: Rig, crowd: Crowd, since: int) -> dict[str, Any]:
    """Everybody has seen every event that is stored once, or was told which not."""
    ids = [row[0] for row in of.rows(f"SELECT id FROM events WHERE id > {since} ORDER BY id")]
    last = ids[-1]
    found = crowd.seen(last)
    ids += [row[0] for row in of.rows(f"SELECT id FROM events WHERE id > {last} ORDER BY id")]
    outcome.received = outcome.stored = len(ids)
    for one in found["seen"]:
        wanted = bisect_right(ids, one["last"])
        told = sum(bisect_right(ids, to) - bisect_left(ids, first) for first, to in one["gaps"])
        outcome.lost += max(0, wanted - one["count"] - told)
        outcome.twice += one["twice"] + max(0, one["count"] + told - wanted)
        outcome.missed += [f"a client was told {text}" for text in one["errors"][:3]]
    outcome.figures["reopened"] = sum(one["reopened"] for one in found["seen"])
    outcome.figures["gaps"] = sum(len(one["gaps"]) for one in found["seen"])
    outcome.expect("not at the end", sum(one["last"] < last for one in found["seen"]), 0)
    return found


def _closed(of: Rig, code: int) -> float:
    with urllib.request.urlopen(f"{of.url}/metrics", timeout=10) as response:
        page = response.read().decode()
    found = re.search(rf'ws_closed(?:_total)?\{{code="{code}"\}} ([0-9.]+)', page)
    return float(found[1]) if found else 0.0
