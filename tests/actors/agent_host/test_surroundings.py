import threading
from pathlib import Path

from orchestrator.actors.agent_host.surroundings import hosted, in_thread
from orchestrator.agents import Agent
from orchestrator.agents.surroundings import within


def test_the_disk_is_written_by_a_thread_and_not_by_the_loop() -> None:
    assert in_thread(threading.get_native_id) != threading.get_native_id()


def test_state_is_kept_below_the_daemons_folder_unless_the_agent_says_else(tmp_path: Path) -> None:
    class Own(Agent):
        state_dir = tmp_path / "own"

    with within(hosted(tmp_path / "daemon")):
        for kind in (Agent, Own):
            agent = kind()
            agent.state.set("a", 1)
            agent.close()

    assert (tmp_path / "daemon" / "agent.json").read_bytes() == b'{"a":1}'
    assert (tmp_path / "own" / "own.json").exists()
