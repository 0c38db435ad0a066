"""Starts agents that act whenever they may (`trader.py`, `trader.js`), and reads when they did."""

import os
import shutil
import subprocess
import sys
import threading
import time
from bisect import bisect_left
from pathlib import Path
from typing import Self

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


class QuietLog:
    """Notes `quiet_s` all the time, so that it is known for any moment since; a context."""

    def __init__(self) -> None:
        self._noted: list[tuple[float, float]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._note()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)
        self._note()

    def _run(self) -> None:
        while not self._over.wait(0.05):
            self._note()

    def _note(self) -> None:
        self._noted.append((time.monotonic(), quiet_s()))

    def between(self, begin: float, end: float) -> float:
        """Quiet seconds from one monotonic moment to another one that is past; at least 0."""
        return max(0.0, self._at(end) - self._at(begin))

    def _at(self, moment: float) -> float:
        index = max(1, bisect_left(self._noted, (moment, 0.0)))
        (before, quiet), (after, later) = (*self._noted, (moment, quiet_s()))[index - 1 : index + 1]
        part = min(1.0, (moment - before) / (after - before)) if after > before else 1.0
        return quiet + part * (later - quiet)


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
