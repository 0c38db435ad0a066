"""What the supervision of a whole daemon promises to those outside the process."""

import json
import signal
import time
from typing import Any

import pytest
from quiet_clock import quiet_s

pytestmark = [pytest.mark.subprocess, pytest.mark.slow, pytest.mark.timeout(300)]

SETTINGS = """
[redis]
url = "embedded"
[postgres]
url = "embedded"
[http]
port = 0
rate_limit_max = 1000000
[log]
format = "json"
[supervisor]
intensity = 1
"""

HOG_SETTINGS = """
[agents.hog]
mode = "in_process"
class = "hog:Hog"
"""

HOG = """
import time
from orchestrator.agents import Agent, on_event

class Hog(Agent):
    name = "Hog"
    group = "tests"

    @on_event("strategy.hog")
    def hold_the_loop(self, event):
        while True:
            pass
"""


def kill_valkey(daemon: Any, before: set[int]) -> set[int]:
    """Once it runs anew; returns the pids killed so far."""
    limit = time.monotonic() + 30
    while daemon.process.poll() is None:
        assert time.monotonic() < limit, daemon.log
        for process in daemon.server_processes():
            if process.name() == "valkey-server" and process.pid not in before:
                process.send_signal(signal.SIGKILL)
                return before | {process.pid}
        time.sleep(0.02)
    return before


def test_a_root_that_gives_up_ends_the_process_within_10_s_with_the_reason(new_daemon: Any) -> None:
    daemon = new_daemon(SETTINGS)
    daemon.start()
    killed: set[int] = set()

    for _ in range(2):  # one more than the intensity
        killed = kill_valkey(daemon, killed)
    begin = quiet_s()
    code = daemon.process.wait(timeout=60)

    assert code != 0
    assert quiet_s() - begin < 10
    lines = [json.loads(line) for line in daemon.log.splitlines() if line.startswith("{")]
    assert "valkey failed too often" in lines[-1]["reason"]


def test_an_agent_that_holds_the_loop_is_interrupted_and_events_go_on(new_daemon: Any) -> None:
    daemon = new_daemon(SETTINGS + HOG_SETTINGS)
    (daemon.folder / "hog.py").write_text(HOG)
    daemon.start(PYTHONPATH=str(daemon.folder))

    for number in range(20):
        daemon.redis.publish("strategy.before", json.dumps({"n": number}))
    daemon.redis.publish("strategy.hog", "{}")
    for number in range(20):
        daemon.redis.publish("strategy.after", json.dumps({"n": number}))

    limit = time.monotonic() + 60
    while (
        daemon.count("type = 'runtime.loop_stalled'") < 1
        or daemon.count("type LIKE 'strategy.%%'") < 41
    ):
        assert time.monotonic() < limit, daemon.log
        time.sleep(0.1)
    assert daemon.metric("orchestrator_loop_stall_seconds_count") >= 1
    restarts = {
        node["name"]: node["restarts"] for node in flat(daemon.get("/runtime/actors")["tree"])
    }
    assert {name for name, count in restarts.items() if count} <= {"hog"}
    assert "event loop blocked" in daemon.log


def flat(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [node, *(row for child in node["children"] for row in flat(child))]
