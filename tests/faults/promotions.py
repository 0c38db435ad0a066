"""A PostgreSQL primary dies or falls silent under load, and its replica is promoted."""

import random
import signal
import tempfile
import time
from pathlib import Path

import psycopg
from postgres_pair import PostgresPair, postgres_pair

from .rig import Outcome, compare, compare_onlookers, rig, wait_until


def promoted(*, seed: int, rate: int, load_s: float, outage_s: float, frozen: bool) -> Outcome:
    """The daemon goes on at the replica; the former primary wakes when all is over."""
    outcome = Outcome(f"PostgreSQL {'frozen' if frozen else 'killed'}, its replica promoted")
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="promoted-") as name:
        Path(name).chmod(0o711)
        with postgres_pair(Path(name) / "pair") as pair, rig() as of:
            pair.wait_for_replica()
            of.pg_url = pair.url
            of.daemon.settings.write_text(of.settings(pair.url))
            of.daemon.start()
            wait_until(of.drained)
            of.look_on("poll", "follow")
            of.publish(int(rate * load_s), rate)
            time.sleep(2 + chance.random())

            of.signal(pair.primary, signal.SIGSTOP if frozen else signal.SIGKILL)
            outcome.faults += 1
            time.sleep(outage_s)
            before = _rows(pair)
            pair.promote()
            began = time.monotonic()
            wait_until(lambda: _rows(pair) > before, 60, "the replica stores")
            outcome.expect_soon("stores again s", time.monotonic() - began, 5)

            of.wait_published()
            of.wait_taken(of.published)
            of.signal(pair.primary, signal.SIGCONT)
            wait_until(of.drained, 120)
            of.pg_url = pair.replica.url
            compare(outcome, of, published=of.published)
            compare_onlookers(outcome, of)
    return outcome


def _rows(pair: PostgresPair) -> int:
    with psycopg.connect(pair.replica.url) as connection:
        row = connection.execute("SELECT count(*) FROM events").fetchone()
        return int(row[0]) if row else 0
