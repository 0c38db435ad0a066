"""``agent logs -f``: what an agent prints, as it prints it.

The daemon numbers an agent's lines and keeps the last ones; it is asked again and again, and each
answer is held against the last number that was seen.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

from ..errors import ExitCode, Failure
from ..output import Row

INTERVAL_S = 2.0
"""Between two looks: half of what the daemon's rate limit lets one address ask by default."""

RETRY_LIMIT_S = 600.0
"""How long a daemon that does not answer is asked again."""


class LineCounter:
    """Tells the new lines of an answer from those that were seen."""

    def __init__(self) -> None:
        self._seen: int | None = None

    def new(self, total: int, lines: list[Row]) -> tuple[list[Row], int]:
        """The new ones of ``lines``, and how many more there were that nobody keeps.

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
    """Lines as they come, until the caller has enough.

    Args:
        fetch: asks for the last lines.
        note: tells a person what went on.
        sleep: waits so many seconds.

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
                note(f"{failure.message}: asking again")
                silent_since = now
            if now - silent_since > RETRY_LIMIT_S:
                raise
        else:
            silent_since = None
            lines, missed = counter.new(int(answer["total"]), answer["lines"])
            if missed:
                note(f"{missed} more lines came than the daemon keeps")
            yield from lines
        sleep(INTERVAL_S)
