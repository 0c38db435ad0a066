import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from orchestrator.agents import Agent, BadState
from orchestrator.agents.state import MAX_STATE_BYTES, FileStore, State, state_file
from orchestrator.agents.testing import Bench


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kept" / "agent-1.json"


def test_what_was_set_is_there_in_the_next_run(path: Path) -> None:
    first = State(FileStore(path))
    first.set("position", {"AAPL": 10})
    first.update({"last": "order-7", "none": None})
    first.delete("none")
    first.delete("never")
    first.close()

    second = State(FileStore(path))

    assert second.names() == ("position", "last")
    assert (second.get("position"), second.get("none", 1)) == ({"AAPL": 10}, 1)
    assert json.loads(path.read_bytes()) == {"position": {"AAPL": 10}, "last": "order-7"}
    assert path.parent.stat().st_mode & 0o077 == 0


def test_a_value_that_was_got_is_a_copy(path: Path) -> None:
    state = State(FileStore(path))
    state.set("orders", [1])

    state.get("orders").append(2)

    assert state.get("orders") == [1]


@pytest.mark.parametrize(
    ("value", "why"), [({1, object()}, "no JSON"), ("x" * MAX_STATE_BYTES, "over 1 MiB")]
)
def test_what_cannot_be_kept_leaves_all_as_it_was(path: Path, value: Any, why: str) -> None:
    state = State(FileStore(path))
    state.set("good", 1)

    with pytest.raises(BadState, match=why):
        state.update({"good": 2, "bad": value})

    assert (state.get("good"), json.loads(path.read_bytes())) == (1, {"good": 1})


def test_a_disk_that_refuses_leaves_all_as_it_was(path: Path) -> None:
    state = State(FileStore(path))
    state.set("good", 1)
    path.with_name(f"{path.name}.new").mkdir()

    with pytest.raises(BadState, match="not kept"):
        state.set("good", 2)

    assert state.get("good") == 1


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"a": 1', b"\xff", b" " * (MAX_STATE_BYTES + 1)])
def test_a_damaged_file_is_never_taken_for_an_empty_one(path: Path, damage: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(damage)
    state = State(FileStore(path))

    for _attempt in range(2):
        with pytest.raises(BadState, match="damaged"):
            state.get("a")

    assert path.read_bytes() == damage


def test_a_second_process_does_not_get_it_until_the_first_ends(path: Path) -> None:
    first, second = State(FileStore(path)), State(FileStore(path))
    first.set("a", 1)

    with pytest.raises(BadState, match="running twice"):
        second.get("a")
    first.close()

    assert second.get("a") == 1


WRITER = """
import sys
from pathlib import Path
from orchestrator.agents.state import FileStore, State

state = State(FileStore(Path(sys.argv[1])))
number = state.get("n", 0)
while True:
    number += 1
    state.update({"n": number, "copy": number, "filler": "x" * 10_000})
    print(number, flush=True)
"""


def test_kill_9_at_any_moment_leaves_the_last_value_that_was_kept_or_the_next(path: Path) -> None:
    moments = random.Random(7)
    for _kill in range(4):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(moments.uniform(0, 0.03))  # any moment is right; the loop writes all the time
        os.kill(writer.pid, signal.SIGKILL)
        said = [line for line in writer.stdout.read().split(b"\n") if line]
        writer.stdout.close()
        writer.wait()

        state = State(FileStore(path))
        number = state.get("n")
        assert number == state.get("copy")
        if said:
            assert number in (int(said[-1]), int(said[-1]) + 1)
        state.close()


@pytest.mark.parametrize(
    ("agent_id", "folder", "environment", "expected"),
    [
        ("a-1", "/given", {"ORCHESTRATOR_STATE_DIR": "/daemon"}, "/given/a-1.json"),
        ("a-1", None, {"ORCHESTRATOR_STATE_DIR": "/daemon"}, "/daemon/a-1.json"),
        ("a-1", None, {"XDG_STATE_HOME": "/xdg"}, "/xdg/orchestrator/agents/a-1.json"),
        ("../etc/x", "/given", {}, "/given/..%2Fetc%2Fx.json"),
        ("..", "/given", {}, "/given/...json"),
    ],
)
def test_where_it_is(
    agent_id: str, folder: str | None, environment: dict[str, str], expected: str
) -> None:
    assert state_file(agent_id, folder, environment) == Path(expected)


def test_ids_too_long_for_a_file_have_files_of_their_own(tmp_path: Path) -> None:
    one, other = (state_file("/" * 127 + end, tmp_path, {}) for end in "ab")

    one.touch()
    assert one != other
    assert len(one.name) < 100


class Counter(Agent):
    """Counts its starts."""

    agent_id = "counter-1"

    def on_start(self) -> None:
        self.state.set("starts", self.state.get("starts", 0) + 1)


def test_an_agents_state_is_in_its_folder(tmp_path: Path) -> None:
    for _start in range(2):
        agent = Counter(state_dir=tmp_path)
        agent.on_start()
        agent.close()

    assert json.loads((tmp_path / "counter-1.json").read_bytes()) == {"starts": 2}


def test_on_a_bench_it_survives_a_restart_and_touches_no_disk(bench: Bench) -> None:
    bench.stop(bench.start(Counter))

    assert bench.start(Counter).state.get("starts") == 2
    assert Bench().start(Counter).state.get("starts") == 1


@pytest.fixture
def bench() -> Bench:
    return Bench()
