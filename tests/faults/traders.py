"""Starts agents that act whenever they may (`trader.py`, `trader.js`), and reads when they did."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from quiet_clock import quiet_s

HERE = Path(__file__).parent
NODE_MODULES = HERE.parent / "e2e" / "node_modules"
FRESH_S = 0.3
"""An agent that has acted within so long acts."""


def managed_agent(agent_id: str, file: Path) -> str:
    """Settings of one that the daemon runs; it finds the module by `PYTHON_PATH`."""
    return (
        f'[agents.{agent_id}]\nmode = "process"\nclass = "trader:Trader"\n'
        f'options = {{ file = "{file}" }}\n'
    )


PYTHON_PATH = {"PYTHONPATH": str(HERE)}


class Acts:
    """What one agent has done, by its file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    @property
    def times(self) -> list[float]:
        """All acts, in monotonic seconds."""
        try:
            *lines, _ = self.file.read_text().split("\n")
        except FileNotFoundError:
            return []
        return [float(line) for line in lines]

    @property
    def last(self) -> float:
        """The last act; 0 without any."""
        return self.times[-1] if self.times else 0.0

    def goes_on(self) -> bool:
        """Whether it acts."""
        return time.monotonic() - self.last < FRESH_S

    def since(self, moment: float) -> list[float]:
        """Acts after a moment."""
        return [at for at in self.times if at > moment]


class External(Acts):
    """An agent of a process of its own, which no daemon manages.

    Args:
        agent_id: its id.
        file: where it writes.
        redis_url: its bus.
        node: whether it is the one in JavaScript.
    """

    def __init__(self, agent_id: str, file: Path, redis_url: str, *, node: bool = False) -> None:
        super().__init__(file)
        kit = ("-m", "orchestrator.agents.runner", "trader:Trader", "--id", agent_id)
        command = [sys.executable, *kit, "--option", f"file={file}"]
        if node:
            command = [_node(), str(HERE / "trader.js"), agent_id, str(file)]
        places = {**PYTHON_PATH, "NODE_PATH": str(NODE_MODULES), "REDIS_URL": redis_url}
        self.process = subprocess.Popen(
            command, cwd=HERE, env=os.environ | places, stderr=subprocess.DEVNULL
        )

    def end(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait(10)


def _node() -> str:
    program = shutil.which("node")
    assert program is not None, "Node is not installed"
    assert NODE_MODULES.exists(), f"npm install --prefix {NODE_MODULES.parent}"
    return program


class Since:
    """A moment, and how much of the time after it the machine was overcommitted."""

    def __init__(self) -> None:
        self.at = time.monotonic()
        self._quiet = quiet_s()

    def lasted(self, moment: float) -> float:
        """Quiet seconds from this moment to another one before now, at least 0."""
        passed = time.monotonic() - self.at
        lost = max(0.0, passed - (quiet_s() - self._quiet))
        return max(0.0, moment - self.at - lost)
