import resource
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
from orchestrator.cli.client.rest import Client
from orchestrator.cli.doctor.check_results import CheckResult, Level
from orchestrator.cli.doctor.machine import check_daemon, check_machine
from orchestrator.cli.local_settings import Place
from orchestrator.settings import load
from ports import free_port

from ..conftest import Double


def place(folder: Path, port: int = 0) -> Place:
    return Place(load(None, {"ORCHESTRATOR_DATA_DIR": str(folder), "PORT": str(port)}))


def by_name(results: Iterable[CheckResult]) -> dict[str, CheckResult]:
    return {result.name: result for result in results}


def test_a_directory_that_is_not_there_yet_will_be_made(tmp_path: Path) -> None:
    found = by_name(check_machine(place(tmp_path / "new" / "data")))["data directory"]

    assert (found.level, found.said) == (Level.OK, f"{tmp_path}/new/data (will be created)")


@pytest.mark.parametrize(
    ("free_bytes", "level"),
    [(10 * 1024**3, Level.OK), (1024**3, Level.WARNING), (100 * 1024**2, Level.CRITICAL)],
)
def test_little_space_is_said_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_bytes: int, level: Level
) -> None:
    usage = type("Usage", (), {"free": free_bytes, "total": 100 * 1024**3})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)

    assert by_name(check_machine(place(tmp_path)))["disk"].level is level


def test_few_open_files_are_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))

    found = by_name(check_machine(place(tmp_path)))["open files"]

    assert (found.level, found.said) == (Level.WARNING, "limited to 1024, 4096 at most")


def test_a_free_port_is_free(tmp_path: Path) -> None:
    port = free_port()

    found = by_name(check_machine(place(tmp_path, port)))[f"port {port}"]

    assert (found.level, found.said) == (Level.OK, "free, the daemon does not run")


def test_the_daemons_own_port_is_told_from_anothers(tmp_path: Path, double: Double) -> None:
    port = int(double.url.rsplit(":", 1)[1])
    other = by_name(check_machine(place(tmp_path, port)))[f"port {port}"]
    double.answers["/health"] = (200, {"instance": "desk-a", "version": "1.0"})
    own = by_name(check_machine(place(tmp_path, port)))[f"port {port}"]

    assert (other.level, own.level) == (Level.CRITICAL, Level.OK)
    assert own.said == "the daemon answers: desk-a 1.0"


def test_what_the_daemon_says_of_itself_is_passed_on(double: Double) -> None:
    checks = {"redis": {"ok": False, "message": "refused"}, "journal": {"ok": True}}
    checks["postgres"] = {"ok": True, "message": "agents refuses 1", "warning": True}
    double.answers["/ready"] = (503, {"status": "not_ready", "checks": checks})

    with Client(double.url, timeout_s=5) as client:
        found = by_name(check_daemon(client))

    assert found["daemon: redis"].level is Level.CRITICAL
    assert found["daemon: journal"].level is Level.OK
    assert found["daemon: postgres"].level is Level.WARNING


def test_a_daemon_that_does_not_run_says_nothing() -> None:
    with Client("http://127.0.0.1:1", timeout_s=1) as client:
        assert list(check_daemon(client)) == []
