"""Tests from outside: a daemon in a process of its own, called by other programs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.conftest import DaemonProcess, daemon, new_daemon

__all__ = ["daemon", "new_daemon", "shared_daemon"]


@pytest.fixture(scope="module")
def shared_daemon(server_folder: Path, request: pytest.FixtureRequest) -> Iterator[DaemonProcess]:
    """A daemon for all tests of a module, without agents."""
    folder = server_folder / f"edge-{request.node.name.removesuffix('.py').replace('/', '-')}"
    folder.mkdir()
    folder.chmod(0o711)
    made = DaemonProcess(folder)
    try:
        made.start()
        yield made
    finally:
        made.clean_up()
