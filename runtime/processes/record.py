"""What is known of a child process over all its runs, and what it uses."""

import time
from typing import Final

import msgspec
import psutil

from .output import OutputLine, ProcessOutput

LEAST_INTERVAL_S: Final = 0.1
"""Processor time is counted in hundredths of a second: over less it means nothing."""


class ProcessUsage(msgspec.Struct, frozen=True):
    """What a process and its children use together."""

    cpu_percent: float = 0.0
    """Of one processor, since the sample before."""
    memory_bytes: int = 0
    """Resident."""
    processes: int = 0
    """How many they are."""


class ProcessExit(msgspec.Struct, frozen=True):
    """How a process ended by itself."""

    at: float
    """Seconds since the epoch."""
    code: int | None
    """``None`` if a signal ended it."""
    signal: str | None
    """Such as ``SIGSEGV``."""
    last_lines: tuple[OutputLine, ...]
    """Last output lines before it, of earlier runs too."""


class ProcessRecord:
    """Outlives the runs of one child; belongs to its child spec.

    Written by the `ProcessActor` of the moment, read by anybody in the same thread.
    """

    def __init__(self, output: ProcessOutput | None = None) -> None:
        self.output = output if output is not None else ProcessOutput()
        """The last lines."""
        self.pid: int | None = None
        """While it runs."""
        self.usage = ProcessUsage()
        """The last sample; nothing while it does not run."""
        self.exit: ProcessExit | None = None
        """Its most recent unexpected end."""

    def begin(self, pid: int) -> None:
        """A run runs."""
        self.pid = pid

    def end(self) -> None:
        """It does not run any more."""
        self.pid = None
        self.usage = ProcessUsage()

    def note_exit(self, code: int | None, signal: str | None) -> None:
        """It has ended by itself; what it printed before that is kept until it does so again."""
        self.exit = ProcessExit(time.time(), code, signal, self.output.last())


class UsageMeter:
    """Measures one process with all below it, again and again.

    A sample costs some milliseconds where hundreds of processes run.

    Args:
        pid: the process.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._cpu_s: dict[int, float] = {}
        self._at = time.monotonic()

    def sample(self) -> ProcessUsage:
        """What is used now; nothing if the process has ended."""
        try:
            root = psutil.Process(self._pid)
            family = [root, *root.children(recursive=True)]
        except psutil.Error:
            return ProcessUsage()
        cpu_s: dict[int, float] = {}
        memory = 0
        for process in family:
            try:
                with process.oneshot():
                    times, size = process.cpu_times(), process.memory_info().rss
            except psutil.Error:  # it has ended meanwhile
                continue
            cpu_s[process.pid] = times.user + times.system
            memory += size
        return ProcessUsage(self._percent(cpu_s), memory, len(cpu_s))

    def _percent(self, cpu_s: dict[int, float]) -> float:
        now = time.monotonic()
        elapsed = max(now - self._at, LEAST_INTERVAL_S)
        used = sum(max(0.0, used - self._cpu_s.get(pid, 0.0)) for pid, used in cpu_s.items())
        self._at, self._cpu_s = now, cpu_s
        return round(100 * used / elapsed, 1)
