"""Whether this daemon is known to be the one that writes: only then are its events shown.

A daemon that was paused (a frozen process, a suspended machine) may have lost the database to
another one meanwhile, and what it numbers from its old stock of ids is never stored. So after a
pause the fence is proved before anything more is shown; and likewise when another host of the URL
has taken over from a primary that is dead or silent.
"""

import time
from collections.abc import Callable
from typing import Final

from gevent.event import Event as Signal

WAIT_S: Final = 5.0
"""How long a doubt holds events back: a server that is silent for longer must not hide a stop."""


class Fence:
    """How it stands. Outlives runs of the persister.

    Args:
        now_s: monotonic seconds.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._stale_after_s = 0.0
        self._looked_at = now_s()
        self._doubted_at: float | None = None
        self._is_lost = False
        self.is_taken = False
        """Whether another daemon has it, and this one must stop."""

    def look(self) -> None:
        """To be called again and again; a long time between two calls was a pause."""
        now = self._now_s()
        if self._stale_after_s and now - self._looked_at > self._stale_after_s / 2:
            self._doubted_at = now
        self._looked_at = now

    def doubt(self) -> None:
        """Another server stores from now on: another daemon may have claimed it meanwhile."""
        self._doubted_at = self._now_s()

    def prove(self, asked_at: float, stale_after_s: float) -> None:
        """PostgreSQL confirms it.

        Args:
            asked_at: when it was asked.
            stale_after_s: when another daemon may take it, counted from there.
        """
        self._stale_after_s, self._is_lost = stale_after_s, False
        if self._doubted_at is not None and asked_at >= self._doubted_at:
            self._doubted_at = None

    def lose(self) -> None:
        """Another daemon has had it."""
        self._is_lost = True

    def give_up(self) -> None:
        """Another daemon has it."""
        self._is_lost = self.is_taken = True

    def wait(self, changed: Signal, is_away: Callable[[], bool]) -> bool:
        """Wait until it is known whether events may be shown; returns whether they may.

        Args:
            changed: set when that may have changed.
            is_away: as of `is_ours`.
        """
        until = self._now_s() + WAIT_S
        while not self.is_ours(away=is_away()):
            left_s = until - self._now_s()
            if self.is_taken or left_s <= 0:  # a doubt only holds back; a loss hides
                return not self._is_lost
            changed.clear()
            changed.wait(left_s)
        return True

    def is_ours(self, *, away: bool) -> bool:
        """Whether events may be shown.

        Args:
            away: whether PostgreSQL is known not to answer, so that nothing can be proved.
        """
        self.look()
        if self._is_lost or self._doubted_at is None:
            return not self._is_lost
        return away or self._now_s() - self._doubted_at >= WAIT_S
