"""``kill -9`` within half a second of the answer to a stop: the successor has it in force."""

import random
import time

import redis
from orchestrator.sql.events.fenced_connection import STALE_AFTER_S

from .permits import watching
from .rig import Outcome, Rig, rig, wait_until

STALE_S = STALE_AFTER_S + 2
"""After this a dead daemon's claim to the database does not keep one on another machine out."""


def killed(*, seed: int, kills: int, one_in: int = 20, again: bool = False) -> Outcome:
    """Lost are stops that were answered with 200 and are not in force in the next daemon.

    Args:
        seed: of the random moments.
        kills: how many.
        one_in: of so many successors one has another data directory, as on another machine.
        again: the successor is killed as well, at a random moment of its start, and PostgreSQL
            with it.
    """
    outcome = Outcome(f"killed after a stop{', twice' if again else ''}", runs=kills)
    chance = random.Random(seed)
    permits = 0
    with rig() as of:
        of.daemon.start()
        for number in range(kills):
            _await_permit(of)
            trip_id = _stop(of, number)
            with watching(of.redis_url) as watch:
                time.sleep(chance.uniform(0, 0.5))
                of.daemon.kill()
                _succeed(of, number, chance, moves=number % one_in == one_in - 1, again=again)
                outcome.faults += 2 if again else 1
                trips = [trip["trip_id"] for trip in of.daemon.get("/risk/killswitch")["trips"]]
                permits += watch.again
            outcome.received += 1
            outcome.stored += trip_id in trips
            outcome.twice += len(trips) > 1
            _release(of, trips)
    outcome.lost = outcome.received - outcome.stored
    outcome.expect("permits under a stop", permits, 0)
    return outcome


def _await_permit(of: Rig) -> None:
    """Trading is allowed."""
    with redis.Redis.from_url(of.redis_url) as client:
        wait_until(lambda: client.exists("orchestrator:permit"), 30, "a permit")


def _stop(of: Rig, number: int) -> str:
    status, answer = of.daemon.call("POST", "/risk/killswitch", {"reason": f"kill {number}"})
    assert status == 200, answer
    return str(answer["trip_id"])


def _succeed(of: Rig, number: int, chance: random.Random, *, moves: bool, again: bool) -> None:
    if moves:
        of.daemon.data = of.daemon.folder / f"data-{number}"
        time.sleep(STALE_S)
    if again:
        of.daemon.launch()
        time.sleep(chance.uniform(0.1, 2.0))
        of.daemon.kill()
        of.kill_postgres()
        of.postgres.start()
    of.daemon.start()


def _release(of: Rig, trips: list[str]) -> None:
    for trip_id in trips:
        order = {"reason": "over", "trip_id": trip_id}
        status, answer = of.daemon.call("POST", "/risk/killswitch/release", order)
        assert status == 200, answer
