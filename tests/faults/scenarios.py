"""What is done to a whole system; each takes a seed and sizes, and returns a line of the table.

With ``again``, a second fault comes while the first one is being recovered from.
"""

import http.client
import json
import os
import random
import signal
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import redis
from orchestrator.actors.journal.id_ranges import read_ids
from orchestrator.actors.journal.journal import Journal
from orchestrator.actors.journal.record_format import Record, RecordKind
from orchestrator.actors.journal.rows import join_rows, row_prefix
from orchestrator.actors.sources import Run

from .commit_proxy import CommitProxy
from .rig import (
    Meter,
    Outcome,
    Rig,
    compare,
    compare_onlookers,
    expect_answers,
    percentile,
    rig,
    wait_until,
)

CHANNEL = "data.market.AAPL.1m"


def _prepared(of: Rig) -> None:
    of.daemon.start()
    wait_until(of.drained)


def _waiting(of: Rig) -> int:
    return sum(row["journal"] for row in of.books().values())


def postgres_away(  # noqa: PLR0913 sizes of one scenario
    *,
    seed: int,
    outage_s: float,
    rate: int,
    frozen: bool = False,
    again: bool = False,
    after_s: float = 10.0,
) -> Outcome:
    """PostgreSQL is killed (or stopped in its tracks) under load, and comes back."""
    how = "frozen" if frozen else "killed"
    outcome = Outcome(f"PostgreSQL {how} {outage_s:g} s{', twice' if again else ''}")
    chance = random.Random(seed)
    with rig() as of:
        _prepared(of)
        of.look_on("poll", "follow", "probe")
        # Load goes on for as long as draining may take, so that old and new compete.
        of.publish(int(rate * (2 * outage_s + after_s)), rate)
        time.sleep(2 + chance.random())
        before_mb = of.memory_mb()
        memory = Meter(of.memory_mb)
        _outage(of, outage_s, frozen=frozen)
        outcome.faults += 1
        back_at = time.monotonic()
        if again:
            wait_until(lambda: _waiting(of) < rate * outage_s * 0.8, 60, "draining begins")
            _outage(of, min(outage_s, 3.0), frozen=frozen)
            outcome.faults += 1
            back_at = time.monotonic()
        wait_until(lambda: _waiting(of) < rate, 120, "the backlog is drained")
        drained_s = time.monotonic() - back_at
        of.wait_published()
        of.wait_taken(of.published)
        wait_until(of.drained, 120)
        outcome.expect_soon("drained s", drained_s, 60)
        outcome.expect("memory + MB", max(memory.stop()) - before_mb, 200)
        compare(outcome, of, published=of.published)
        seen = compare_onlookers(outcome, of)
        expect_answers(outcome, seen["probe"], 100)
        outcome.expect_soon("shown late p99 ms", percentile(seen["follow"]["times_ms"], 0.99), 1000)
        outcome.expect_soon("longest silence s", seen["follow"]["longest_silence_s"], 1.0)
    return outcome


def _outage(of: Rig, outage_s: float, *, frozen: bool) -> None:
    if frozen:
        of.signal(of.postgres, signal.SIGSTOP)
    else:
        of.kill_postgres()
    time.sleep(outage_s)
    if frozen:
        of.signal(of.postgres, signal.SIGCONT)
    else:
        of.postgres.start()


def unknown_commits(
    *, seed: int, batches: int, share: float = 0.2, rate: int = 3000, kills: int = 1
) -> Outcome:
    """The replies to a share of all commits are swallowed; half of those never arrived either.

    ``kills`` times PostgreSQL dies while the daemon is finding out.
    """
    outcome = Outcome(f"commits of unknown fate, {share:.0%}")
    with tempfile.TemporaryDirectory(prefix="commits-") as name, rig() as of:
        proxy = CommitProxy(of.pg_url, Path(name), random.Random(seed), share)
        of.daemon.settings.write_text(of.settings(proxy.url))
        _prepared(of)
        of.look_on("poll", "follow")
        proxy.armed = True
        while proxy.commits < batches:
            of.publish(rate * 2, rate)
            if outcome.faults < kills:
                _kill_in_doubt(of, proxy)
                outcome.faults += 1
            of.wait_published()
        proxy.armed = False
        of.wait_taken(of.published)
        wait_until(of.drained, 120)
        outcome.runs = proxy.commits
        outcome.faults += proxy.swallowed
        compare(outcome, of, published=of.published)
        compare_onlookers(outcome, of)
        of.daemon.stop()
        proxy.close()
    return outcome


