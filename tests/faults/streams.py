"""Redis' part of the faults: the durable stream under `kill -9`, and an outage of the server."""

import json
import random
import signal
import threading
import time
from collections import Counter
from itertools import pairwise
from typing import Any

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from .proxy import Proxy
from .rig import Outcome, Rig, compare_books, rig, wait_until

STREAM = "orchestrator:events"
CHANNEL = "strategy.chaos"
RETURN_LIMIT_S = 5.0


class Producer:
    """Adds numbered entries, and publishes some of them too, until told to stop.

    What it does not know to have been added it never adds again: so `acknowledged` must all be
    stored, and nothing twice.
    """

    def __init__(self, url: str, chance: random.Random) -> None:
        self.acknowledged: list[int] = []
        self.tried = 0
        self._url = url
        self._chance = chance
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
        with _client(self._url) as client:
            while not self._stopping.is_set():
                try:
                    self._add(client)
                except redis.RedisError:
                    client.connection_pool.disconnect()
                    self._stopping.wait(0.05)

    def _add(self, client: redis.Redis) -> None:
        number, self.tried = self.tried, self.tried + 1
        both = self._chance.random() < 0.3
        fields = {"n": number, "source": "chaos"} | ({"durable": True} if both else {})
        payload = json.dumps(fields)
        client.xadd(STREAM, {"channel": CHANNEL, "payload": payload})
        self.acknowledged.append(number)
        if both:
            client.publish(CHANNEL, payload)


def durable_stream(*, seed: int, runs: int) -> Outcome:
    """``kill -9`` of one to all three, in any order, one within the recovery from another."""
    outcome = Outcome("durable stream, all killed -9", runs=runs)
    chance = random.Random(seed)
    with rig() as of:
        of.daemon.start()
        producer = Producer(of.redis_url, random.Random(seed + 1))
        for _ in range(runs):
            outcome.faults += _one_run(of, producer, chance)
            wanted = set(producer.acknowledged)
            _wait_stored(of, wanted)
        rows = _stored(of)
        outcome.received, outcome.stored = len(wanted), len(rows)
        outcome.lost = len(wanted - set(rows))
        outcome.twice = sum(times - 1 for times in Counter(rows).values())
        outcome.expect("out of order", sum(a > b for a, b in pairwise(rows)), 0)
        compare_books(outcome, of)
    return outcome


def _wait_stored(of: Rig, wanted: set[int]) -> None:
    try:
        wait_until(lambda: wanted <= set(_stored(of)), 90, "all stored")
    except AssertionError as error:
        missing = sorted(wanted - set(_stored(of)))
        text = f"{len(missing)} not stored, from {missing[:5]}: {of.daemon.log[-5000:]}"
        raise AssertionError(text) from error


def _one_run(of: Rig, producer: Producer, chance: random.Random) -> int:
    victims = chance.sample(["daemon", "postgres", "redis"], k=chance.randint(1, 3))
    producer.start()
    for victim in victims:
        time.sleep(chance.uniform(0.0, 0.6))
        _kill(of, victim)
    for risen in chance.sample(victims, k=len(victims)):
        time.sleep(chance.uniform(0.0, 0.4))
        _raise(of, risen)
    wait_until(lambda: _is_ready(of), 90, "the daemon ready again")
    time.sleep(chance.uniform(0.1, 0.4))
    producer.stop()
    return len(victims)


def _kill(of: Rig, victim: str) -> None:
    if victim == "daemon":
        of.daemon.kill()
        return
    server = of.postgres if victim == "postgres" else of.valkey
    of.signal(server, signal.SIGKILL)
    wait_until(lambda: not server.alive(), 30)


def _raise(of: Rig, victim: str) -> None:
    if victim == "daemon":
        of.daemon.launch()
    else:
        (of.postgres if victim == "postgres" else of.valkey).start()


def _is_ready(of: Rig) -> bool:
    try:
        return bool(of.daemon.call("GET", "/ready")[0] == 200)
    except (OSError, ValueError):
        return False


