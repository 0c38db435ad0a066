"""``kill -9`` after a stop was answered: the successor has it in force, and issues no permit."""

import random
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
from orchestrator.sql.events.fenced_connection import STALE_AFTER_S

from ..e2e.conftest import DaemonProcess, new_daemon

__all__ = ["new_daemon"]

pytestmark = [pytest.mark.slow, pytest.mark.subprocess, pytest.mark.db, pytest.mark.redis]

KILLS = 20
STALE_S = STALE_AFTER_S + 2
"""After this a dead daemon's claim to the database does not keep another one out."""
SETTINGS = """
[http]
port = 0
rate_limit_max = 1000000
"""


def killed_after_the_answer(daemon: DaemonProcess, number: int) -> str:
    """Engage, and kill it within half a second of the answer; the trip's id."""
    body = {"reason": f"kill {number}"}
    status, answer = daemon.call("POST", "/risk/killswitch", body)
    assert status == 200, answer
    time.sleep(random.uniform(0, 0.5))
    daemon.kill()
    return str(answer["trip_id"])


@pytest.mark.timeout(900)
def test_no_stop_that_was_answered_is_lost(
    new_daemon: Callable[..., DaemonProcess],
    pg_url: str,
    redis_url: str,
) -> None:
    daemon = new_daemon(SETTINGS)
    servers: dict[str, Any] = {"PG_URL": pg_url, "REDIS_URL": redis_url}
    daemon.start(**servers)
    for number in range(KILLS):
        trip_id = killed_after_the_answer(daemon, number)
        if number == KILLS - 1:
            daemon.data = daemon.folder / f"data-{number}"  # as on another machine
            time.sleep(STALE_S)
        daemon.start(**servers)

        state = daemon.get("/risk/killswitch")
        in_force = [trip["trip_id"] for trip in state["trips"]]
        assert trip_id in in_force, f"kill {number}"
        with redis.Redis.from_url(redis_url) as client:
            assert client.get("orchestrator:permit") is None
        for name in in_force:
            over = {"reason": "over", "trip_id": name}
            assert daemon.call("POST", "/risk/killswitch/release", over)[0] == 200
    daemon.stop()
