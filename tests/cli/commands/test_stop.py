"""An orderly end. A small process of the same signs stands in for the daemon; a real one is ended
so by the fixture `daemon`."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from orchestrator import cli
from orchestrator.cli.commands.stop import _force
from orchestrator.cli.offline.running_daemon import ProcessEnd, RunningDaemon

STAND_IN = """
import json, os, signal, sys, time
folder, way = sys.argv[1:]
lock = os.open(folder + "/lock", os.O_RDWR | os.O_CREAT)
os.write(lock, json.dumps({"pid": os.getpid()}).encode())
asked = []

def on_sigterm(*_):
    asked.append(1)
    if way == "crashes":
        os._exit(1)
    if way == "drains" or len(asked) >= 2:
        os.unlink(folder + "/servers.json")
        os._exit(0)

signal.signal(signal.SIGTERM, on_sigterm)
if way == "late":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
with open(folder + "/servers.json", "w") as file:
    json.dump({"pid": os.getpid(), "http": "http://127.0.0.1:1"}, file)
print("up", flush=True)
if way == "late":
    while signal.SIGTERM not in signal.sigpending():
        time.sleep(0.01)
    time.sleep(0.2)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
while True:
    time.sleep(60)
"""

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a stand-in that ends in one of its ways."""
    (tmp_path / "data").mkdir()

    with ExitStack() as stack:

        def started(way: str, env: str = "dev") -> subprocess.Popen[str]:
            text = f'[instance]\nname = "desk"\nenv = "{env}"\n[data]\ndir = "data"\n'
            (tmp_path / "supervisor.toml").write_text(text)
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", STAND_IN, str(tmp_path / "data"), way],
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(process.kill)
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
            return process

        yield started


def stop(folder: Path, *words: str) -> int:
    return cli.run(["--no-input", "stop", "-c", str(folder / "supervisor.toml"), *words])


def test_it_waits_for_an_orderly_end_and_says_that_trading_is_not_stopped(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process = start("drains")

    code = stop(tmp_path)

    said = capsys.readouterr()
    assert (code, process.wait(10)) == (0, 0)
    assert said.out.startswith("desk  ended in order, after ")
    assert f"ending desk (DEV), pid {process.pid}. No stop is engaged, that is `halt`" in said.err
    assert "agents with a gate halt within 3.5 s, agents without one go on" in said.err


@pytest.mark.parametrize("way", ["forced", "late"], ids=["", "two signals come as one"])
def test_one_that_drains_too_long_is_ended_by_force(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str], way: str
) -> None:
    process = start(way)

    code = stop(tmp_path, "--drain", "0s", "-o", "json")

    found = json.loads(capsys.readouterr().out)
    assert (code, process.wait(10)) == (7, 0)
    assert (found["kind"], found["how"], found["pid"]) == ("stop", "forced", process.pid)


def test_one_that_ended_before_it_was_forced_was_not_forced(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait(60)

    assert not _force(RunningDaemon(process.pid, tmp_path), ProcessEnd(process.pid, None), 1.0)


def test_an_end_that_left_its_announcement_was_none_in_order(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start("crashes")

    assert stop(tmp_path) == 1
    assert "ended, but not in order" in capsys.readouterr().err


def test_a_live_one_is_not_ended_without_its_name(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process = start("drains", "live")

    refused = stop(tmp_path)

    assert refused == 2
    assert "End desk (LIVE)" in capsys.readouterr().err
    assert process.poll() is None
    assert stop(tmp_path, "--yes") == 0


@pytest.mark.parametrize("words", [("--drain", "soon"), ()])
def test_nothing_is_sent_to_a_process_that_is_none_of_ours(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "supervisor.toml").write_text('[data]\ndir = "data"\n')
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        (tmp_path / "data" / "lock").write_text(json.dumps({"pid": other.pid}))

        code = stop(tmp_path, *words)

        assert code == (2 if words else 3)
        assert other.poll() is None
        other.kill()


@pytest.mark.parametrize("words", [("--url", "http://desk-b:8090"), ("--context", "desk-b")])
def test_a_daemon_elsewhere_is_no_reason_to_end_the_one_of_this_folder(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    process = start("drains")

    assert stop(tmp_path, *words) == 2
    assert "`stop` ends the daemon of this folder" in capsys.readouterr().err
    assert process.poll() is None


def test_it_is_never_proposed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["stopp"]) == 2
    assert "to end the daemon see `orchestrator stop --help`" in capsys.readouterr().err
