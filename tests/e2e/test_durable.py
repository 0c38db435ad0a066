"""Durable messages, jumps, canaries: on a daemon that runs as users run it."""

import json
import os
import re
import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from quiet_clock import quiet_s

pytestmark = [pytest.mark.subprocess, pytest.mark.slow, pytest.mark.timeout(300)]

STREAM = "orchestrator:events"


def wait_until(condition: Callable[[], object], limit_s: float = 30.0) -> None:
    end = quiet_s() + limit_s
    while not condition():
        assert quiet_s() < end, f"not within {limit_s:g} s"
        time.sleep(0.05)


def add(client: Any, *numbers: int) -> None:
    for number in numbers:
        payload = json.dumps({"n": number, "source": "durable"})
        client.xadd(STREAM, {"channel": "strategy.order", "payload": payload})


def stored(daemon: Any) -> list[int]:
    query = "SELECT (payload->>'n')::int FROM events WHERE source = 'durable' ORDER BY id"
    return [row[0] for row in daemon.rows(query)]


def gaps(daemon: Any, cause: str) -> list[dict[str, Any]]:
    events = daemon.get("/bus/events?type=bus.gap&limit=200")["events"]
    return [event["payload"] for event in events if event["payload"]["cause"] == cause]


def test_what_was_added_while_the_daemon_was_down_is_stored_and_what_was_trimmed_is_counted(
    daemon: Any,
) -> None:
    add(daemon.redis, 1, 2, 3)
    wait_until(lambda: stored(daemon) == [1, 2, 3])
    daemon.kill()
    add(daemon.redis, *range(4, 14))
    daemon.redis.xtrim(STREAM, maxlen=4, approximate=False)

    daemon.start()

    wait_until(lambda: stored(daemon) == [1, 2, 3, 10, 11, 12, 13])
    wait_until(lambda: [gap["count"] for gap in gaps(daemon, "stream")] == [6])
    wait_until(lambda: daemon.redis.xlen(STREAM) == 0)
    assert daemon.metric("orchestrator_stream_reading") == 1


def test_flushall_is_one_gap_that_nobody_can_count(daemon: Any) -> None:
    add(daemon.redis, 1, 2)
    wait_until(lambda: stored(daemon) == [1, 2])

    daemon.redis.flushall()
    wait_until(lambda: gaps(daemon, "stream"))
    add(daemon.redis, 3)

    wait_until(lambda: stored(daemon) == [1, 2, 3])
    assert [gap["count"] for gap in gaps(daemon, "stream")] == [None]


def test_a_durable_stop_engages_by_the_stream_alone_too(daemon: Any) -> None:
    payload = json.dumps({"enabled": True, "reason": "margin", "trip_id": "t1", "durable": True})
    daemon.redis.xadd(STREAM, {"channel": "risk.killswitch", "payload": payload})

    wait_until(lambda: daemon.get("/risk/killswitch")["status"] == "active", 5)
    daemon.redis.publish("risk.killswitch", payload)
    wait_until(lambda: daemon.count("type = 'risk.killswitch'") == 1)


def test_a_jump_in_a_producers_numbers_is_said_exactly_and_no_restart_invents_one(
    daemon: Any,
) -> None:
    client = daemon.redis

    def publish(*numbers: int) -> None:
        for number in numbers:
            fields = {"source": "feed", "seq": number, "boot": "b"}
            client.publish("data.market.AAPL.1m", json.dumps(fields))

    publish(1, 2, 3, 7)
    wait_until(lambda: gaps(daemon, "sequence"), 10)
    daemon.kill()
    publish(8, 9, 10)
    daemon.start()
    publish(11, 12)
    wait_until(lambda: daemon.count("source = 'feed' AND type <> 'bus.gap'") == 6)
    time.sleep(3)  # so long a jump is waited for

    (gap,) = gaps(daemon, "sequence")
    assert {key: gap[key] for key in ("source", "channel", "first", "last", "count")} == {
        "source": "feed",
        "channel": "data.market.AAPL.1m",
        "first": 4,
        "last": 6,
        "count": 3,
    }