def _kill_in_doubt(of: Rig, proxy: CommitProxy) -> None:
    before = proxy.swallowed
    wait_until(lambda: proxy.swallowed > before, 60, "a reply is swallowed")
    of.kill_postgres()
    of.postgres.start()


class Poster:
    """Posts numbered events one after the other; what was acknowledged must be stored."""

    def __init__(self, url: str) -> None:
        self.acknowledged: list[int] = []
        self.next = 1_000_000_000
        self._url = url + "/bus/events"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(0.005):
            number, self.next = self.next, self.next + 1
            body = {"type": CHANNEL, "payload": {"n": number}}
            request = urllib.request.Request(
                self._url, json.dumps(body).encode(), {"Content-Type": "application/json"}
            )
            try:
                with urllib.request.urlopen(request, timeout=10) as response:
                    if response.status in (201, 202):
                        self.acknowledged.append(number)
            except (OSError, http.client.HTTPException):
                time.sleep(0.02)

    def stop(self) -> None:
        """Post no more."""
        self._over.set()
        self._thread.join(15)


def daemon_killed(*, seed: int, points: int, rate: int = 2000) -> Outcome:
    """``kill -9`` of the daemon at random points: under load, at its start, while it drains.

    Whatever was acknowledged or shown must be stored, once.
    """
    outcome = Outcome("daemon killed -9", runs=points)
    chance = random.Random(seed)
    with rig() as of:
        _prepared(of)
        of.look_on("poll", "follow")
        poster = Poster(of.url)
        for _ in range(points):
            of.publish(rate * 2, rate)
            _kill_somewhere(of, chance)
            outcome.faults += 1
            of.wait_published()
        poster.stop()
        of.postgres.start()
        if of.daemon.process is None or of.daemon.process.poll() is not None:
            of.daemon.start()
        wait_until(of.drained, 120)
        compare(outcome, of)
        numbers = set(of.numbers())
        outcome.received = len(poster.acknowledged)
        outcome.lost = len(set(poster.acknowledged) - numbers)
        compare_onlookers(outcome, of)
        verified = of.daemon.data / "journal"
        outcome.figures["journal bytes left"] = sum(
            p.stat().st_size for p in verified.glob("*.seg")
        )
    return outcome


def _kill_somewhere(of: Rig, chance: random.Random) -> None:
    match chance.choice(("load", "start", "drain")):
        case "load":
            time.sleep(chance.uniform(0.05, 1.5))
            of.daemon.kill()
        case "start":
            of.daemon.kill()
            of.daemon.launch()
            time.sleep(chance.uniform(0.1, 2.0))
            of.daemon.kill()
        case _:
            of.kill_postgres()
            time.sleep(chance.uniform(0.2, 1.0))
            of.postgres.start()
            time.sleep(chance.uniform(0.0, 0.6))
            of.daemon.kill()
    of.postgres.start()
    of.daemon.start()


def poison(
    *, seed: int, events: int, one_in: int, goal_per_s: float = 0.0, again: bool = False
) -> Outcome:
    """Events that only PostgreSQL refuses: each becomes ``bus.rejected`` at its id.

    With ``again`` PostgreSQL is killed while they are being found.
    """
    outcome = Outcome(f"poison, 1 in {one_in}{', killed' if again else ''}")
    offset = random.Random(seed).randrange(one_in)
    with rig() as of:
        _prepared(of)
        _execute(
            of, f"ALTER TABLE events ADD CHECK ((payload->>'n')::bigint % {one_in} <> {offset})"
        )
        of.look_on("poll", "follow")
        of.kill_postgres()  # so that whole blocks wait, and the rate is that of storing
        of.publish(events, 0)
        of.wait_published()
        wait_until(lambda: of.books()["data"]["journal"] >= events, 60)
        of.postgres.start()
        wait_until(lambda: of.books()["data"]["stored"] > 0, 60)
        if again:
            of.kill_postgres()
            of.postgres.start()
        began, waited = time.monotonic(), _waiting(of)
        wait_until(of.drained, 300)
        took_s = time.monotonic() - began
        outcome.faults = len([n for n in range(events) if n % one_in == offset])
        seen = compare_onlookers(outcome, of)
        compare(outcome, of)
        outcome.received = events
        outcome.lost = events - outcome.stored - outcome.rejected
        rate = waited / max(took_s, 1e-3) if waited else float(events)
        outcome.figures["stored per s"] = round(rate)
        if rate < goal_per_s:
            outcome.missed.append(f"{rate:.0f}/s < {goal_per_s:.0f}/s")
        told = set(seen["follow"]["replaced"])
        ids = {row[0] for row in of.rows("SELECT id FROM events WHERE type = 'bus.rejected'")}
        outcome.expect("replacements not told", len(ids - told), 0)
    return outcome


