import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from orchestrator import cli
from orchestrator.cli.commands.halt import SILENCE_S
from orchestrator.cli.offline import halt_ways
from orchestrator.killswitch.answers import GIVE_UP_S
from quiet_clock import quiet_s

from .. import conftest
from ..conftest import Double, Orc, RunningDaemon, clean_environ, started_daemon

HALTED = {
    "status": "active",
    "enabled": True,
    "complete": True,
    "agents": {"acknowledged": ["a"], "quiet": ["a"]},
    "trip_id": "01T",
    "latched": True,
    "persisted": True,
    "published_to": 2,
}
NOBODY = "http://127.0.0.1:1"


@pytest.fixture
def released(daemon: RunningDaemon) -> Iterator[RunningDaemon]:
    """The daemon, which knows its agents; left without a stop in force."""
    daemon.wait_agents_known()
    yield daemon
    for trip in daemon.orc("killswitch", "status", "-o", "json").json["trips"]:
        daemon.orc("killswitch", "release", trip["trip_id"], "--reason", "tidy", "--yes")


@contextmanager
def silent_port() -> Iterator[str]:
    """Accepts connections (the kernel does) and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def settings(folder: Path, redis: str = "redis://127.0.0.1:1/0", more: str = "") -> Path:
    """Settings of a daemon that does not run, with a data directory; returns the latter."""
    data = folder / "data"
    data.mkdir(mode=0o700)
    text = f'[data]\ndir = "{data}"\n[redis]\nurl = "{redis}"\n[http]\n{more}\n'
    (folder / "supervisor.toml").write_text(text)
    (folder / "supervisor.toml").chmod(0o600)
    return data


@pytest.mark.subprocess
def test_a_stop_goes_at_once_and_shows_who_has_halted(released: RunningDaemon) -> None:
    done = released.orc("halt", "--reason", "fat finger on AAPL")

    lines = done.out.splitlines()
    assert done.code == 0, done
    assert lines[0] == "desk-test (DEV): level HALT for ALL. Agents with a gate halt."
    trip = lines[1].split()[1]
    assert "on disk" in lines[1]
    assert any(line.startswith("  dev-agent  ") for line in lines[2:])
    assert "1 of 1 agents have halted." in lines
    assert lines[-1] == f"Release: orchestrator killswitch release {trip} --reason ..."
    assert "fat finger on AAPL" in released.orc("killswitch", "status").out


@pytest.mark.subprocess
def test_level_and_scope_are_the_daemon_s(released: RunningDaemon) -> None:
    reduced = released.orc("halt", "agent:x", "--level", "reduce", "--reason", "x")
    mistyped = released.orc("halt", "x", "--reason", "x", "-o", "json").json

    assert "level REDUCE for agent:x. Only what reduces positions goes on." in reduced.out
    assert (mistyped["level"], mistyped["scope"]) == ("halt", "all")
    assert mistyped["agents"]["acknowledged"] == ["dev-agent"]


@pytest.mark.subprocess
def test_an_agent_of_the_daemon_acknowledges_a_reduce(released: RunningDaemon) -> None:
    done = released.orc("halt", "all", "--level", "reduce", "--reason", "x", "-o", "json")

    assert (done.json["level"], done.json["complete"]) == ("reduce", True)
    assert done.json["agents"]["acknowledged"] == ["dev-agent"]


@pytest.mark.subprocess
def test_where_http_is_silent_the_daemon_takes_a_file(released: RunningDaemon) -> None:
    with silent_port() as url:
        began = quiet_s()
        done = released.orc("--url", url, "halt", "--reason", "port is full")

    assert quiet_s() - began < 10
    assert done.code == 7
    assert "file worked: the daemon has taken" in done.err
    assert done.out.startswith("In force: the daemon has taken the file.")
    assert "port is full" in released.orc("killswitch", "status").out
    assert list((released.folder / "data").glob("TRIP.*.taken"))


@pytest.mark.parametrize("reason", [(), ("--reason", "  ")])
def test_a_reason_is_needed(double: Double, orc: Orc, reason: tuple[str, ...]) -> None:
    done = orc("--url", double.url, "halt", *reason)

    assert done.code == 2
    assert double.requests == []


def test_a_long_reason_is_cut(double: Double, orc: Orc) -> None:
    double.answers["/risk/killswitch"] = (200, HALTED)

    assert orc("--url", double.url, "halt", "--reason", "x" * 501).code == 0
    assert json.loads(double.requests[0][3])["reason"] == "x" * 500


def test_a_reason_from_a_latin_1_terminal_is_read(double: Double, tmp_path: Path) -> None:
    double.answers["/risk/killswitch"] = (200, HALTED)
    words = ["-m", "orchestrator", "--url", double.url, "halt", "--reason"]

    done = subprocess.run(
        [sys.executable, *words, "Übung".encode("latin-1")],
        env=clean_environ(PYTHONUTF8="1"),
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0
    assert json.loads(double.requests[0][3])["reason"] == "Übung"


def test_a_character_that_the_terminal_lacks_is_no_error(double: Double, orc: Orc) -> None:
    agents = {"acknowledged": ["日本"], "quiet": []}
    double.answers["/risk/killswitch"] = (200, HALTED | {"agents": agents})

    done = orc("--url", double.url, "halt", "--reason", "日本", PYTHONIOENCODING="latin-1")

    assert done.code == 0
    assert "\\u65e5\\u672c  halted" in done.out


def test_the_stop_is_the_very_first_request(double: Double, orc: Orc) -> None:
    double.answers["/risk/killswitch"] = (200, HALTED)

    done = orc("--url", double.url, "halt", "--reason", "x")

    assert done.code == 0
    assert double.requests[0][:2] == ("POST", "/risk/killswitch")


def test_a_stop_that_is_in_memory_only_is_done_in_part(double: Double, orc: Orc) -> None:
    answer = {"latched": False, "persisted": False, "published_to": 0, "already_active": True}
    double.answers["/risk/killswitch"] = (503, HALTED | answer)

    done = orc("--url", double.url, "halt", "--reason", "x")

    assert done.code == 7
    assert "NOT on disk yet   not in the database yet   no agent notified yet" in done.out
    assert "It was in force already." in done.out
    assert "In force in the daemon's memory only" in done.out


@pytest.mark.parametrize("kind", ["pending", "unreachable"])
def test_an_agent_that_is_missing_is_named(double: Double, orc: Orc, kind: str) -> None:
    agents = {"acknowledged": ["a"], "quiet": [], kind: ["b"]}
    double.answers["/risk/killswitch"] = (200, HALTED | {"agents": agents, "complete": False})

    done = orc("--url", double.url, "halt", "--reason", "x")

    assert done.code == 7
    assert "1 of 2 agents have halted.\n" in done.out
    assert f"  {kind}: b\n" in done.out


def test_while_it_is_not_known_who_must_halt_it_says_so(double: Double, orc: Orc) -> None:
    early = HALTED | {"complete": False, "agents_known": False}
    double.answers["/risk/killswitch"] = (200, early)

    done = orc("--url", double.url, "halt", "--reason", "x")
    shown = orc("--url", double.url, "killswitch", "status")

    assert done.code == 7
    assert "Not known yet who must halt" in done.out
    assert "Not known yet who must halt" in shown.out


def test_an_agent_that_halts_later_is_shown_as_it_does(double: Double, orc: Orc) -> None:
    waiting = HALTED | {"agents": {"acknowledged": [], "pending": ["a"]}, "complete": False}
    double.answers["/risk/killswitch"] = (200, waiting)
    later = threading.Timer(1.5, double.answers.update, [{"/risk/killswitch": (200, HALTED)}])
    later.start()

    done = orc("--url", double.url, "halt", "--reason", "x")

    later.join()
    assert done.code == 0
    assert "  a  quiet  " in done.out


def test_a_refused_stop_goes_no_other_way(double: Double, orc: Orc, tmp_path: Path) -> None:
    data = settings(tmp_path)
    double.answers["/risk/killswitch"] = (401, {"error": "Unauthorized"})

    assert orc("--url", double.url, "halt", "--reason", "x").code == 4
    assert list(data.iterdir()) == []


def test_where_no_way_works_it_is_not_halted(orc: Orc, tmp_path: Path) -> None:
    settings(tmp_path).rmdir()

    done = orc("--url", NOBODY, "halt", "--reason", "x")

    assert done.code == 3
    assert "error  NOT HALTED as far as is known" in done.err
    assert "redis-cli PUBLISH risk.killswitch" in done.err


@pytest.mark.parametrize(
    "words",
    [
        ("--context", "nobody"),
        ("--url", "ftp://x"),
        ("--url", "http://a..b"),
        ("--url", NOBODY, "--token-file", "there-is-none"),
        ("--url", "https://127.0.0.1:1", "--ca-file", "there-is-none"),
        ("--url", NOBODY, "--context", "x"),
    ],
)
def test_what_goes_wrong_before_the_request_leaves_the_other_ways(
    words: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = settings(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(halt_ways.by_file, "__kwdefaults__", {"limit_s": 0.0})

    assert cli.run([*words, "halt", "--reason", "x"]) == 7

    assert len(list(data.glob("TRIP.*"))) == 1
    assert "file worked" in capsys.readouterr().err


def test_without_daemon_and_redis_a_file_waits(orc: Orc, tmp_path: Path) -> None:
    data = settings(tmp_path)

    done = orc("--url", NOBODY, "halt", "group:execution", "--reason", "x", "-o", "json")

    [file] = data.iterdir()
    assert (done.code, done.json["way"], done.json["in_force"]) == (7, "file", False)
    found = json.loads(file.read_text())
    assert (found["reason"], found["scope"]) == ("x", "group:execution")
    assert "redis did not work" in done.err


def test_each_silent_way_costs_two_seconds_and_the_next_is_tried(orc: Orc, tmp_path: Path) -> None:
    path = tmp_path / "s"
    data = settings(tmp_path, more=f'control_socket = "{path}"')
    with silent_port() as url, socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        done = orc("--url", url, "--timeout", "30", "halt", "--reason", "x")

    said = [line.strip() for line in done.err.splitlines()]
    assert "no answer within 2 s" in said[0]
    assert said[1].endswith("control socket did not work: no answer within 2 s")
    assert "file worked" in said[2]
    assert "redis did not work" in said[3]
    assert len(list(data.glob("TRIP.*"))) == 1


def test_the_daemon_answers_before_the_caller_goes_on() -> None:
    assert GIVE_UP_S + 0.1 < SILENCE_S <= 2


@pytest.mark.subprocess
def test_a_frozen_daemon_does_not_keep_the_stop_from_redis(daemon: RunningDaemon) -> None:
    """Neither HTTP nor the socket answers, and the file is not taken."""
    pid = json.loads((daemon.folder / "data" / "servers.json").read_text())["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        done = daemon.orc("halt", "--reason", "frozen")
    finally:
        os.kill(pid, signal.SIGCONT)

    assert done.code == 7
    assert "redis worked: published to" in done.err
    assert done.out.startswith("Sent without the daemon.")
    end = quiet_s() + 20
    while "frozen" not in daemon.orc("killswitch", "status").out:
        assert quiet_s() < end
        time.sleep(0.2)
    while not list((daemon.folder / "data").glob("TRIP.*.taken")):
        assert quiet_s() < end
        time.sleep(0.2)
    trips = daemon.orc("killswitch", "status", "-o", "json").json["trips"]
    assert len([trip for trip in trips if trip["reason"] == "frozen"]) == 1
    for trip in trips:
        daemon.orc("killswitch", "release", trip["trip_id"], "--reason", "tidy", "--yes")


VENUE = """
class Venue:
    def send(self, order): print("sent", flush=True)
    def cancel_all(self): print("cancelled", flush=True)

