"""A backup and the way back: nothing is lost up to the snapshot, and kept segments add the rest."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from orchestrator.runtime.embedded import EmbeddedValkey
from quiet_clock import quiet_s

from .conftest import NOT_OURS, SETTINGS, DaemonProcess

pytestmark = [pytest.mark.subprocess, pytest.mark.db, pytest.mark.redis]

KEEPING = f"{SETTINGS}[journal]\nkeep_hours = 1\nsegment_bytes = 65536\n"
WAIT_S = 60.0
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(NOT_OURS)}


def wait_for(condition: Callable[[], object], *, limit_s: float) -> None:
    end = quiet_s() + limit_s
    while not condition():
        assert quiet_s() < end, "not within the limit"
        time.sleep(0.02)


def orc(daemon: DaemonProcess, *words: str) -> subprocess.CompletedProcess[str]:
    """A command of the operator's, with the daemon's settings."""
    return subprocess.run(
        [sys.executable, "-m", "orchestrator", *words, "-c", str(daemon.settings)],
        env=ENVIRONMENT | {"ORCHESTRATOR_DATA_DIR": str(daemon.data)},
        capture_output=True,
        text=True,
        timeout=120,
        cwd=daemon.folder,
        check=False,
    )


def publish(daemon: DaemonProcess, numbers: range) -> None:
    pipe = daemon.redis.pipeline(transaction=False)
    for number in numbers:
        pipe.publish("strategy.backup", f'{{"n":{number},"text":"{"x" * 200}"}}')
    pipe.execute()


def stored(daemon: DaemonProcess) -> list[tuple[int, int]]:
    """Id and number of what is in the table, in order."""
    statement = "SELECT id, (payload->>'n')::int FROM events WHERE type = 'strategy.backup'"
    return [(row[0], row[1]) for row in daemon.rows(f"{statement} ORDER BY id")]


@pytest.fixture
def daemon(new_daemon: Callable[..., DaemonProcess]) -> DaemonProcess:
    daemon = new_daemon(KEEPING)
    daemon.start()
    return daemon


def test_a_restored_dump_and_the_kept_segments_lose_nothing(daemon: DaemonProcess) -> None:
    publish(daemon, range(2_000))
    wait_for(lambda: len(stored(daemon)) == 2_000, limit_s=WAIT_S)
    dumped = orc(daemon, "db", "dump", "orchestrator.dump")
    assert dumped.returncode == 0, dumped.stderr
    publish(daemon, range(2_000, 5_000))
    wait_for(lambda: len(stored(daemon)) == 5_000, limit_s=WAIT_S)
    before = stored(daemon)
    refused = orc(daemon, "db", "restore", "orchestrator.dump", "--yes")
    daemon.stop()

    restored = orc(daemon, "db", "restore", "orchestrator.dump", "--yes")
    daemon.start()

    assert refused.returncode == 1
    assert "stop the daemon first" in refused.stderr
    assert restored.returncode == 0, restored.stderr
    assert "were missing and are stored now" in restored.stdout
    assert stored(daemon) == before
    publish(daemon, range(5_000, 5_010))
    wait_for(lambda: len(stored(daemon)) == 5_010, limit_s=WAIT_S)
    assert stored(daemon)[-1][0] > before[-1][0]
    assert [n for _, n in stored(daemon)] == list(range(5_010))


def test_a_dump_alone_holds_all_up_to_its_snapshot(daemon: DaemonProcess) -> None:
    publish(daemon, range(500))
    wait_for(lambda: len(stored(daemon)) == 500, limit_s=WAIT_S)
    before = stored(daemon)
    orc(daemon, "db", "dump", "orchestrator.dump")
    daemon.rows("DELETE FROM events WHERE type = 'strategy.backup' RETURNING id")
    daemon.stop()
    for path in (daemon.data / "journal").rglob("*.seg"):
        path.unlink()

    restored = orc(daemon, "db", "restore", "orchestrator.dump", "--yes")
    daemon.start()

    assert restored.returncode == 0, restored.stderr
    assert stored(daemon) == before


def test_a_dump_that_is_none_changes_nothing(daemon: DaemonProcess) -> None:
    publish(daemon, range(50))
    wait_for(lambda: len(stored(daemon)) == 50, limit_s=WAIT_S)
    before = stored(daemon)
    daemon.stop()
    (daemon.folder / "broken.dump").write_bytes(b"PGDMP but not really")

    restored = orc(daemon, "db", "restore", "broken.dump", "--yes")
    daemon.start()

    assert restored.returncode == 1
    assert "pg_restore failed" in restored.stderr
    assert stored(daemon) == before


def test_a_database_that_was_set_back_is_refilled_from_the_segments(daemon: DaemonProcess) -> None:
    publish(daemon, range(3_000))
    wait_for(lambda: len(stored(daemon)) == 3_000, limit_s=WAIT_S)
    before = stored(daemon)
    daemon.rows("DELETE FROM events WHERE (payload->>'n')::int >= 1000 RETURNING id")
    daemon.stop()

    refilled = orc(daemon, "db", "refill", "-o", "jsonl")
    daemon.start()

    assert refilled.returncode == 0, refilled.stderr
    assert stored(daemon) == before


def test_a_copy_of_redis_persistence_holds_the_stream(server_folder: Path) -> None:
    first = EmbeddedValkey(server_folder / "valkey-first")
    with redis.Redis.from_url(first.start()) as client:
        for number in range(100):
            client.xadd("orchestrator:events", {"channel": "strategy.x", "payload": str(number)})
    assert first.pid() is not None
    os.kill(first.pid() or 0, signal.SIGKILL)  # what was acknowledged is on disk, whatever comes
    wait_for(lambda: not first.alive(), limit_s=WAIT_S)
    shutil.copytree(server_folder / "valkey-first", server_folder / "valkey-second")

    second = EmbeddedValkey(server_folder / "valkey-second")
    with redis.Redis.from_url(second.start()) as client:
        entries = client.xrange("orchestrator:events")
    second.stop()

    assert [int(fields[b"payload"]) for _, fields in entries] == list(range(100))
