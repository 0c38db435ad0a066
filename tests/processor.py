"""How fast the processor is that runs the tests, so that bounds of its time mean the same on any.

Processor time leaves out what others do, but not that a processor is a slower one, or shares its
core and its caches with another machine's work. Bounds are written for the machine that `UNIT_S`
was measured on, and widened by as much as this one is slower at the moment: never narrowed.
"""

import json
import os
import statistics
import time
from typing import Final

UNIT_S: Final = 0.0004
"""What the reference work took where the bounds were written, in seconds of processor time."""
ROUNDS: Final = 9


def time_scale() -> float:
    """What to multiply a bound of time by, at least 1; ``TEST_TIME_SCALE`` is a factor more."""
    took_s = statistics.median(_reference_work_s() for _ in range(ROUNDS))
    return float(os.environ.get("TEST_TIME_SCALE", "1")) * max(1.0, took_s / UNIT_S)


def _reference_work_s() -> float:
    """A little of what the product does: parse, build, add up, search bytes."""
    began = time.thread_time()
    numbers = json.loads(json.dumps(list(range(2_000))))
    sum(number * number for number in numbers * 2)
    (b"ab" * 20_000).count(b"ba")
    return time.thread_time() - began
