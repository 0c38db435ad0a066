import json
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from orchestrator.cli.client.rest import Client
from orchestrator.cli.commands.incident import _source
from orchestrator.cli.incident.export import ANSWERS, settings_hash, versions
from orchestrator.cli.incident.sources import DaemonSource
from orchestrator.cli.local_settings import read_settings
from orchestrator.cli.options import Invocation

from ..conftest import Orc, RunningDaemon, started_daemon

DOWN = "http://127.0.0.1:1"
SECRET = "s3cret-of-a-desk"  # noqa: S105 - looked for in the archive


class Opened:
    """An archive, read whole."""

    def __init__(self, file: Path) -> None:
        with zipfile.ZipFile(file) as archive:
            assert archive.testzip() is None
            names = archive.namelist()
            assert {name.partition("/")[0] for name in names} == {file.stem}
            self.files = {name.partition("/")[2]: archive.read(name).decode() for name in names}

    def __getitem__(self, name: str) -> Any:
        return json.loads(self.files[name])

    def lines(self, name: str) -> list[Any]:
        return [json.loads(line) for line in self.files[name].splitlines()]

    @property
    def missing(self) -> dict[str, str]:
        return {one["part"]: one["why"] for one in self["manifest.json"]["missing"]}


@pytest.fixture(scope="module")
def logging_daemon(server_folder: Path) -> Iterator[RunningDaemon]:
    """A daemon with a log file."""
    folder = server_folder / "incident-daemon"
    folder.mkdir(mode=0o711)
    with started_daemon(folder, more=f'[log]\nfile = "{folder / "log.jsonl"}"\n') as daemon:
        yield daemon


@pytest.mark.subprocess
def test_an_incident_of_a_running_daemon_is_whole(logging_daemon: RunningDaemon) -> None:
    daemon = logging_daemon
    daemon.orc("event", "emit", "strategy.odd", '{"text": "<script>alert(1)</script>"}')
    halted = daemon.orc("halt", "--reason", "<b>fat finger</b>", "-o", "json")
    stored = daemon.orc("event", "emit", "strategy.last", "{}", "-o", "json")
    wait_stored(daemon, stored.json["id"])

    done = daemon.orc(
        "incident", "export", "--around", "1s", "--window", "30m", "--out", "i.zip", "-o", "json"
    )

    found = Opened(daemon.folder / "i.zip")
    trip = halted.json["trip_id"]
    events = found.lines("events.jsonl")
    assert done.code == 0, done.err
    assert done.json["missing"] == []
    assert found.missing == {}
    assert {"strategy.odd", "risk.killswitch", "strategy.last"} <= {one["type"] for one in events}
    assert [one["id"] for one in events] == sorted(one["id"] for one in events)
    assert {one["type"] for one in found.lines("agents.jsonl")} <= {one["type"] for one in events}
    assert {act["trip_id"] for act in found.lines("acts.jsonl")} == {trip}
    assert found["state_before.json"]["killswitch"] is None
    assert found["state_after.json"]["killswitch"]["payload"]["trip_id"] == trip
    assert "dev-agent" in found["state_after.json"]["agents"]
    assert {*ANSWERS, "metrics.txt", "metrics_by_minute.json"} <= {*found.files}
    assert found["now/killswitch.json"]["enabled"] is True
    assert found["agent_logs/dev-agent.json"]["lines"] is not None
    assert "orchestrator_build_info" in found.files["metrics.txt"]
    assert trip in found.files["left/stop.json"]
    assert '"timestamp"' in found.files["log.txt"]
    assert "&lt;b&gt;fat finger" in found.files["index.html"]
    assert "<script>" not in found.files["index.html"]
    assert len(found["settings.json"]["sha256"]) == 64
    daemon.orc("killswitch", "release", trip, "--reason", "over", "--yes")