def _execute(of: Rig, statement: str) -> None:
    with psycopg.connect(of.pg_url, autocommit=True) as connection:
        connection.execute(statement.encode())


def backlog_at_start(*, seed: int, size_mb: int, again: bool = False) -> Outcome:
    """A journal of so many MB waits when the daemon starts; new events are visible meanwhile.

    With ``again`` the daemon is killed while it drains, and starts once more.
    """
    outcome = Outcome(f"{size_mb} MB of backlog at the start{', twice' if again else ''}")
    with rig() as of:
        _prepared(of)
        of.daemon.stop()
        rows = _fill_journal(of.daemon.data, size_mb, random.Random(seed))
        of.daemon.launch()
        if again:
            wait_until(lambda: of.rows("SELECT count(*) FROM events")[0][0] > 1000, 120)
            of.daemon.kill()
            of.daemon.launch()
            outcome.faults += 1
        memory = Meter(of.memory_mb)
        began = time.monotonic()
        while not _is_up(of):
            assert time.monotonic() - began < 300
            time.sleep(0.05)
        outcome.figures["serves after s"] = round(time.monotonic() - began, 1)
        of.look_on("probe")
        outcome.expect_soon("new event visible s", _visible_after_s(of), 5.0)
        waiting = _waiting(of)
        draining = time.monotonic()
        wait_until(of.drained, 600, "drained")
        outcome.figures["drained per s"] = round(waiting / max(time.monotonic() - draining, 1e-3))
        outcome.expect("memory MB", max(memory.stop()), 200 + 60)
        seen = of.seen(1)
        expect_answers(outcome, seen["probe"], 100)
        compare(outcome, of, published=rows)
    return outcome


def _is_up(of: Rig) -> bool:
    with suppress(OSError, ValueError):
        return bool(of.daemon.call("GET", "/health")[0] == 200) and bool(of.books())
    return False


def _visible_after_s(of: Rig) -> float:
    began = time.monotonic()
    with redis.Redis.from_url(of.redis_url) as client:
        while not client.publish("strategy.live", json.dumps({"now": began})):
            time.sleep(0.05)
    # The newest page: what lies between the committed and the newest is in the journal alone.
    wait_until(lambda: _is_shown(of, "strategy.live"), 120, "a new event is visible")
    return time.monotonic() - began


def _is_shown(of: Rig, event_type: str) -> bool:
    page = of.daemon.get("/bus/events?limit=50")
    return any(event["type"] == event_type for event in page.get("events", ()))


def _fill_journal(data: Path, size_mb: int, chance: random.Random) -> int:
    """As a daemon without PostgreSQL would have, with ids; returns the rows."""
    journal = Journal(data / "journal")
    journal.open()
    first = (read_ids(data / "ids") or ((1, 1),))[-1][1] + 1
    prefix = row_prefix(CHANNEL, "backlog", "2026-01-31T09:30:00.123Z")
    number = rows = written = 0
    filler = "x" * 600
    while written < size_mb * 1_000_000:
        payloads = [
            b'{"n":%d,"price":%d,"filler":"%b"}'
            % (rows + i, chance.randrange(10**6), filler.encode())
            for i in range(1000)
        ]
        body = join_rows([prefix] * 1000, payloads)
        number = journal.head.last_number + 1
        ranges = ((first + rows, first + rows + 999),)
        journal.append(
            Record(number, RecordKind.EVENTS, 1000, body, ranges, runs=(Run("data", 1000),))
        )
        rows += 1000
        written += len(body)
    journal.close()
    return rows


@contextmanager
def small_disk(size_mb: int) -> Iterator[Path]:
    """A tmpfs of so many MB; needs root."""
    folder = Path(tempfile.mkdtemp(prefix="orchestrator-small-"))
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "none", str(folder)], check=True
    )
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()


