"""``python -m bench [NAME…]``: run the benchmarks, print a table, write JSON and a picture.

Start it in the repository's root, with the package installed. Exit code 1 if a goal is missed.
"""

import sys

from . import (
    compression,
    drain,
    fanout,
    histogram,
    latency,
    messages,
    pages,
    pipeline,
    retention,
    stop,
    storing,
    supervision,
)
from .picture import draw
from .report import print_table, progress, save

BENCHMARKS = {
    "messages": messages.run,
    "supervision": supervision.run,
    "drain": drain.run,
    "fanout": fanout.run,
    "compression": compression.run,
    "pipeline": pipeline.run,
    "latency": latency.run,
    "retention": retention.run,
    "storing": storing.run,
    "pages": pages.run,
    "histogram": histogram.run,
    "stop": stop.run,
}


def main() -> int:
    """Run those that are named, or all."""
    names = sys.argv[1:] or list(BENCHMARKS)
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        progress(f"unknown: {', '.join(unknown)}; there are: {', '.join(BENCHMARKS)}")
        return 2
    rows = [row for name in names for row in BENCHMARKS[name]()]
    print_table(rows)
    progress(f"written: {save(rows)} and {draw(rows)}")
    return 0 if all(row.reached for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
