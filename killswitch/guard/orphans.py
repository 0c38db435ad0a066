"""Processes that a dead daemon leaves; without ``/proc`` (not Linux) groups alone are found."""

import os
import signal
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

LOOKS: Final = 5
LOOK_EACH_S: Final = 0.1
"""A process that was just being made is found at the next look."""


def marked(mark: str) -> list[int]:
    """Processes with ``mark`` in their environment, those outside their group included.

    Looks at every process, some 10 ms for hundreds.
    """
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            if mark.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
    return [pid for pid in found if pid != os.getpid()]


def end_orphans(groups: Collection[int], mark: str) -> None:
    """SIGKILL, as from the kernel when the parent dies; the next daemon starts them again."""
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    for _ in range(LOOKS):
        for pid in marked(mark):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(LOOK_EACH_S)


def is_stopped(pid: int) -> bool:
    """Whether SIGSTOP or a debugger holds the process; ``False`` where the kernel does not say."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 ten times a second
            return file.read(1024).rpartition(b") ")[2][:1] in (b"T", b"t")
    except OSError:
        return False