def _stored(of: Rig) -> list[int]:
    query = b"SELECT (payload->>'n')::int FROM events WHERE source = 'chaos' ORDER BY id"
    try:
        with psycopg.connect(of.pg_url, autocommit=True) as connection:
            return [row[0] for row in connection.execute(query).fetchall()]
    except psycopg.Error:
        return []


def redis_away(*, seed: int, outage_s: float) -> Outcome:
    """Redis cannot be reached for a while, though producers still can: seldom tried, soon back.

    As soon as it is dialled again it is cut once more.
    """
    outcome = Outcome(f"Redis away for {outage_s:g} s, twice", faults=2)
    del seed  # nothing is left to chance
    with rig() as of, Proxy(int(of.redis_url.rsplit(":", 1)[1].split("/")[0])) as proxy:
        direct = of.redis_url
        account = direct.rpartition("@")[0]
        of.redis_url = f"{account}@127.0.0.1:{proxy.port}/0"
        of.daemon.settings.write_text(of.settings(of.pg_url))
        of.daemon.start()
        wait_until(lambda: of.daemon.metric("orchestrator_bus_visible") == 1)
        _agent_beats(direct)
        before = of.daemon.metric("orchestrator_bus_attempts_total")
        proxy.refuse()
        began = time.monotonic()
        with _client(direct) as client:
            while time.monotonic() - began < outage_s:
                payload = json.dumps({"n": outcome.received, "source": "chaos"})
                client.xadd(STREAM, {"channel": CHANNEL, "payload": payload})
                outcome.received += 1
                time.sleep(0.05)
        agents = of.daemon.get("/health/agents")["agents"]
        if [row["liveness"] for row in agents] != ["unknown"]:
            outcome.missed.append(f"while blind an agent was said to be: {agents}")
        attempts = of.daemon.metric("orchestrator_bus_attempts_total") - before
        outcome.expect("attempts per s", attempts / outage_s, 1.0)
        dialled = proxy.accepted
        proxy.accept()
        began = time.monotonic()
        wait_until(lambda: proxy.accepted > dialled, 30, "the daemon dials")
        proxy.cut()
        wait_until(lambda: _all_hear(of), 30, "all lanes subscribed")
        outcome.expect_soon("back after s", time.monotonic() - began, RETURN_LIMIT_S)
        wait_until(lambda: len(_stored(of)) >= outcome.received, 30)
        _compare_gaps(outcome, of, outage_s)
        compare_books(outcome, of)
        of.daemon.stop()
    return outcome


def _all_hear(of: Rig) -> bool:
    return of.daemon.metric("orchestrator_bus_connected") == 1


def _compare_gaps(outcome: Outcome, of: Rig, outage_s: float) -> None:
    numbers = _stored(of)
    outcome.stored = len(numbers)
    outcome.lost = outcome.received - len(set(numbers))
    outcome.twice = len(numbers) - len(set(numbers))
    cuts = of.daemon.metric("orchestrator_bus_cuts_total")
    wait_until(lambda: len(_gaps(of)) >= cuts, 5, "a gap for each cut")
    gaps = _gaps(of)
    outcome.figures["gaps"] = len(gaps)
    outcome.expect("gaps that no cut explains", len(gaps) - cuts, 0)
    if len({tuple(gap["patterns"]) for gap in gaps}) != 2:
        outcome.missed.append(f"not each subscription has its gap: {gaps}")
    if any(gap["from"] >= gap["to"] for gap in gaps):
        outcome.missed.append(f"a gap without duration: {gaps}")
    outcome.figures["outage s"] = outage_s


def _gaps(of: Rig) -> list[dict[str, Any]]:
    events = of.daemon.get("/bus/events?type=bus.gap")["events"]
    return [event["payload"] for event in events if event["payload"]["cause"] == "subscription"]


def _agent_beats(url: str) -> None:
    with _client(url) as client:
        client.publish("heartbeat.a1", json.dumps({"agent_id": "a1"}))


def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=2, retry=Retry(NoBackoff(), 0))