connect = Venue
"""


@contextmanager
def readme_agent(folder: Path, redis_url: str) -> Iterator[subprocess.Popen[str]]:
    """The README's agent in a process of its own; ended afterwards."""
    text = (Path(__file__).parents[3] / "README.md").read_text()
    [program] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (folder / "readme_agent.py").write_text(VENUE + program)
    with subprocess.Popen(
        [sys.executable, "-m", "orchestrator", "agent", "run", "readme_agent:Execution"],
        env=clean_environ(REDIS_URL=redis_url, PYTHONPATH=str(folder)),
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    ) as agent:
        try:
            yield agent
        finally:
            agent.terminate()


@pytest.mark.subprocess
def test_the_agent_of_the_readme_halts(server_folder: Path, tmp_path: Path) -> None:
    folder = server_folder / "readme-daemon"  # one of its own, where no agent is left over
    folder.mkdir(mode=0o711)
    with started_daemon(folder) as daemon, readme_agent(tmp_path, daemon.redis_url) as agent:
        end = quiet_s() + 30
        while "execution-1" not in daemon.orc("agent", "ls", "-o", "json").out:
            assert quiet_s() < end
        daemon.wait_agents_known()
        done = daemon.orc("halt", "--reason", "x", "-o", "json")
        agent.terminate()
        out, _ = agent.communicate(timeout=20)

    assert done.code == 0, done
    assert "execution-1" in done.json["agents"]["acknowledged"]
    assert out.splitlines()[-1] == "cancelled"


@pytest.mark.subprocess
def test_where_http_is_silent_the_control_socket_is_next(
    server_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = server_folder / "socket-daemon"
    folder.mkdir(mode=0o711)
    path = folder / "s"
    more = f'[http]\ncontrol_socket = "{path}"\n'
    monkeypatch.setattr(conftest, "SETTINGS", conftest.SETTINGS.replace("[http]\n", more))
    with started_daemon(folder) as daemon, silent_port() as url:
        daemon.wait_agents_known()
        done = daemon.orc("--url", url, "halt", "--reason", "x")

    assert f"control socket worked: the daemon answered on {path}" in done.err
    assert done.code == 0, done
    assert "1 of 1 agents have halted." in done.out
    assert not list((folder / "data").glob("TRIP.*"))
