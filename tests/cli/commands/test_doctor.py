import json
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis

from ..conftest import Orc, RunningDaemon


def names(items: list[dict[str, str]], level: str) -> set[str]:
    return {item["name"] for item in items if item["level"] == level}


@pytest.mark.subprocess
def test_a_running_daemon_is_looked_at_all_over(daemon: RunningDaemon) -> None:
    done = daemon.orc("doctor", "-o", "json")

    items = done.json["items"]
    assert {item["name"] for item in items} >= {
        *("settings", "data directory", "disk", "open files", "redis", "redis version"),
        *("redis pubsub buffer", "redis eviction", "redis append-only file", "redis clock"),
        "redis permit",
        *("postgresql", "postgresql version", "schema", "row security", "postgresql clock"),
        *("daemon: redis", "daemon: postgres", "daemon: journal", "daemon: actors"),
    }
    assert names(items, "critical") == set()
    assert done.code in (0, 1)  # a small disk is a warning


@pytest.mark.redis
@pytest.mark.db
def test_an_empty_database_is_a_warning_and_exit_code_one(
    orc: Orc, redis_url: str, pg_url: str, tmp_path: Path
) -> None:
    urls = {"REDIS_URL": redis_url, "PG_URL": pg_url, "ORCHESTRATOR_DATA_DIR": str(tmp_path)}

    done = orc("doctor", "-o", "json", PORT="0", **urls)

    assert done.code == 1
    assert "schema" in names(done.json["items"], "warning")


def test_servers_that_are_away_are_exit_code_two_with_what_to_do(orc: Orc) -> None:
    done = orc("doctor", REDIS_URL="redis://127.0.0.1:1", PG_URL="postgresql://x@127.0.0.1:1/x")

    assert done.code == 2
    assert done.out.count("-> start it, correct ") == 2


def test_a_port_of_another_program_is_critical(orc: Orc, redis_url: str) -> None:
    port = str(urlsplit(redis_url).port)

    done = orc("doctor", "-o", "json", PORT=port)

    assert f"port {port}" in names(done.json["items"], "critical")


def test_a_data_directory_that_cannot_be_written_is_critical(orc: Orc, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    done = orc("doctor", "-o", "json", ORCHESTRATOR_DATA_DIR=str(tmp_path / "file" / "data"))

    assert "data directory" in names(done.json["items"], "critical")


def test_embedded_servers_wait_for_the_daemon(orc: Orc, tmp_path: Path) -> None:
    settings = '[redis]\nurl = "embedded"\n[postgres]\nurl = "embedded"\n[data]\ndir = "data"\n'
    (tmp_path / "supervisor.toml").write_text(settings)
    (tmp_path / "supervisor.toml").chmod(0o600)

    out = orc("doctor", PORT="0").out

    assert out.count("embedded: it will start with the daemon") == 2


def test_bad_settings_are_told_first(orc: Orc, tmp_path: Path) -> None:
    (tmp_path / "supervisor.toml").write_text("[http]\nprot = 1\n")

    assert orc("doctor").code == 2


@pytest.mark.subprocess
def test_an_agent_that_is_up_is_all_well(daemon: RunningDaemon) -> None:
    ended = threading.Event()

    def beat() -> None:
        with redis.Redis.from_url(daemon.redis_url) as bus:
            while not ended.wait(0.05):
                bus.publish("heartbeat.doc-1", json.dumps({"agent_id": "doc-1"}))

    agent = threading.Thread(target=beat)
    agent.start()
    try:
        done = daemon.orc("doctor", "agent", "doc-1", "-o", "json")
    finally:
        ended.set()
        agent.join(10)

    levels = {item["name"]: item["level"] for item in done.json["items"]}
    assert levels["registry"] == levels["heartbeat"] == levels["subscription"] == "ok"
    assert names(done.json["items"], "critical") == set()


@pytest.mark.subprocess
def test_an_agent_that_never_spoke_is_exit_code_two(daemon: RunningDaemon) -> None:
    done = daemon.orc("doctor", "agent", "nobody-1", "--wait", "0.2")

    assert done.code == 2
    assert "unknown to the daemon" in done.out
    assert "nothing from it in 20" in done.out
