"""How a daemon goes down: in order, in a hurry, and what it does on its other signals."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
from quiet_clock import quiet_s
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

pytestmark = [pytest.mark.subprocess, pytest.mark.slow, pytest.mark.timeout(300)]

SERVERS = """
[redis]
url = "embedded"
[postgres]
url = "embedded"
[http]
port = 0
rate_limit_max = 1000000
"""
DEAF = (
    SERVERS
    + """
[agents.deaf]
command = ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"]
shutdown_s = 10
"""
)


def until(condition: Callable[[], object], limit_s: float = 30.0) -> None:
    end = quiet_s() + limit_s
    while not condition():
        assert quiet_s() < end, f"not within {limit_s:g} s"
        time.sleep(0.05)


class Load:
    """Publishes numbered messages from a thread until it is told to stop or Redis is gone."""

    def __init__(self, client: redis.Redis) -> None:
        self.sent = 0
        self._client = client
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._publish)
        self._thread.start()

    def _publish(self) -> None:
        while not self._stop.is_set():
            numbers = range(self.sent, self.sent + 100)
            pipeline = self._client.pipeline(transaction=False)
            for number in numbers:
                pipeline.publish("data.market.X.1m", json.dumps({"n": number, "source": "load"}))
            try:
                pipeline.execute()
            except redis.RedisError:
                return
            self.sent += 100
            time.sleep(0.02)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=30)


def numbers_of(daemon: Any) -> list[int]:
    rows = daemon.rows("SELECT (payload->>'n')::int FROM events WHERE source = 'load' ORDER BY id")
    return [row[0] for row in rows]


def test_sigterm_under_load_drains_and_loses_nothing(daemon: Any) -> None:
    load = Load(daemon.redis)
    codes: list[int | None] = []
    watching = threading.Event()

    def watch() -> None:
        with connect(daemon.url.replace("http", "ws", 1) + "/") as client:
            try:
                while True:
                    client.recv(timeout=30)
                    watching.set()
            except ConnectionClosed as closed:
                codes.append(closed.rcvd.code if closed.rcvd else None)

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert watching.wait(10)
    until(lambda: load.sent > 2000)

    began = quiet_s()
    assert daemon.stop() == 0
    assert quiet_s() - began < 10
    load.stop()
    watcher.join(timeout=10)

    assert codes == [1001]
    daemon.start()
    numbers = numbers_of(daemon)
    assert numbers == list(range(len(numbers))), "nothing lost, nothing twice, nothing out of order"
    assert len(numbers) > 2000
    statement = "SELECT type FROM events WHERE type LIKE 'runtime.st%%' ORDER BY id"
    expected = ["runtime.started", "runtime.stopping", "runtime.started"]
    until(lambda: [row[0] for row in daemon.rows(statement)] == expected)


def test_a_second_sigterm_hurries(new_daemon: Any) -> None:
    daemon = new_daemon(DEAF)
    daemon.start()
    until(lambda: daemon.get("/runtime/agents")["agents"][0]["state"] == "RUNNING")
    process = daemon.process
    process.send_signal(signal.SIGTERM)
    time.sleep(1.0)
    assert process.poll() is None, "it waits for the agent"

    began = quiet_s()
    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=10) == 0
    assert quiet_s() - began < 2.0
    until(lambda: not daemon.server_processes(), 1.0)
    assert not (daemon.data / "servers.json").exists()
    daemon.start()
    assert daemon.get("/risk/killswitch")["status"] == "inactive", "asked for, so no emergency"


def test_sighup_applies_what_can_change_and_names_what_cannot(daemon: Any) -> None:
    daemon.settings.write_text(
        daemon.settings.read_text().replace("rate_limit_max = 1000000", "rate_limit_max = 7")
        + '\n[log]\nlevel = "warning"\n[registry]\ntimeout_s = 1\n[bus]\ndata_patterns = "x.*"\n'
    )
    daemon.redis.publish("heartbeat.a1", json.dumps({"agent_id": "a1"}))
    until(lambda: daemon.get("/health/agents")["total_agents"] == 1)

    daemon.process.send_signal(signal.SIGHUP)

    until(lambda: "some settings take effect at the next start" in daemon.log)
    line = next(line for line in daemon.log.splitlines() if "effect at the next start" in line)
    assert "bus.data_patterns" in line
    assert "registry" not in line
    until(lambda: daemon.call("GET", "/bus/events")[0] == 429)
    kept = daemon.log.count('"level":"info"')
    until(lambda: "agent.offline" in str(daemon.rows("SELECT type FROM events")))
    daemon.call("POST", "/runtime/actors/pruner/restart", {})
    assert daemon.log.count('"level":"info"') == kept


def test_sighup_with_faulty_settings_changes_nothing(daemon: Any) -> None:
    daemon.settings.write_text(daemon.settings.read_text() + "\n[bus]\nnonsense = 1\n")

    daemon.process.send_signal(signal.SIGHUP)

    until(lambda: "reload failed, settings unchanged" in daemon.log)
    assert "bus.nonsense" in daemon.log
    assert daemon.call("GET", "/ready")[0] == 200


def test_sigusr2_logs_the_stacks_of_all_greenlets(daemon: Any) -> None:
    daemon.process.send_signal(signal.SIGUSR2)

    until(lambda: "stacks of all greenlets" in daemon.log)
    stacks = [json.loads(line) for line in daemon.log.splitlines() if '"event":"stack"' in line]
    names = {stack["greenlet"] for stack in stacks}
    assert {"root", "persister", "http"} <= names
    assert all(stack["stack"] for stack in stacks)
    assert daemon.call("GET", "/ready")[0] == 200


def test_sigusr1_stops_trading_once(daemon: Any) -> None:
    heard = daemon.redis.pubsub(ignore_subscribe_messages=True)
    heard.subscribe("risk.killswitch")
    heard.get_message(timeout=1)

    os.kill(daemon.process.pid, signal.SIGUSR1)

    until(lambda: daemon.get("/risk/killswitch")["status"] == "active", 5)
    state = daemon.get("/risk/killswitch")
    assert (state["triggered_by"], len(state["trips"])) == ("signal", 1)
    until(lambda: daemon.count("type = 'risk.killswitch'") == 1)
    time.sleep(3.0)
    assert len(daemon.get("/risk/killswitch")["trips"]) == 1, "the guard and the daemon agree"
    message = heard.get_message(timeout=1)
    assert message is not None
    assert json.loads(message["data"])["trip_id"] == state["trip_id"]
    heard.close()
