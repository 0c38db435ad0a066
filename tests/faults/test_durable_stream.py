"""What is XADDed is stored exactly once, whatever is killed, in whatever order.

The short form makes a few runs; `CHAOS_RUNS=50` (or more) the long one. The seed is printed; give
it back as `CHAOS_SEED` to see the same choices again.
"""

import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

pytestmark = [pytest.mark.subprocess, pytest.mark.slow, pytest.mark.timeout(3600)]

RUNS = int(os.environ.get("CHAOS_RUNS", "3"))
SEED = int(os.environ.get("CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)
STREAM = "orchestrator:events"
LIMIT_S = 90.0


def wait_until(condition: Callable[[], object], limit_s: float = LIMIT_S) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "not within the limit"
        time.sleep(0.05)


class Producer:
    """Adds numbered entries, and publishes some of them too, until told to stop.

    What it does not know to have been added it never adds again: so `acknowledged` must all be
    stored, and nothing twice.
    """

    def __init__(self, daemon: Any, rng: random.Random) -> None:
        self.daemon = daemon
        self.acknowledged: list[int] = []
        self.tried = 0
        self._rng = rng
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(30)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        client = redis.Redis.from_url(
            self.daemon.told["redis"], socket_timeout=2, retry=Retry(NoBackoff(), 0)
        )
        with client:
            while not self._stopping.is_set():
                try:
                    self._add(client)
                except redis.RedisError:
                    client.connection_pool.disconnect()
                    self._stopping.wait(0.05)

    def _add(self, client: redis.Redis) -> None:
        number, self.tried = self.tried, self.tried + 1
        both = self._rng.random() < 0.3
        fields = {"n": number, "source": "chaos"} | ({"durable": True} if both else {})
        payload = json.dumps(fields)
        client.xadd(STREAM, {"channel": "strategy.chaos", "payload": payload})
        self.acknowledged.append(number)
        if both:
            client.publish("strategy.chaos", payload)


def kill(daemon: Any, victim: str) -> None:
    """`kill -9`, of a server with all its processes; what is dead already stays so."""
    if victim == "daemon":
        if daemon.process.poll() is None:
            daemon.kill()
        return
    name = {"postgres": "postgres", "redis": "valkey-server"}[victim]
    for process in daemon.server_processes():
        if process.name() == name:
            try:
                process.kill()
            except Exception:  # noqa: BLE001, S110 it was quicker
                pass


def stored(daemon: Any) -> list[int]:
    try:
        rows = daemon.rows(
            "SELECT (payload->>'n')::int FROM events WHERE source = 'chaos' ORDER BY id"
        )
    except Exception:  # noqa: BLE001 it is away
        return []
    return [row[0] for row in rows]


def one_run(daemon: Any, producer: Producer, rng: random.Random) -> list[str]:
    """Kill one to three of them while entries are added; returns the order."""
    victims = rng.sample(["daemon", "postgres", "redis"], k=rng.randint(1, 3))
    producer.start()
    for victim in victims:
        time.sleep(rng.uniform(0.0, 0.6))
        kill(daemon, victim)
        if victim == "daemon" and rng.random() < 0.5:
            daemon.launch()
    if daemon.process.poll() is not None:
        daemon.start()
    time.sleep(rng.uniform(0.1, 0.5))
    producer.stop()
    return victims


def test_durable_entries_are_stored_exactly_once_whatever_is_killed(
    daemon: Any,
) -> None:
    print(f"CHAOS_SEED={SEED}, {RUNS} runs")  # noqa: T201 to see the same again
    rng = random.Random(SEED)
    producer = Producer(daemon, random.Random(SEED + 1))
    faults: Counter[str] = Counter()
    for _ in range(RUNS):
        faults.update(one_run(daemon, producer, rng))
        wanted = set(producer.acknowledged)
        try:
            wait_until(lambda wanted=wanted: wanted <= set(stored(daemon)))
        except AssertionError:
            missing = sorted(wanted - set(stored(daemon)))
            pytest.fail(f"{len(missing)} missing, from {missing[:5]}; {daemon.log[-6000:]}")

    rows = stored(daemon)
    twice = [number for number, times in Counter(rows).items() if times > 1]
    lost = wanted - set(rows)
    print(  # noqa: T201 the table of `make chaos`
        f"durable stream: runs {RUNS}, faults {dict(faults)}, acknowledged {len(wanted)},"
        f" stored {len(rows)}, lost {len(lost)}, twice {len(twice)}"
    )
    assert not lost
    assert not twice
    assert rows == sorted(rows)
