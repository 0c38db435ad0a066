"""The whole way of an event, through a daemon that runs as a process of its own."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from quiet_clock import quiet_s
from websockets.sync.client import connect

pytestmark = [pytest.mark.subprocess, pytest.mark.slow, pytest.mark.timeout(400)]
BURST = int(os.environ.get("TEST_BURST", "50000"))
LIMIT_S = 120.0

SETTINGS_WITH_AGENT = """
[http]
port = 0
[agents.dev-agent]
mode = "in_process"
class = "orchestrator.agents.samples.dev:DevAgent"
"""


def wait_until(condition: Callable[[], object], limit_s: float = LIMIT_S) -> None:
    end = quiet_s() + limit_s
    while not condition():
        assert quiet_s() < end, f"not within {limit_s:g} s"
        time.sleep(0.05)


def publish_numbered(client: redis.Redis, count: int, first: int = 0, block: int = 500) -> None:
    """Flat out, pipelined; each message carries its number."""
    for start in range(first, first + count, block):
        pipeline = client.pipeline(transaction=False)
        for number in range(start, min(start + block, first + count)):
            pipeline.publish("data.market.AAPL.1m", json.dumps({"n": number, "source": "burst"}))
        pipeline.execute()


def assert_whole(daemon: Any, count: int) -> None:
    """All numbers are in the table, each once, in order of receipt."""
    numbers = [
        row[0]
        for row in daemon.rows(
            "SELECT (payload->>'n')::int FROM events WHERE source = 'burst' ORDER BY id"
        )
    ]
    assert numbers == list(range(count))


def test_a_burst_arrives_whole_and_in_order(daemon: Any) -> None:
    publish_numbered(daemon.redis, BURST)

    wait_until(lambda: daemon.count("source = 'burst'") == BURST)
    assert_whole(daemon, BURST)


def test_a_burst_survives_the_death_of_postgresql(daemon: Any) -> None:
    publish_numbered(daemon.redis, BURST // 2)
    os.kill(daemon.postgres_pid(), signal.SIGKILL)
    publish_numbered(daemon.redis, BURST // 2, first=BURST // 2)

    status, page = daemon.call("GET", "/bus/events?limit=1&type=data.market.*")
    assert (status, len(page.get("events", []))) == (200, 1), page

    wait_until(lambda: is_up(daemon) and daemon.count("source = 'burst'") >= BURST)
    assert_whole(daemon, BURST)


def is_up(daemon: Any) -> bool:
    try:
        daemon.rows("SELECT 1")
    except Exception:  # noqa: BLE001 it is away
        return False
    return True


def test_a_burst_survives_the_death_of_the_daemon(daemon: Any) -> None:
    publish_numbered(daemon.redis, BURST)
    wait_until(lambda: daemon.metric("orchestrator_events_journalled_total") >= BURST)
    daemon.kill()

    daemon.start()

    wait_until(lambda: daemon.count("source = 'burst'") >= BURST)
    assert_whole(daemon, BURST)
    gaps = [event["payload"]["cause"] for event in daemon.get("/bus/events?type=bus.gap")["events"]]
    assert gaps == ["downtime"]


def test_the_seeds_workflow(daemon: Any) -> None:
    bus = daemon.redis
    subscriber = bus.pubsub()
    subscriber.subscribe("risk.killswitch")
    subscriber.get_message(timeout=5)
    with connect(daemon.url.replace("http", "ws", 1) + "/") as client:
        hello = json.loads(client.recv(timeout=5))
        bus.publish("heartbeat.a1", json.dumps({"agent_id": "a1", "name": "One", "group": "g"}))
        bus.publish("strategy.candidate", json.dumps({"symbol": "AAPL", "source": "a1"}))
        bus.publish("quant.regime.state", json.dumps({"regime": "stable", "source": "d"}))
        wait_until(lambda: daemon.get("/regime/state")["status"] == "ok", 10)

        status, answer = daemon.call("POST", "/risk/killswitch", {"reason": "manual test"})
        sent = {"heartbeat.a1", "strategy.candidate", "quant.regime.state"}
        seen: set[str] = set()
        while not seen >= {*sent, "killswitch_activated"}:  # the stop may come before all of them
            frame = json.loads(client.recv(timeout=10))
            seen |= {frame["type"], frame.get("channel")}

    assert hello["type"] == "connection"
    agents = daemon.get("/health/agents")
    assert [(row["id"], row["is_alive"]) for row in agents["agents"]] == [("a1", True)]
    assert (status, answer["status"], answer["latched"]) == (200, "activated", True)
    assert answer["published_to"] == 1
    told = subscriber.get_message(timeout=5)
    assert json.loads(told["data"])["enabled"] is True
    wait_until(lambda: daemon.count("type = 'risk.killswitch'") == 1, 10)


def test_the_killswitch_survives_restarts_of_everything(daemon: Any) -> None:
    daemon.call("POST", "/risk/killswitch", {"reason": "manual test"})
    daemon.kill()
    daemon.start()

    assert daemon.get("/risk/killswitch")["status"] == "active"
    daemon.stop()
    daemon.start()

    state = daemon.get("/risk/killswitch")
    assert (state["status"], state["reason"]) == ("active", "manual test")
    wait_until(lambda: daemon.count("type = 'risk.killswitch'") == 1)


def test_a_stop_leaves_no_process_behind(daemon: Any) -> None:
    family = psutil.Process(daemon.process.pid).children(recursive=True)
    servers = daemon.server_processes()
    assert servers

    assert daemon.stop() == 0

    assert not [process for process in [*family, *servers] if process.is_running()]
    assert not (daemon.data / "servers.json").exists()


def test_a_second_daemon_on_the_same_data_names_the_first(daemon: Any) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "orchestrator", "run", "-c", str(daemon.settings)],
        env=os.environ | {"ORCHESTRATOR_DATA_DIR": str(daemon.data)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert second.returncode != 0
    assert f"pid {daemon.process.pid}" in second.stderr


def test_a_port_that_is_taken_is_one_clear_line(daemon: Any, new_daemon: Any) -> None:
    port = daemon.url.rsplit(":", 1)[1]
    second = new_daemon()

    process = second.launch(PORT=port)

    assert process.wait(timeout=60) != 0
    assert port in second.log
    assert "Traceback" not in second.log


def test_a_second_daemon_on_the_same_database_stops(daemon: Any, new_daemon: Any) -> None:
    second = new_daemon(SETTINGS_WITH_AGENT)

    process = second.launch(PG_URL=daemon.told["postgres"], REDIS_URL=daemon.told["redis"])

    assert process.wait(timeout=90) != 0
    assert f"process {daemon.process.pid}" in second.log
    assert "dashboard" not in second.log, "the banner comes only when all is well"
    found = daemon.rows("SELECT type, payload::text FROM events WHERE type LIKE 'agent.%%'")
    assert not found, "its agents were never started"


@pytest.mark.usefixtures("node_modules")
def test_a_node_agent_without_any_of_our_code_appears_and_times_out(new_daemon: Any) -> None:
    daemon = new_daemon()
    daemon.start(ORCHESTRATOR_REGISTRY__TIMEOUT_S="3")
    agent = subprocess.Popen(
        ["node", str(Path(__file__).with_name("agent.js"))],
        env=os.environ | {"REDIS_URL": daemon.told["redis"]},
    )
    try:
        wait_until(lambda: status_of(daemon, "node-agent") == ("active", True), 20)
    finally:
        agent.kill()
        agent.wait(timeout=10)

    wait_until(lambda: status_of(daemon, "node-agent") == ("inactive", False), 20)
    assert daemon.count("type = 'strategy.candidate' AND source = 'node-agent'") >= 1


def status_of(daemon: Any, agent_id: str) -> tuple[str, bool] | None:
    rows = [row for row in daemon.get("/health/agents")["agents"] if row["id"] == agent_id]
    return (rows[0]["status"], rows[0]["is_alive"]) if rows else None


def test_a_restarted_actor_is_stored_shown_and_in_the_tree(daemon: Any) -> None:
    status, _ = daemon.call("POST", "/runtime/actors/broadcaster/restart", {})

    assert status in (200, 202)
    wait_until(lambda: daemon.count("type = 'runtime.actor_restarted'") == 1, 10)
    tree = daemon.get("/runtime/actors")["tree"]
    broadcaster = next(child for child in tree["children"] if child["name"] == "broadcaster")
    assert (broadcaster["state"], broadcaster["restarts"]) == ("RUNNING", 1)


def test_many_clients_see_every_event_once(daemon: Any) -> None:
    seen: list[list[int]] = [[] for _ in range(5)]

    def watch(numbers: list[int]) -> None:
        with connect(daemon.url.replace("http", "ws", 1) + "/?types=data.*") as client:
            ready.release()
            while len(numbers) < 2000:
                frame = json.loads(client.recv(timeout=20))
                if frame["type"] == "redis_event":
                    numbers.append(frame["data"]["n"])

    ready = threading.Semaphore(0)
    watchers = [threading.Thread(target=watch, args=(numbers,)) for numbers in seen]
    for watcher in watchers:
        watcher.start()
    for _ in watchers:
        assert ready.acquire(timeout=10)
    publish_numbered(daemon.redis, 2000)
    for watcher in watchers:
        watcher.join(timeout=30)

    assert seen == [list(range(2000))] * 5
