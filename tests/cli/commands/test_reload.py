import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from orchestrator import cli

from ..conftest import Double, RunningDaemon


@pytest.fixture
def file(daemon: RunningDaemon) -> Iterator[Path]:
    """The settings of the daemon, which has them back at the end."""
    path = daemon.folder / "supervisor.toml"
    before = path.read_text()
    yield path
    path.write_text(before)
    assert daemon.orc("reload").code == 0


def reload(url: str, *words: str) -> int:
    return cli.run(["--timeout", "60", "--url", url, "reload", *words])


@pytest.mark.subprocess
def test_it_says_what_is_in_force_and_what_needs_a_restart(
    daemon: RunningDaemon, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(
        file.read_text().replace('heartbeat = "1d"', 'heartbeat = "2d"')
        + "[supervisor]\nintensity = 11\n"
    )

    code = reload(daemon.url)

    assert code == 0
    assert [line.split("  ", 1) for line in capsys.readouterr().out.splitlines()] == [
        ["READ", f"{' ' * 13}{file}"],
        ["IN FORCE", f"{' ' * 9}retention.heartbeat"],
        ["AT THE NEXT START", "supervisor.intensity"],
    ]
    again = daemon.on_a_terminal("reload")
    assert again.code == 0
    assert "\x1b[1mAT THE NEXT START\x1b[0m  supervisor.intensity" in again.out


@pytest.mark.subprocess
def test_settings_that_cannot_be_used_change_nothing(
    daemon: RunningDaemon, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(file.read_text() + "[nothing]\n")

    assert reload(daemon.url) == 1
    said = capsys.readouterr().err
    assert "error  the daemon says: The settings are wrong" in said
    assert "cause  supervisor.toml: nothing" in said


def test_what_could_not_change_is_exit_code_seven(
    double: Double, capsys: pytest.CaptureFixture[str]
) -> None:
    double.answers["/runtime/settings"] = (200, {"file": "/etc/o.toml"})
    found = {"outcome": "in_part", "agents": {"started": ["a", "b"]}, "problems": ["agent c: no"]}
    double.answers["/runtime/settings/reload"] = (202, {"reload": found})

    assert reload(double.url) == 7
    assert capsys.readouterr().out.splitlines() == [
        "READ            /etc/o.toml",
        "AGENTS STARTED  a, b",
        "PROBLEM         agent c: no",
    ]


def test_a_warning_is_shown_and_no_failure(
    double: Double, capsys: pytest.CaptureFixture[str]
) -> None:
    double.answers["/runtime/settings"] = (200, {"file": "/etc/o.toml"})
    found = {"outcome": "done", "agents": {}, "problems": [], "warnings": ["others may read it"]}
    double.answers["/runtime/settings/reload"] = (202, {"reload": found})

    assert reload(double.url) == 0
    assert capsys.readouterr().out.splitlines() == [
        "READ     /etc/o.toml",
        "WARNING  others may read it",
        "CHANGED  nothing",
    ]


@pytest.mark.subprocess
def test_tokens_come_by_a_reload_and_are_revoked_by_a_command(
    daemon: RunningDaemon,
    file: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tokens = {}
    for role, name in (("operator", "anna"), ("viewer", "guest")):
        assert cli.run(["token", "new", "--role", role, "--name", name, "-o", "json"]) == 0
        made = json.loads(capsys.readouterr().out)
        table = f'name = "{name}"\nrole = "{role}"\nsha256 = "{made["sha256"]}"\n'
        file.write_text(f"{file.read_text()}[[http.auth.tokens]]\n{table}")
        tokens[name] = made["token"]

    def run(name: str, *words: str) -> int:
        monkeypatch.setenv("ORCHESTRATOR_TOKEN", tokens[name])
        return cli.run(["--yes", "--timeout", "60", "--url", daemon.url, *words])

    assert reload(daemon.url, "-o", "json") == 0
    found = json.loads(capsys.readouterr().out)["reload"]
    assert (found["outcome"], found["changed"]) == ("done", ["http.auth.tokens"])
    assert run("guest", "agent", "ls") == 0

    revoked = run("anna", "token", "revoke", "guest", "-c", str(file))

    out = capsys.readouterr().out
    assert (revoked, "guest  taken out of" in out, "refused from now on" in out) == (0, True, True)
    assert not any(token in out for token in tokens.values())
    assert run("guest", "agent", "ls") == 4
    assert run("anna", "token", "revoke", "anna", "-c", str(file)) == 0
    assert run("guest", "agent", "ls") == 0, "without tokens everybody on this machine may"
