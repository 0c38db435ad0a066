"""How many processes beat under one id, distinguished by the ``boot`` that each carries. Pure.

A restart brings a new boot and the old one falls silent. Two processes take turns: the boot that
was there before is heard again after the new one.
"""

from typing import Final

MOST: Final = 8
"""Boots that are remembered of one agent; the one heard of longest ago goes."""
_LONGEST: Final = 64
"""Characters of a boot that count: it comes from the bus."""


class Instances:
    """The boots of one agent. Empty for one that says none."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, float]] = {}

    def heard(self, boot: object, *, now: float, ended: bool) -> None:
        """Take a beat.

        Args:
            boot: its field, of any type.
            now: monotonic.
            ended: it says that this process ends.
        """
        if not isinstance(boot, str) or not boot:
            return
        name = boot[:_LONGEST]
        first, _ = self._seen.pop(name, (now, now))
        if not ended:
            self._seen[name] = (first, now)  # at the end: the order is that of the last beat
            if len(self._seen) > MOST:
                del self._seen[next(iter(self._seen))]

    def count(self, *, now: float, silent_s: float) -> int:
        """How many beat side by side; 1 for one that says no boot.

        Args:
            now: monotonic.
            silent_s: one that was silent for longer is gone.
        """
        live = [seen for seen in self._seen.values() if now - seen[1] <= silent_s]
        newest = max((first for first, _ in live), default=now)
        return max(1, sum(first == newest or last > newest for first, last in live))
