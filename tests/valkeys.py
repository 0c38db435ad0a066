"""Valkey servers of other kinds than the session's: replicas, Sentinels, nodes of a cluster."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from orchestrator.runtime.embedded import EmbeddedValkey
from ports import free_port
from quiet_clock import quiet_s


@contextmanager
def valkey(folder: Path, *options: str) -> Iterator[str]:
    """A server with these options on a port of its own; its URL."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    config = folder / "valkey.conf"
    config.write_text(f'port {port}\nbind 127.0.0.1\ndir "{folder}"\nlogfile valkey.log\n')
    process = subprocess.Popen([EmbeddedValkey(folder)._binary(), config, *options])
    try:
        with redis.Redis(port=port) as client:
            _wait(client, process, folder / "valkey.log")
            yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def cluster_node(folder: Path) -> Iterator[str]:
    """A node of a cluster, without slots as yet; its URL."""
    options = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    with valkey(folder, *options) as url:
        yield url


def _wait(client: redis.Redis, process: subprocess.Popen[bytes], log: Path) -> None:
    end = quiet_s() + 20.0
    while quiet_s() < end and process.poll() is None:
        try:
            client.ping()
        except redis.ConnectionError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError(f"the server does not answer: {log.read_text()}")