def wait_stored(daemon: RunningDaemon, event_id: int) -> None:
    """Until PostgreSQL has it."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        done = daemon.orc("journal", "status", "-o", "json")
        if done.json["waiting"] == {} or not sum(done.json["waiting"].values()):
            return
    pytest.fail(f"event {event_id} is not stored")


@pytest.mark.subprocess
def test_too_many_events_are_cut_and_said(logging_daemon: RunningDaemon) -> None:
    words = ("incident", "export", "--around", "1s", "--window", "1h", "--max-events", "2")

    done = logging_daemon.orc(*words, "--out", "cut.zip")

    found = Opened(logging_daemon.folder / "cut.zip")
    assert done.code == 7
    assert len(found.lines("events.jsonl")) == 2
    assert "cut after 2 events" in found.missing["events.jsonl"]
    assert "missing: events.jsonl" in done.err


@pytest.mark.subprocess
def test_a_daemon_elsewhere_is_asked_over_http(
    logging_daemon: RunningDaemon, orc: Orc, tmp_path: Path
) -> None:
    there = {"ORCHESTRATOR_URL": logging_daemon.url, "ORCHESTRATOR_DATA_DIR": str(tmp_path)}

    done = orc("incident", "export", "--around", "1s", "--out", "i.zip", **there)

    found = Opened(tmp_path / "i.zip")
    assert found["manifest.json"]["history_from"].startswith("the daemon at")
    assert found.lines("events.jsonl")
    assert "journalctl --since" in found.missing["log.txt"]
    assert done.code in (0, 7)


@pytest.mark.parametrize("elsewhere", [True, False])
def test_events_of_another_daemon_are_not_looked_for_in_the_database_of_this_machine(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    *,
    elsewhere: bool,
) -> None:
    file = tmp_path / "supervisor.toml"
    file.write_text('[data]\ndir = "data"\n[postgres]\nurl = "postgresql://127.0.0.1:1/x"\n')
    (tmp_path / "orchestrator").mkdir()
    contexts = '[contexts]\n[contexts."b"]\nurl = "http://desk-b:8090"\n'
    (tmp_path / "orchestrator" / "contexts.toml").write_text(contexts)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    invocation = Invocation(context="b" if elsewhere else None)

    with Client.of(invocation) as client:
        source = _source(invocation, client, read_settings(file), file)

    assert isinstance(source, DaemonSource)
    assert bool(capsys.readouterr().err) is not elsewhere  # of a database that was tried


@pytest.fixture
def left(orc: Orc, pg_url: str, tmp_path: Path) -> Iterator[psycopg.Connection]:
    """A database, settings and a log that a daemon left."""
    settings = (
        f'[data]\ndir = "{tmp_path / "data"}"\n[postgres]\nurl = "{pg_url}"\n'
        f'[log]\nfile = "{tmp_path / "log"}"\n'
        f'[redis]\nurl = "redis://:{SECRET}@127.0.0.1:1/0"\n'
    )
    (tmp_path / "supervisor.toml").write_text(settings)
    (tmp_path / "supervisor.toml").chmod(0o600)
    (tmp_path / "log").write_text("2026-01-31T12:00:00.500Z warning it happened\n")
    (tmp_path / "data").mkdir(mode=0o700)
    pending = {"id": "1", "at": "2026-01-31T12:00:02.000Z", "action": "agent.stop"}
    (tmp_path / "data" / "audit.pending").write_text(json.dumps(pending) + "\n")
    assert orc("db", "migrate").code == 0
    with psycopg.connect(pg_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO events (id, type, source, ts, payload) SELECT n, 'strategy.x', 's',"
            " '2026-01-31T11:00:00Z'::timestamptz + n * interval '1 second', '{}'"
            " FROM generate_series(1, 7200) AS n"
        )
        connection.execute(
            "INSERT INTO events (id, type, ts, payload) VALUES"
            " (8001, 'risk.killswitch', '2026-01-31T10:00:00Z', '{\"enabled\": false}'),"
            " (8002, 'risk.killswitch', '2026-01-31T12:00:00Z',"
            '  \'{"enabled": true, "reason": "x", "triggered_by": "anna"}\'),'
            " (8003, 'risk.killswitch', '2026-01-31T13:30:00Z', '{\"enabled\": false}')"
        )
        connection.execute(
            "INSERT INTO orchestrator_audit (id, at, action, outcome) VALUES"
            " ('01A', '2026-01-31T11:00:00Z', 'early', 'done'),"
            " ('01B', '2026-01-31T12:00:01Z', 'killswitch.engage', 'done'),"
            " ('01C', '2026-01-31T13:00:00Z', 'late', 'done')"
        )
        yield connection


@pytest.mark.db
@pytest.mark.usefixtures("left")
def test_a_daemon_that_is_away_leaves_database_and_files(orc: Orc, tmp_path: Path) -> None:
    when = ("--around", "2026-01-31T12:00:00Z", "--window", "1m")

    done = orc("--url", DOWN, "incident", "export", *when, "--out", "i.zip")

    found = Opened(tmp_path / "i.zip")
    assert done.code == 7
    assert "going on without it" in done.err
    assert [one["id"] for one in found.lines("events.jsonl")] == [*range(3540, 3661), 8002]
    assert [act["action"] for act in found.lines("acts.jsonl")] == ["killswitch.engage"]
    assert found["state_before.json"]["killswitch"]["id"] == 8001
    assert found["state_after.json"]["killswitch"]["id"] == 8002
    assert "it happened" in found.files["log.txt"]
    assert found.lines("left/acts.jsonl")[0]["action"] == "agent.stop"
    assert {"now/health.json", "metrics.txt"} <= {*found.missing}
    assert "<td>no stop in force</td><td>stopped by anna: x</td>" in found.files["index.html"]
    assert not [name for name, text in found.files.items() if SECRET in text]


@pytest.mark.subprocess
def test_with_nothing_at_all_the_archive_says_so(orc: Orc, tmp_path: Path) -> None:
    nowhere = {"PG_URL": "postgresql://127.0.0.1:1/x", "ORCHESTRATOR_DATA_DIR": str(tmp_path / "d")}

    done = orc("--url", DOWN, "incident", "export", "--around", "1h", "--out", "i.zip", **nowhere)

    found = Opened(tmp_path / "i.zip")
    assert done.code == 7
    assert "neither the daemon nor the database" in found.missing["events.jsonl"]
    assert "What is missing" in found.files["index.html"]
    assert found["versions.json"]["python"]


@pytest.mark.subprocess
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--around", "yesterday"), "is not a time"),
        (("--around", "1h", "--window", "8d"), "up to 7 d"),
        (("--around", "1h", "--window", "0s"), "up to 7 d"),
        (("--around", "1h", "--out", "there.zip"), "already exists"),
        (("--around", "0001-01-01T00:00:00Z"), "out of range"),
    ],
)
def test_wrong_usage_is_refused(
    orc: Orc, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    (tmp_path / "there.zip").write_text("kept")

    done = orc("--url", DOWN, "incident", "export", *words)

    assert done.code == 2
    assert said in done.err
    assert (tmp_path / "there.zip").read_text() == "kept"


def test_the_hash_tells_settings_apart_but_not_where_they_come_from() -> None:
    one: list[dict[str, Any]] = [
        {"key": "a", "value": 1, "origin": "file"},
        {"key": "b", "value": "***", "origin": "x"},
    ]
    same: list[dict[str, Any]] = [
        {"key": "b", "value": "***", "origin": "y"},
        {"key": "a", "value": 1, "origin": "env"},
    ]

    assert settings_hash(one) == settings_hash(same)
    assert settings_hash(one) != settings_hash([{"key": "a", "value": 2}, one[1]])


def test_versions_name_what_is_installed() -> None:
    assert {"click", "redis", "gevent"} <= {*versions()["packages"]}
