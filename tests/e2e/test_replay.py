"""A replay beside a running daemon: heard by who listens to it, stored by nobody."""

import os
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from quiet_clock import quiet_s

from .conftest import NOT_OURS, DaemonProcess

pytestmark = [pytest.mark.subprocess, pytest.mark.db, pytest.mark.redis]

REPLAY = [sys.executable, "-m", "orchestrator", "event", "replay"]
REPLAY += ["--speed", "max", "--to", "replay.a", "--yes"]
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(NOT_OURS)}


def wait_for(condition: Callable[[], object], limit_s: float = 60.0) -> None:
    end = quiet_s() + limit_s
    while not condition():
        assert quiet_s() < end, "not within the limit"
        time.sleep(0.02)


def test_what_is_replayed_is_not_stored_again(daemon: DaemonProcess) -> None:
    for number in range(50):
        daemon.redis.publish("strategy.x", f'{{"n":{number}}}')
        daemon.redis.publish("heartbeat.h", '{"agent_id":"h"}')
    daemon.redis.publish("risk.alert", '{"n":1}')
    wait_for(lambda: daemon.count("type IN ('strategy.x', 'heartbeat', 'risk.alert')") >= 101)
    before = daemon.count("type LIKE 'strategy%%' OR type LIKE 'risk%%'")
    with daemon.redis.pubsub(ignore_subscribe_messages=True) as listening:
        listening.psubscribe("replay.*")
        listening.get_message(timeout=5)

        done = subprocess.run(
            [*REPLAY, "-c", str(daemon.settings)],
            env=ENVIRONMENT | {"ORCHESTRATOR_DATA_DIR": str(daemon.data)},
            cwd=daemon.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        heard = []
        while (message := listening.get_message(timeout=0.5)) is not None:
            heard.append(message["channel"].decode())
    daemon.redis.publish("strategy.last", "{}")
    wait_for(lambda: daemon.count("type = 'strategy.last'") == 1)

    assert done.returncode == 0, done.stderr
    assert heard.count("replay.a.strategy.x") == 50
    assert "replay.a.risk.alert" in heard
    assert daemon.count("type LIKE 'replay%%'") == 0
    assert daemon.count("type LIKE 'strategy%%' OR type LIKE 'risk%%'") == before + 1
