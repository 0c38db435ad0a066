"""Data directory and database of a former version under this one, and the way back.

`former/` holds what a daemon left that was killed while PostgreSQL took nothing: 43 events stored,
10 more in the journal alone, and a stop in force.
"""

import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from orchestrator.cli.offline.postgres_programs import run_program

from ..cli.conftest import run_orc
from .conftest import DaemonProcess

pytestmark = [pytest.mark.subprocess, pytest.mark.db, pytest.mark.redis, pytest.mark.slow]

FORMER = sorted(Path(__file__).with_name("former").glob("*.tar.gz"))
SETTINGS = """
[redis]
url = "{redis}"
[postgres]
url = "{postgres}"
[http]
port = 0
"""
STORED = 43
MIGRATIONS = "SELECT count(*) FROM orchestrator_migrations"
EVENTS = "SELECT count(*) FROM events WHERE id <= 53"


def unpack(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    for path in (folder / "data").rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    (folder / "data").chmod(0o711)


def value(url: str, statement: str) -> int:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(statement.encode()).fetchone()
        assert row is not None
        return int(row[0])


@pytest.fixture(params=FORMER, ids=lambda path: path.name.removesuffix(".tar.gz"))
def former(
    request: pytest.FixtureRequest, tmp_path: Path, redis_url: str, pg_url: str
) -> Iterator[DaemonProcess]:
    """A daemon of this version, not started yet, on what a former one left."""
    unpack(request.param, tmp_path)
    with psycopg.connect(pg_url, autocommit=True) as connection:
        connection.execute((tmp_path / "database.sql").read_bytes())
    daemon = DaemonProcess(tmp_path, SETTINGS.format(redis=redis_url, postgres=pg_url))
    yield daemon
    daemon.clean_up()


def check_whole(daemon: DaemonProcess) -> None:
    """The stop is in force, and every event is there, those too that only the journal had."""
    stop = daemon.get("/risk/killswitch")
    assert (stop["status"], stop["reason"]) == ("active", "kept over the upgrade")
    assert daemon.get("/regime/state")["regime"]["regime"] == "volatile"
    page = daemon.get("/bus/events?type=strategy.candidate&limit=200&order=asc")
    assert [event["payload"]["n"] for event in page["events"]] == list(range(50))


def test_this_version_goes_on_where_a_former_one_was_killed(
    former: DaemonProcess, pg_url: str
) -> None:
    before = value(pg_url, MIGRATIONS)
    assert value(pg_url, EVENTS) == STORED

    former.start()

    check_whole(former)
    assert former.stop() == 0
    assert value(pg_url, EVENTS) == STORED + 10
    assert value(pg_url, MIGRATIONS) > before


def test_a_dump_and_a_copy_from_before_the_upgrade_bring_it_back(
    former: DaemonProcess, pg_url: str, tmp_path: Path
) -> None:
    dump = tmp_path / "before.dump"
    run_program("pg_dump", pg_url, "--format=custom", "--no-owner", f"--file={dump}")
    subprocess.run(["cp", "-a", former.data, tmp_path / "data.before"], check=True)
    former.start()
    former.call("POST", "/bus/events", {"type": "strategy.later", "payload": {}})
    former.stop()

    former.data.rename(tmp_path / "data.after")
    (tmp_path / "data.before").rename(former.data)
    words = ("db", "restore", str(dump), "--yes", "-c", str(former.settings))
    done = run_orc(tmp_path, words, "", {"ORCHESTRATOR_DATA_DIR": str(former.data)})

    assert done.code == 0, done.err
    assert value(pg_url, EVENTS) == STORED + 10  # those of the journal, too
    assert value(pg_url, "SELECT count(*) FROM events WHERE type = 'strategy.later'") == 0
    former.start()
    check_whole(former)
