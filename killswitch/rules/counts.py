"""How many messages within a sliding window; bounded, whatever is sent. Pure."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, Generic, Protocol, TypeVar

STEPS: Final = 100
"""Steps in which a window is counted, or up to twice as many."""
DISORDER_MS: Final = 2_000
"""A message that is earlier than the last one by more shows that the clock has been set back."""
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
        self._disorder = min(self._steps, DISORDER_MS // self._step_ms + 1)
        self._slots: deque[tuple[int, int]] = deque()
        self._total = 0

    def add(self, at_ms: int) -> int:
        """One more message; returns how many there are within the window that ends with it."""
        slot = at_ms // self._step_ms
        last, count = self._slots[-1] if self._slots else (slot, 0)
        if slot < last - self._disorder:  # the clock has been set back
            self.clear()
            last, count = slot, 0
        slot = max(slot, last)  # a little earlier: read on the other connection
        if self._slots and slot == last:
            self._slots[-1] = (slot, count + 1)
        else:
            self._slots.append((slot, 1))
        self._total += 1
        self._forget(slot)
        return self._total

    def counted(self, at_ms: int) -> int:
        """How many there are within the window that ends now; not earlier than the last one."""
        self._forget(at_ms // self._step_ms)
        return self._total

    def clear(self) -> None:
        """Start over."""
        self._slots.clear()
        self._total = 0

    def is_over(self, at_ms: int) -> bool:
        """Whether nothing of it counts any more."""
        slot = at_ms // self._step_ms
        return not self._slots or not 0 <= slot - self._slots[-1][0] < self._steps

    def _forget(self, slot: int) -> None:
        while self._slots and self._slots[0][0] <= slot - self._steps:
            self._total -= self._slots.popleft()[1]


class Counted(Protocol):
    """What an agent is counted by."""

    def is_over(self, at_ms: int) -> bool:
        """Whether nothing of it counts any more."""


C = TypeVar("C", bound=Counted)


class Counts(Generic[C]):
    """The counts of one rule, by agent.

    Args:
        window_s: of each.
        make: a new one.
    """

    def __init__(self, window_s: float, make: Callable[[], C]) -> None:
        self._window_s = window_s
        self._make = make
        self._counts: dict[str, C] = {}
        self._swept_ms = 0

    def __len__(self) -> int:
        return len(self._counts)

    def __iter__(self) -> Iterator[tuple[str, C]]:
        return iter(self._counts.items())

    def of(self, agent: str, at_ms: int) -> tuple[str, C]:
        """Under which name an agent is counted, and its count."""
        found = self._counts.get(agent)
        if found is None:
            if len(self._counts) >= MAX_COUNTED:
                self._sweep(at_ms)
            if len(self._counts) >= MAX_COUNTED:
                agent = OTHERS
            found = self._counts.get(agent)
            if found is None:
                found = self._counts[agent] = self._make()
        return agent, found

    def _sweep(self, at_ms: int) -> None:
        """Forget those of whom nothing counts; once a window, since it looks at them all."""
        if 0 <= at_ms - self._swept_ms < self._window_s * 1000:
            return
        self._swept_ms = at_ms
        self._counts = {name: one for name, one in self._counts.items() if not one.is_over(at_ms)}
