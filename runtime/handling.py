"""How long an actor's turns take: messages and timers, one histogram for all incarnations."""

from bisect import bisect_left
from typing import Final

BUCKETS_S: Final = (0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 5.0)
"""From what is not worth counting apart to what counts as a hang; 0.02 is what a turn may take."""


class HandlingTimes:
    """A histogram that costs the hot path a sum: turns below the first bound are not sorted in."""

    __slots__ = ("_slow", "busy_s", "turns")

    def __init__(self) -> None:
        self.turns = 0
        """All turns; the actor's loop counts them."""
        self.busy_s = 0.0
        """Their seconds together."""
        self._slow = [0] * len(BUCKETS_S)

    def note_slow(self, seconds: float) -> None:
        """Sort in a turn of more than the first bound."""
        self._slow[bisect_left(BUCKETS_S, seconds) - 1] += 1

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts by upper bound, as Prometheus has them, ``+Inf`` last."""
        count = self.turns - sum(self._slow)
        found = [(str(BUCKETS_S[0]), float(count))]
        for bound, slow in zip((*map(str, BUCKETS_S[1:]), "+Inf"), self._slow, strict=True):
            count += slow
            found.append((bound, float(count)))
        return found
