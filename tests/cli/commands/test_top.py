import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from ..conftest import COMMAND_LIMIT_S, Double, Orc, RunningDaemon, clean_environ

ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"
ALLOWED = {"status": "inactive", "enabled": False, "trips": []}


def desk(double: Double) -> None:
    double.answers["/health"] = (200, {"status": "ok", "instance": "d", "env": "live"})
    double.answers["/ready"] = (200, {"checks": {"redis": {"ok": True}}})
    double.answers["/risk/killswitch"] = (200, ALLOWED)
    double.answers["/health/agents"] = (
        200,
        {"agents": [{"id": "a-up", "liveness": "up"}, {"id": "b-down", "liveness": "down"}]},
    )
    double.answers["/bus/types"] = (200, {"types": [{"type": "data.x", "count": 3}]})


def test_one_picture_for_a_script(double: Double, orc: Orc) -> None:
    desk(double)

    found = orc("--url", double.url, "top", "--once", "-o", "json").json

    assert (found["version"], found["kind"]) == (1, "top")
    assert [row["id"] for row in found["agents"]] == ["a-up", "b-down"]
    assert found["topics"] == [{"type": "data.x", "count": 3}]
    assert found["killswitch"]["status"] == "inactive"


def test_one_picture_in_a_pipe_has_trouble_first(double: Double, orc: Orc) -> None:
    desk(double)

    lines = orc("--url", double.url, "top", "--once").out.splitlines()

    assert lines[0].startswith("d  LIVE")
    assert lines[1].startswith("allowed everywhere")
    assert [line.split()[:2] for line in lines[-2:]] == [["down", "b-down"], ["up", "a-up"]]


def test_a_part_that_is_not_answered_is_an_error(double: Double, orc: Orc) -> None:
    desk(double)
    double.answers["/health/agents"] = (503, {"error": "Unavailable"})

    done = orc("--url", double.url, "top", "--once")

    assert done.code != 0
    assert "Unavailable" in done.err


def test_in_a_pipe_the_way_to_one_picture_is_said(double: Double, orc: Orc) -> None:
    desk(double)

    done = orc("--url", double.url, "top")

    assert done.code == 2
    assert "add --once" in done.err


@pytest.mark.subprocess
def test_on_a_terminal_keys_act_and_the_screen_is_back_at_the_end(daemon: RunningDaemon) -> None:
    done = daemon.on_a_terminal("top", typed="tsq")

    assert done.code == 0
    assert ENTER in done.out
    assert done.out.rstrip().endswith(LEAVE)
    assert "dev-agent" in done.out
    assert re.search(r"\d agents? by trouble   t s f space q", done.out)


@dataclass
class Top:
    """The command on a terminal of its own."""

    process: subprocess.Popen[bytes]
    terminal: int
    out: str = ""

    def typed(self, keys: str, *, shows: str) -> None:
        """Type, and wait until something is shown that has not been before."""
        seen = len(self.out)
        os.write(self.terminal, keys.encode())
        while shows not in self.out[seen:]:
            assert select.select([self.terminal], [], [], COMMAND_LIMIT_S)[0], self.out
            self.out += os.read(self.terminal, 65536).decode()

    def ends(self, number: signal.Signals) -> int:
        """Its exit code after a signal."""
        self.process.send_signal(number)
        while select.select([self.terminal], [], [], COMMAND_LIMIT_S)[0]:
            try:
                self.out += os.read(self.terminal, 65536).decode()
            except OSError:  # it has ended
                break
        return self.process.wait(COMMAND_LIMIT_S)


@contextmanager
def top(url: str, folder: Path) -> Iterator[Top]:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrator", "--url", url, "top"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=folder,
        env=clean_environ(COLUMNS="100", TERM="xterm-256color"),
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield Top(process, ours)
    finally:
        os.close(ours)
        process.kill()
        process.wait(10)


def test_a_frozen_picture_has_its_time_and_what_is_chosen_then_is_read(
    double: Double, tmp_path: Path
) -> None:
    desk(double)
    with top(double.url, tmp_path) as shown:
        shown.typed("", shows="2 agents by trouble")
        shown.typed(" ", shows="by trouble, frozen")
        assert "frozen, as of " in shown.out
        shown.typed("t", shows="by rate, frozen")
        assert "1 topic by rate, frozen" in shown.out
        ignored = int(_status(shown.process.pid)["SigIgn"], 16)
        code = shown.ends(signal.SIGTERM)

    assert code == 128 + signal.SIGTERM
    assert shown.out.endswith(LEAVE)
    assert ignored >> (signal.SIGTSTP - 1) & 1


def test_a_terminal_that_hangs_up_is_as_it_was(double: Double, tmp_path: Path) -> None:
    desk(double)
    with top(double.url, tmp_path) as shown:
        shown.typed("", shows="2 agents by trouble")
        code = shown.ends(signal.SIGHUP)

    assert code == 128 + signal.SIGHUP
    assert shown.out.endswith(LEAVE)


def test_without_readiness_trading_is_not_said_to_be_allowed(double: Double, orc: Orc) -> None:
    desk(double)
    double.answers["/ready"] = (404, {"error": "Not found"})

    lines = orc("--url", double.url, "top", "--once").out.splitlines()

    assert lines[1] == "no stop in force; whether the bus works is not known"


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)