def _channel(subscribed: Any) -> bytes | None:
    """Of the next message; None where the next reply is that it is subscribed."""
    found = subscribed.get_message(timeout=10)
    assert found is not None
    return found["channel"] if found["type"] == "pmessage" else None


def test_the_canary_is_measured_and_seen_nowhere(daemon: Any) -> None:
    wait_until(lambda: daemon.metric("orchestrator_bus_visible") == 1)
    wait_until(lambda: daemon.metric("orchestrator_bus_canary_rtt_seconds") > 0)
    with daemon.redis.pubsub() as everything:
        everything.psubscribe("*")
        channels = {_channel(everything) for _ in range(5)} - {None}

    assert {channel.rpartition(b".")[0] for channel in channels} == {b"orchestrator.canary"}
    assert daemon.get("/health/agents")["agents"] == []
    assert daemon.count("type = 'heartbeat'") == 0
    assert daemon.count("strpos(payload::text, 'canary') > 0") == 0
    assert daemon.metric("orchestrator_bus_canary_rtt_seconds") < 1


def test_the_example_in_javascript_is_stored_once_and_heard_at_once(
    daemon: Any, node_modules: Path, tmp_path: Path
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "durable.md").read_text()
    (example,) = re.findall(r"```js\n(.*?)```", page, re.DOTALL)
    (tmp_path / "example.mjs").write_text(example)
    (tmp_path / "node_modules").symlink_to(node_modules)
    with daemon.redis.pubsub(ignore_subscribe_messages=True) as live:
        live.subscribe("strategy.order")
        environment = os.environ | {"REDIS_URL": daemon.told["redis"]}
        command = ["node", str(tmp_path / "example.mjs")]
        ran = subprocess.run(command, env=environment, timeout=60, capture_output=True, check=False)

        assert (ran.returncode, ran.stderr) == (0, b"")
        query = "SELECT payload FROM events WHERE source = 'my-agent' ORDER BY id"
        wait_until(lambda: len(daemon.rows(query)) == 2)
        payloads = [row[0] for row in daemon.rows(query)]
        assert [(payload["side"], payload["seq"]) for payload in payloads] == [
            ("BUY", 1),
            ("SELL", 2),
        ]
        heard = [live.get_message(timeout=5) for _ in range(3)]
        found = [json.loads(message["data"]) for message in heard if message]
        assert found == payloads
    # Two copies were withheld, and both were found in the stream: none was given up.
    assert daemon.metric("orchestrator_durable_copies_total") == 4


def test_in_strict_mode_a_redis_that_endangers_events_is_refused_until_it_is_mended(
    new_daemon: Callable[..., Any], redis_url: str, pg_url: str
) -> None:
    settings = f'[redis]\nurl = "{redis_url}"\nstrict = true\n[postgres]\nurl = "{pg_url}"\n'
    dangerous = {
        "client-output-buffer-limit": "pubsub 1mb 1mb 1",
        "maxmemory": "100mb",
        "maxmemory-policy": "allkeys-lru",
        "appendonly": "no",
    }
    with redis.Redis.from_url(redis_url) as client:
        before = {name: client.config_get(name)[name] for name in dangerous}
        for name, value in dangerous.items():
            client.config_set(name, value)
        daemon = new_daemon(settings + "[http]\nport = 0\n")
        code = daemon.launch().wait(timeout=60)
        commands = re.findall(r"CONFIG SET [^;\n]+", daemon.log)
        for command in commands:
            client.execute_command(*shlex.split(command))

        assert code == 1
        assert [command.split()[2] for command in commands] == [
            "client-output-buffer-limit",
            "maxmemory-policy",
            "appendonly",
        ]
        daemon.start()
        assert daemon.stop() == 0
        for name, value in before.items():
            client.config_set(name, value)
