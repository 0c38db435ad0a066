import multiprocessing
import os
import time

import pytest

from . import quiet_clock
from .quiet_clock import PRESSURE, quiet_s


def _burn(until: float) -> None:
    while time.monotonic() < until:
        pass


@pytest.mark.skipif(not PRESSURE.exists(), reason="this kernel does not count pressure")
@pytest.mark.timing
def test_time_in_which_the_machine_is_overcommitted_does_not_count() -> None:
    began, quiet_began = time.monotonic(), quiet_s()
    burners = 2 * (os.cpu_count() or 1)

    processes = [
        multiprocessing.get_context("fork").Process(target=_burn, args=(began + 1.5,))
        for _ in range(burners)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    took_s, quiet_took_s = time.monotonic() - began, quiet_s() - quiet_began

    assert quiet_took_s < took_s - 0.7


def test_without_pressure_it_is_the_monotonic_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiet_clock, "PRESSURE", PRESSURE / "none")
    monkeypatch.setattr(quiet_clock, "STAT", PRESSURE / "none")
    began, quiet_began = time.monotonic(), quiet_s()

    time.sleep(0.05)

    assert quiet_s() - quiet_began == pytest.approx(time.monotonic() - began, abs=0.1)
