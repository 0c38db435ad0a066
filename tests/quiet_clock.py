"""A clock for bounds of time: it stands still while the machine makes a runnable task wait.

A test that says "within 0.5 s" means the code, not its neighbours. The kernel counts for how long
a task of the machine was runnable without a processor, or all waited for the disk (pressure
stall information, https://docs.kernel.org/accounting/psi.html), and for how long a hypervisor ran
others on our processors. Such time does not count here. On an idle machine the clock is the
monotonic one, so the bounds are as strict as they read.
"""

import os
import time
from pathlib import Path
from typing import Final

PRESSURE: Final = Path("/proc/pressure")
STAT: Final = Path("/proc/stat")
STEAL: Final = 8
"""The field of ``cpu`` in ``/proc/stat`` that counts stolen ticks (proc(5))."""


def quiet_s() -> float:
    """Seconds since some moment, less those in which the machine was overcommitted."""
    return time.monotonic() - _pressure_s("cpu", "some") - _pressure_s("io", "full") - _stolen_s()


def _pressure_s(resource: str, tasks: str) -> float:
    """How long ``some`` or all (``full``) tasks have waited; 0 where the kernel does not count."""
    try:
        lines = (PRESSURE / resource).read_text().splitlines()
    except OSError:
        return 0.0
    line = next(line for line in lines if line.startswith(tasks))
    return int(line.rpartition("total=")[2]) / 1e6


def _stolen_s() -> float:
    try:
        fields = STAT.read_text().split("\n", 1)[0].split()
    except OSError:
        return 0.0
    return int(fields[STEAL]) / os.sysconf("SC_CLK_TCK")
