"""A daemon in test mode for ``selftest``: started for the run, then gone with all it had."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from ..errors import Failure

START_LIMIT_S: Final = 150.0
"""Embedded servers are created first: some seconds, on a busy machine many."""

STOP_LIMIT_S: Final = 90.0
POLL_S: Final = 0.1


class Places(NamedTuple):
    """Where the daemon is."""

    http: str
    """Its address."""
    redis: str
    """The bus."""


@contextmanager
def own_daemon() -> Iterator[Places]:
    """A daemon of our own on a free port for the duration of the block.

    Raises:
        Failure: it did not start.
    """
    with TemporaryDirectory(prefix="orchestrator-selftest-") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "orchestrator", "run"],
                cwd=folder,
                env=_environ(folder),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            yield _await(process, Path(folder), log)
        finally:
            process.terminate()
            try:
                process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _environ(folder: str) -> dict[str, str]:
    """Nothing of this machine's settings; the daemon's temporary folder is in ours."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("ORCHESTRATOR_")}
    return kept | {"ORCHESTRATOR_ENV": "test", "PORT": "0", "TMPDIR": folder}


def _await(process: subprocess.Popen[bytes], folder: Path, log: Path) -> Places:
    end = time.monotonic() + START_LIMIT_S
    while process.poll() is None and time.monotonic() < end:
        for file in folder.glob("orchestrator-test-*/data/servers.json"):
            if text := file.read_text():
                found = json.loads(text)
                return Places(found["http"], found["redis"])
        time.sleep(POLL_S)
    last = log.read_text(errors="replace").strip().splitlines()[-1:]
    raise Failure("the daemon in test mode did not start", code="not_started", cause="".join(last))
