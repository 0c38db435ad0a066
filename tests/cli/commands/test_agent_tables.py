"""``agent add|remove|set`` with a real daemon, which starts and stops what is written."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from orchestrator import cli
from orchestrator.cli.commands.agent_tables import _pair
from orchestrator.cli.errors import BadUsage

from ..conftest import Double, Orc, RunningDaemon

pytestmark = pytest.mark.subprocess

SLEEPER = "command=sleep 1000"
VALID = '# Ours.\n[agents.a]  # first\ncommand = ["sleep", "9"]\n'


@pytest.fixture
def file(daemon: RunningDaemon) -> Iterator[Path]:
    """The settings' file of the daemon, as it was after the test."""
    path = daemon.folder / "supervisor.toml"
    before = path.read_text()
    yield path
    path.write_text(before)
    assert daemon.orc("agent", "set", "dev-agent", "group=development", "--no-check").code == 0


def test_an_agent_is_added_changed_and_removed_while_the_daemon_runs(
    daemon: RunningDaemon, file: Path
) -> None:
    before = file.read_text()

    added = daemon.orc("agent", "add", "sleeper", SLEEPER, "env.A=1", "-o", "json")
    changed = daemon.orc("agent", "set", "sleeper", "shutdown_s=2", "env.A=2", "-o", "json")
    logs = daemon.orc("agent", "logs", "sleeper")
    written = file.read_text()
    removed = daemon.orc("agent", "remove", "sleeper", "-o", "json")
    gone = daemon.orc("agent", "logs", "sleeper")

    assert [done.json["done"] for done in (added, changed, removed)] == [
        "started",
        "restarted",
        "stopped",
    ]
    assert logs.code == 0
    assert written == before + (
        '\n[agents.sleeper]\ncommand = ["sleep", "1000"]\nenv = { A = "2" }\nshutdown_s = 2\n'
    )
    assert gone.code == 5
    assert file.read_text() == before
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_would_not_be_valid_is_not_written(daemon: RunningDaemon, file: Path) -> None:
    before = file.read_text()

    unknown = daemon.orc("agent", "add", "x", SLEEPER, "nonsense=1")
    missing = daemon.orc("agent", "add", "x", "command=no-such-program-here")
    twice = daemon.orc("agent", "add", "dev-agent", SLEEPER)
    nobody = daemon.orc("agent", "remove", "nobody")

    assert [done.code for done in (unknown, missing, twice, nobody)] == [2, 2, 1, 1]
    assert "agents.x.nonsense" in unknown.err
    assert "no program no-such-program-here" in missing.err
    assert "already" in twice.err
    assert file.read_text() == before


def test_a_file_that_the_daemon_does_not_read_is_not_touched(
    daemon: RunningDaemon, tmp_path: Path
) -> None:
    other = tmp_path / "other.toml"
    other.write_text(VALID)

    done = daemon.orc("agent", "remove", "a", "-c", str(other))

    assert (done.code, other.read_text()) == (1, VALID)
    assert "is not what the daemon" in done.err
    assert daemon.orc("agent", "remove", "a", "-c", str(other), "--no-reload").code == 0
    assert other.read_text() == "# Ours.\n"


def test_without_a_daemon_the_file_alone_is_changed(orc: Orc, tmp_path: Path) -> None:
    file = tmp_path / "supervisor.toml"
    file.write_text(VALID)
    file.chmod(0o640)

    done = orc("--url", "http://127.0.0.1:1", "agent", "set", "a", "shutdown_s=2")

    assert done.code == 0, done.err
    assert "next start" in done.err
    assert file.read_text() == f"{VALID}shutdown_s = 2\n"
    assert file.stat().st_mode & 0o777 == 0o640
    assert [*tmp_path.iterdir()] == [file]


def test_a_daemon_that_refuses_it_has_its_old_file_back(
    orc: Orc, double: Double, tmp_path: Path
) -> None:
    file = tmp_path / "supervisor.toml"
    file.write_text(VALID)
    double.answers["/runtime/settings"] = (200, {"file": str(file), "last_reload": None})
    double.answers["/health/agents"] = (200, {"agents": []})
    double.answers["/runtime/settings/reload"] = (409, {"error": "The settings are wrong"})

    done = orc("--url", double.url, "agent", "set", "a", "shutdown_s=2")

    assert (done.code, file.read_text()) == (1, VALID)
    assert "The settings are wrong" in done.err


def test_the_daemon_of_the_settings_is_asked_and_none_of_another_machine(
    double: Double, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "supervisor.toml"
    before = f"[http]\nport = {double.url.rpartition(':')[2]}\n{VALID}"
    file.write_text(before)
    double.answers["/runtime/settings"] = (200, {"file": str(file)})
    double.answers["/health/agents"] = (200, {"agents": []})
    double.answers["/runtime/settings/reload"] = (202, {"reload": {}})
    words = ["agent", "set", "a", "shutdown_s=2", "-c", str(file)]

    elsewhere = cli.run(["--url", "http://desk-b.invalid:8090", *words])
    unchanged = file.read_text()
    own = cli.run(words)

    assert (elsewhere, unchanged) == (1, before)
    assert "is of another machine, nothing is changed" in capsys.readouterr().err
    assert own == 0
    assert file.read_text() == f"{before}shutdown_s = 2\n"
    assert double.requests[-1][1] == "/runtime/settings/reload"


def test_an_agent_that_places_orders_is_not_added_unasked(orc: Orc, tmp_path: Path) -> None:
    (tmp_path / "supervisor.toml").write_text(VALID)
    words = ("agent", "add", "x", SLEEPER, "group=execution", "--no-reload")

    assert orc(*words).code == 2
    assert orc(*words, "--yes").code == 0


@pytest.mark.parametrize(
    ("group", "words"),
    [
        ("signals", ("group=execution",)),
        ("execution", ("shutdown_s=2",)),
        ("execution", ("group=signals",)),
    ],
)
def test_an_agent_that_places_orders_is_not_restarted_unasked(
    double: Double,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    group: str,
    words: tuple[str, ...],
) -> None:
    file = tmp_path / "supervisor.toml"
    before = f'{VALID}group = "{group}"\n'
    file.write_text(before)
    double.answers["/runtime/settings"] = (200, {"file": str(file)})
    double.answers["/health/agents"] = (200, {"agents": []})  # it does not beat

    code = cli.run(
        ["--url", double.url, "--no-input", "agent", "set", "a", *words, "-c", str(file)]
    )

    assert (code, file.read_text()) == (2, before)
    assert "it may place orders once it is restarted" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("class=m:C", ("class",), "m:C"),
        ("shutdown_s=2.5", ("shutdown_s",), 2.5),
        ("max_memory=256MiB", ("max_memory",), "256MiB"),
        ("env.N=1", ("env", "N"), "1"),
        ('env.N="1"', ("env", "N"), "1"),
        ("options.n=1", ("options", "n"), 1),
        ("command=sh -c 'a b'", ("command",), ["sh", "-c", "a b"]),
        ('command=["sh", "-c"]', ("command",), ["sh", "-c"]),
        ("max_memory=", ("max_memory",), None),
    ],
)
def test_values_are_toml_or_plain_words(text: str, path: tuple[str, ...], value: Any) -> None:
    assert _pair(text) == (path, value)


@pytest.mark.parametrize("text", ["class", "=1", "a..b=1", "command=node 'x"])
def test_what_is_no_pair_is_refused(text: str) -> None:
    with pytest.raises(BadUsage):
        _pair(text)
