"""What the systemd unit must say; the guard's own tests show that it acts when the daemon dies."""

import re
import subprocess
from pathlib import Path

UNIT = Path(__file__).parents[2] / "deploy" / "orchestrator.service"


def settings_of(section: str) -> dict[str, list[str]]:
    """The section's settings, each with all its values (a key may repeat)."""
    found: dict[str, list[str]] = {}
    here = False
    for line in UNIT.read_text().splitlines():
        if line.startswith("["):
            here = line == f"[{section}]"
        elif here and "=" in line and not line.startswith(("#", ";")):
            key, value = line.split("=", 1)
            found.setdefault(key, []).append(value)
    return found


def test_systemd_kills_no_guard_together_with_a_dead_daemon() -> None:
    service = settings_of("Service")

    assert service["KillMode"] == ["process"]
    assert service.get("SendSIGKILL", ["yes"]) == ["yes"]  # but a daemon that hangs


def test_systemd_hears_the_daemon_alone() -> None:
    service = settings_of("Service")

    assert service["Type"] == ["notify"]
    assert service["NotifyAccess"] == ["main"]
    assert service["WatchdogSec"] == ["30"]


def test_systemd_finds_the_unit_valid_and_little_exposed(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(re.sub(r"(?m)^ExecStart=.*", "ExecStart=/bin/true", UNIT.read_text()))

    def analysed(*words: str) -> str:
        done = subprocess.run(
            ["systemd-analyze", *words, str(unit)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    assert analysed("verify", "--man=no") == ""
    exposure = re.search(r"exposure level.*: ([\d.]+)", analysed("security", "--offline=true"))
    assert exposure
    assert float(exposure[1]) <= 2