def full_disk(*, seed: int, size_mb: int, events: int, again: bool = False) -> Outcome:
    """The journal's disk is full while PostgreSQL is away: memory, then market data goes first.

    With ``again`` PostgreSQL is killed once more while the backlog drains.
    """
    outcome = Outcome(f"full disk, {size_mb} MB{', killed' if again else ''}", faults=1 + again)
    with small_disk(size_mb) as folder, rig(folder / "data") as of:
        _prepared(of)
        of.kill_postgres()
        of.publish(events, 0)
        stops = 20
        with redis.Redis.from_url(of.redis_url) as client:
            for number in range(stops):
                time.sleep(random.Random(seed + number).random() / 10)
                client.publish("risk.limit", json.dumps({"stop": number}))
        of.wait_published()
        of.wait_taken(events)
        of.postgres.start()
        if again:
            wait_until(lambda: of.books()["data"]["stored"] > 0, 60)
            of.kill_postgres()
            of.postgres.start()
        wait_until(of.drained, 120)
        books = of.books()["data"]
        compare(outcome, of)
        outcome.received = events
        outcome.lost = events - outcome.stored - outcome.dropped
        kept = {
            row[0] for row in of.rows("SELECT payload->>'stop' FROM events WHERE type='risk.limit'")
        }
        outcome.expect("stops dropped", stops - len(kept), 0)
        wait_until(lambda: _said_dropped(of) >= books["dropped"], 10, "bus.dropped says so")
    return outcome


def _said_dropped(of: Rig) -> int:
    query = (
        "SELECT coalesce(sum((payload->>'count')::bigint), 0) FROM events WHERE type='bus.dropped'"
    )
    return int(of.rows(query)[0][0])


def hostile(*, seed: int, rounds: int, again: bool = True) -> Outcome:
    """Payloads made to crash, to stall or to slip through: each is stored or rejected.

    With ``again`` PostgreSQL is killed in the middle of each round.
    """
    outcome = Outcome("hostile payloads", runs=rounds)
    chance = random.Random(seed)
    with rig() as of:
        _prepared(of)
        of.look_on("probe")
        sent = 0
        with redis.Redis.from_url(of.redis_url, socket_timeout=60) as client:
            for _ in range(rounds):
                corpus = hostile_payloads()
                chance.shuffle(corpus)
                for place, payload in enumerate(corpus):
                    client.publish("strategy.hostile", payload)
                    sent += 1
                    if again and place == len(corpus) // 2:
                        of.kill_postgres()
                of.postgres.start()
        of.wait_taken(sent, 120)
        wait_until(of.drained, 120)
        compare(outcome, of)
        outcome.received = sent
        outcome.faults = sent + rounds * again
        where = "type = 'strategy.hostile'"
        outcome.stored = of.daemon.count(where)
        outcome.lost = sent - outcome.stored - of.daemon.count("type = 'bus.rejected'")
        seen = of.seen(1)["probe"]
        expect_answers(outcome, seen, 500)  # of pages of 8 MiB
        outcome.expect_soon("of others, p99 ms", percentile(seen["health_ms"], 0.99), 100)
        outcome.figures["REST max ms"] = round(max(seen["times_ms"]), 1)
        stalls = of.daemon.metric("orchestrator_loop_stall_seconds_count")
        outcome.figures["stalls over 20 ms"] = stalls
    return outcome


def hostile_payloads() -> list[bytes]:
    """One of each kind."""
    whole = 1024 * 1024
    return [
        b"",
        b"{",
        b"[" * 100_000,
        b"[" * 512 + b"]" * 512,
        b'{"' + b"k" * (whole - 10) + b'":1}',
        b'{"a":1,"a":2}',
        b'{"a":"\xff\xfe"}',
        b"[1e400, -1e-400]",
        b"1e131072",
        b"9" * 131_072,
        b"1" * (whole - 1),
        b'{"a":"\\u0000"}',
        b'{"a":"\\ud800"}',
        b'{"a":"\x00"}',
        b'"' + b"\\\\" * (whole // 2 - 1) + b'"',
        b"[" + b'"",' * (whole // 3 - 2) + b'""]',
        b"[" + b"[]," * (whole // 3 - 2) + b"[]]",
        b"[" + b"1e0000," * (whole // 7 - 2) + b"1]",
        b'["' + b'[","' * (whole // 4 - 4) + b'"]',
        b"x" * (100 * whole),
    ]


def seed_of() -> int:
    """CHAOS_SEED, or one of its own."""
    return int(os.environ.get("CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)


def line_of(outcome: Outcome) -> dict[str, Any]:
    """As in the table."""
    counts = ("runs", "faults", "received", "stored", "rejected", "dropped", "lost", "twice")
    return {name: getattr(outcome, name) for name in counts}
