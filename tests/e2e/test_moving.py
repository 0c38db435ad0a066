"""The whole move from the Node original, as docs/moving.md has it, on tables with data."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from .conftest import NOT_OURS, DaemonProcess

pytestmark = [pytest.mark.subprocess, pytest.mark.db, pytest.mark.redis, pytest.mark.slow]

TABLES = Path(__file__).with_name("hosted_tables.sql").read_text()
MORE = """
INSERT INTO events (type, payload, source)
  SELECT '5m', jsonb_build_object('symbol', 'TSLA', 'price', n), 'old-quotes'
  FROM generate_series(1, 2000) n;
INSERT INTO orchestrator_state (key, value)
  VALUES ('regime_state', '{"regime": "volatile", "trend": "bearish"}');
UPDATE orchestrator_state SET value = '{"enabled": true, "reason": "panic of 2024"}'
  WHERE key = 'killswitch_status';
"""
ENV = """
PORT=0
FRONT_ORIGIN=https://trading.mvp.com
REDIS_URL={redis}
PG_URL={postgres}
RATE_LIMIT_WINDOW=60000
RATE_LIMIT_MAX=600
"""


class Move:
    """The folder of someone who moves, with the original's `.env`."""

    def __init__(self, folder: Path, redis_url: str, pg_url: str) -> None:
        self.daemon = DaemonProcess(folder, "")
        self.env = folder / ".env"
        # A password, as the original's had one; the server does not ask for it.
        secret = pg_url.replace("://orchestrator@", "://orchestrator:s3cret@")
        assert secret != pg_url
        self.env.write_text(ENV.format(redis=redis_url, postgres=secret))
        self.env.chmod(0o644)

    def orc(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command of the operator's."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(NOT_OURS)}
        return subprocess.run(
            [sys.executable, "-m", "orchestrator", *words],
            env=inherited | {"ORCHESTRATOR_DATA_DIR": str(self.daemon.data)},
            capture_output=True,
            text=True,
            timeout=120,
            cwd=self.daemon.folder,
            check=False,
        )

    def doctor(self) -> dict[str, dict[str, Any]]:
        """What `doctor --from-node` finds, by name."""
        items = json.loads(self.orc("doctor", "--from-node", "-o", "json").stdout)["items"]
        return {item["name"].removeprefix("from node: "): item for item in items}


@pytest.fixture
def move(tmp_path: Path, redis_url: str, pg_url: str) -> Iterator[Move]:
    with psycopg.connect(pg_url, autocommit=True) as connection:
        connection.execute(TABLES.encode())
        connection.execute(MORE.encode())
    found = Move(tmp_path, redis_url, pg_url)
    yield found
    found.daemon.clean_up()


def test_tables_data_and_stop_of_the_original_are_taken_over(move: Move) -> None:
    refused = move.orc("config", "check")
    assert refused.returncode == 2
    assert "chmod o-rw" in refused.stderr
    move.env.chmod(0o600)
    assert move.orc("config", "check").returncode == 0

    found = move.doctor()
    assert found["tables"]["said"] == "2003 events and 2 agents are kept"
    for name in ("address", "host names", "killswitch", "types"):
        assert found[name]["level"] == "warning", found[name]
    assert move.orc("db", "rename-type", "5m", "data.market.{symbol}.5m").returncode == 0
    assert move.orc("db", "rename-type", "1m", "data.market.{symbol}.1m").returncode == 0
    assert move.doctor()["types"]["level"] == "ok"

    move.daemon.start()

    stop = move.daemon.get("/risk/killswitch")
    assert (stop["status"], stop["reason"]) == ("active", "panic of 2024")
    assert move.daemon.get("/regime/state")["regime"]["regime"] == "volatile"
    agents = {row["id"]: row["status"] for row in move.daemon.get("/health/agents")["agents"]}
    assert {"old-agent", "silent"} <= agents.keys()
    prices = move.daemon.get("/bus/events?type=data.market.TSLA.*&limit=200")
    assert len(prices["events"]) == 200
    newest = max(event["id"] for event in prices["events"])
    trip = stop["trips"][0]["trip_id"]
    body = {"reason": "moved", "trip_id": trip}
    assert move.daemon.call("POST", "/risk/killswitch/release", body)[0] == 200
    assert move.daemon.get("/risk/killswitch")["status"] == "inactive"
    event = {"type": "strategy.candidate", "payload": {"symbol": "AAPL"}}
    status, stored = move.daemon.call("POST", "/bus/events", event)
    assert (status, stored["id"] > newest) == (201, True)
