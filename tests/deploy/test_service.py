"""What the systemd unit must say; the guard's own tests show that it acts when the daemon dies."""

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
