"""How many messages within a window that moves along; bounded, whoever sends. Pure."""

from collections import deque
from typing import Final

STEPS: Final = 100
"""A window is counted in so many steps, or up to twice as many."""
MAX_COUNTED: Final = 1_000
"""Agents that have a count of their own, a rule."""
OTHERS: Final = "(others)"
"""The agents beyond: they are counted together."""


class Window:
    """One count.

    A message counts for less than ``window_s``, by up to a hundredth: what is counted did come
    within the window.
    """

    def __init__(self, window_s: float) -> None:
        window_ms = round(window_s * 1000)
        self._step_ms = max(1, window_ms // STEPS)
        self._steps = window_ms // self._step_ms
        self._slots: deque[tuple[int, int]] = deque()
        self._total = 0
        self.reported_ms = 0
        """When it was reported that there are too many."""

    def add(self, at_ms: int) -> int:
        """One more message; returns how many there are within the window that ends with it."""
        slot = at_ms // self._step_ms
        last, count = self._slots[-1] if self._slots else (slot, 0)
        if slot < last - self._steps:  # the clock has been set back
            self._slots.clear()
            self._total, last, count = 0, slot, 0
        slot = max(slot, last)  # a little earlier: read on the other connection
        if self._slots and slot == last:
            self._slots[-1] = (slot, count + 1)
        else:
            self._slots.append((slot, 1))
        self._total += 1
        while self._slots[0][0] <= slot - self._steps:
            self._total -= self._slots.popleft()[1]
        return self._total

    def is_over(self, at_ms: int) -> bool:
        """Whether nothing of it counts any more."""
        slot = at_ms // self._step_ms
        return not self._slots or not 0 <= slot - self._slots[-1][0] < self._steps


class Counts:
    """The counts of one rule, by agent.

    Args:
        window_s: of each.
    """

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._windows: dict[str, Window] = {}
        self._swept_ms = 0

    def __len__(self) -> int:
        return len(self._windows)

    def of(self, agent: str, at_ms: int) -> tuple[str, Window]:
        """Under which name an agent is counted, and its count."""
        window = self._windows.get(agent)
        if window is None:
            if len(self._windows) >= MAX_COUNTED:
                self._sweep(at_ms)
            if len(self._windows) >= MAX_COUNTED:
                agent = OTHERS
            window = self._windows.setdefault(agent, Window(self._window_s))
        return agent, window

    def _sweep(self, at_ms: int) -> None:
        """Forget those of whom nothing counts; once a window, since it looks at them all."""
        if 0 <= at_ms - self._swept_ms < self._window_s * 1000:
            return
        self._swept_ms = at_ms
        kept = {name: one for name, one in self._windows.items() if not one.is_over(at_ms)}
        self._windows = kept
