"""``agent logs -f``: an agent's output as it is printed.

The daemon numbers an agent's lines and keeps the last ones; it is polled, and each answer is
compared with the last number seen.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

from ..errors import ExitCode, Failure
from ..output import Row

INTERVAL_S = 2.0
"""Polling interval: half of the daemon's default rate limit for one address."""

RETRY_LIMIT_S = 600.0
"""Time after which an unreachable daemon is given up."""


class LineCounter:
    """Separates new lines of an answer from those already seen."""

    def __init__(self) -> None:
        self._seen: int | None = None

    def new(self, total: int, lines: list[Row]) -> tuple[list[Row], int]:
        """The new lines, and the number of new lines that the daemon no longer has.

        Args:
            total: the number of the last line.
            lines: up to it, the oldest first.
        """
        if self._seen is None:
            self._seen = total - len(lines)
        if total < self._seen:  # another daemon counts from the beginning
            self._seen = 0
        count = total - self._seen
        self._seen = total
        return lines[max(0, len(lines) - count) :], max(0, count - len(lines))


def follow(
    fetch: Callable[[], dict[str, Any]],
    note: Callable[[str], None],
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Row]:
    """Yield lines as they arrive, without end.

    Args:
        fetch: requests the last lines.
        note: shows a message to the user.
        sleep: seconds to wait.

    Raises:
        Failure: The daemon refuses, or does not answer for ten minutes.
    """
    counter = LineCounter()
    silent_since: float | None = None
    while True:
        try:
            answer = fetch()
        except Failure as failure:
            now = time.monotonic()
            if failure.exit_code != ExitCode.UNREACHABLE:
                raise
            if silent_since is None:
                note(f"{failure.message}: retrying")
                silent_since = now
            if now - silent_since > RETRY_LIMIT_S:
                raise
        else:
            silent_since = None
            lines, missed = counter.new(int(answer["total"]), answer["lines"])
            if missed:
                note(f"{missed} lines were discarded by the daemon before they could be read")
            yield from lines
        sleep(INTERVAL_S)
