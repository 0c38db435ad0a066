"""The wall clock jumps by an hour, forth and back, under a whole daemon and its servers.

Needs Debian's `faketime`; the monotonic clock stays as it is, as when somebody sets the time.
"""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from quiet_clock import quiet_s

LIBRARIES = sorted(map(str, Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")))

pytestmark = [
    pytest.mark.subprocess,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not LIBRARIES, reason="needs faketime (apt-get install faketime)"),
]

SETTINGS = """
[redis]
url = "embedded"
[postgres]
url = "embedded"
[http]
port = 0
rate_limit_max = 1000000
[agents.beating]
mode = "in_process"
class = "orchestrator.agents.samples.dev:DevAgent"
interval_s = 0.5
"""


def wait_until(condition: Any, limit_s: float, daemon: Any) -> None:
    end = quiet_s() + limit_s
    while not condition():
        assert quiet_s() < end, daemon.log
        time.sleep(0.05)


def publish_and_find(daemon: Any, mark: str) -> None:
    """An event still takes its whole way, and soon."""
    daemon.redis.publish("strategy.jump", json.dumps({"mark": mark}))
    wait_until(lambda: daemon.count(f"payload->>'mark' = '{mark}'") == 1, 10, daemon)


def flat(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [node, *(row for child in node["children"] for row in flat(child))]


def test_jumps_of_an_hour_change_nothing(new_daemon: Any) -> None:
    daemon = new_daemon(SETTINGS)
    clock = daemon.folder / "clock"
    clock.write_text("+0")
    clock.chmod(0o644)
    daemon.start(
        LD_PRELOAD=LIBRARIES[0],
        FAKETIME_TIMESTAMP_FILE=str(clock),
        FAKETIME_NO_CACHE="1",
        FAKETIME_DONT_FAKE_MONOTONIC="1",
    )
    wait_until(lambda: daemon.get("/health/agents?alive=true")["agents"], 20, daemon)
    publish_and_find(daemon, "before")

    for offset in ("+3600", "-3600", "+0"):
        clock.write_text(offset)
        time.sleep(3)  # longer than any ping, beat and timeout of this daemon
        publish_and_find(daemon, offset)

        assert daemon.call("GET", "/ready")[0] == 200
        assert daemon.get("/risk/killswitch")["status"] == "inactive"
        assert [row["liveness"] for row in daemon.get("/health/agents")["agents"]] == ["up"]

    nodes = flat(daemon.get("/runtime/actors")["tree"])
    assert [node["name"] for node in nodes if node["restarts"]] == []
    assert daemon.count("type = 'agent.offline'") == 0
    assert daemon.stop() == 0
