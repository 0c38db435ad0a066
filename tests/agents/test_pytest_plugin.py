import subprocess
import sys
from pathlib import Path

import pytest

TEST = """
from orchestrator.agents import Agent, on_event

pytest_plugins = ["orchestrator.agents.pytest_plugin"]


class Echo(Agent):
    @on_event("news.*")
    def on_news(self, event):
        self.publish("strategy.note", {"text": event.payload["text"]})


def test_it_answers(bench):
    bench.start(Echo)
    bench.deliver("news.signal.entity", text="hello")
    assert bench.published("strategy.note", text="hello")


def test_it_answers_wrongly(bench):
    bench.start(Echo)
    bench.deliver("news.signal.entity", words="hello")
"""


@pytest.mark.subprocess
def test_a_users_tests_get_a_bench(tmp_path: Path) -> None:
    (tmp_path / "test_echo.py").write_text(TEST)

    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert "1 failed, 1 passed" in done.stdout
    assert "KeyError: 'text'" in done.stdout
