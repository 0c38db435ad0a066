"""How long one greenlet keeps the loop, in processor time: what others do is not counted.

Nor is a full collection of what thousands of earlier tests left in this process.
"""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager

import gevent


class LoopMeter:
    """`longest_s`: the longest turn so far."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._collected_s = 0.0
        self._collecting_since = 0.0

    def run(self) -> None:
        """Measure for ever."""
        while True:
            began, collected_s = time.thread_time(), self._collected_s
            gevent.sleep(0.001)
            turn_s = time.thread_time() - began - (self._collected_s - collected_s)
            self.longest_s = max(self.longest_s, turn_s)

    def collection(self, phase: str, info: dict[str, int]) -> None:
        """Called by the collector before and after its work."""
        if info["generation"] < 2:
            return
        if phase == "start":
            self._collecting_since = time.thread_time()
        else:
            self._collected_s += time.thread_time() - self._collecting_since


@contextmanager
def loop_meter() -> Iterator[LoopMeter]:
    """Measure the turns of this thread's loop meanwhile."""
    meter = LoopMeter()
    gc.callbacks.append(meter.collection)
    measuring = gevent.spawn(meter.run)
    try:
        yield meter
    finally:
        measuring.kill()
        gc.callbacks.remove(meter.collection)
