"""A daemon of its own for a benchmark: a process with embedded servers in a folder that goes."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_LIMIT_S = 120.0
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class System:
    """A running daemon."""

    url: str
    redis_url: str
    pg_url: str
    pid: int

    def get(self, path: str) -> Any:
        """A GET's JSON."""
        with urllib.request.urlopen(self.url + path, timeout=30) as response:
            return json.load(response)

    def metrics(self) -> dict[str, float]:
        """All samples of ``/metrics``, by name and labels as printed."""
        with urllib.request.urlopen(self.url + "/metrics", timeout=30) as response:
            lines = response.read().decode().splitlines()
        samples = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, value in samples}


@contextmanager
def system(settings_of_agents: str = "", **environment: str) -> Iterator[System]:
    """Start a daemon, without agents by default; stop it and remove its folder at the end."""
    folder = Path(tempfile.mkdtemp(prefix="orchestrator-bench-"))
    folder.chmod(0o711)
    port = _free_port()
    settings = folder / "supervisor.toml"
    servers = '[redis]\nurl = "embedded"\n[postgres]\nurl = "embedded"\n'
    settings.write_text(servers + settings_of_agents)
    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrator", "run", "-c", str(settings)],
        env=os.environ
        | {
            "PORT": str(port),
            "ORCHESTRATOR_DATA_DIR": str(folder / "data"),
            "RATE_LIMIT_MAX": "1000000",
        }
        | environment,
        stdout=log,
        stderr=log,
        cwd=folder,
    )
    try:
        yield _when_ready(process, port, folder)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


def _when_ready(process: subprocess.Popen[bytes], port: int, folder: Path) -> System:
    url, limit = f"http://127.0.0.1:{port}", time.monotonic() + START_LIMIT_S
    while True:
        assert process.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < limit, (folder / "log").read_text()
        try:
            urllib.request.urlopen(url + "/ready", timeout=5).close()
            break
        except OSError:
            time.sleep(0.1)
    servers = json.loads((folder / "data" / "servers.json").read_text())
    return System(url, servers["redis"], servers["postgres"], process.pid)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
