"""What an agent finds inside the daemon: as outside, but it may not hold the loop for the disk."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import gevent

from ...agents.state import FOLDER_VARIABLE, FileStore, Store, state_file
from ...agents.surroundings import REAL, Surroundings

T = TypeVar("T")


def hosted(state_dir: Path | None) -> Surroundings:
    """For agents that keep their state below ``state_dir`` if they say nothing else."""
    environment = {} if state_dir is None else {FOLDER_VARIABLE: str(state_dir)}

    def open_store(agent_id: str, folder: str | Path | None) -> Store:
        return FileStore(state_file(agent_id, folder, environment), in_thread)

    return REAL._replace(open_store=open_store)


def in_thread(call: Callable[[], T]) -> T:
    """Run a call that blocks on the disk in a thread; only the calling greenlet waits."""
    result: T = gevent.get_hub().threadpool.apply(call)
    return result
