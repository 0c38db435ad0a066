"""Rules of a replay: permitted channels, and when each event is due. Pure."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Final

TARGET: Final = re.compile(r"replay\.[A-Za-z0-9][A-Za-z0-9_-]{0,62}(\.[A-Za-z0-9_-]{1,63})*")
SPEED: Final = re.compile(r"(\d+(?:\.\d+)?)x")
MAX_SPEED: Final = 1_000.0


def is_target(text: str) -> bool:
    """Whether history may be published below this channel: `replay.NAME`."""
    return TARGET.fullmatch(text) is not None and len(text) <= 200  # noqa: PLR2004 - a channel's


def read_speed(text: str) -> float | None:
    """The factor of `10x`, 0 for `max`, None if it is neither."""
    if text == "max":
        return 0.0
    found = SPEED.fullmatch(text)
    speed = float(found[1]) if found else 0.0
    return speed if 0 < speed <= MAX_SPEED else None


def catching(patterns: Iterable[str], target: str) -> list[str]:
    """The patterns that match a channel below the target: its events would be stored again."""
    below = target + "."
    return [pattern for pattern in patterns if _overlaps(pattern, below)]


def _overlaps(pattern: str, below: str) -> bool:
    """Whether the pattern matches any text that begins with `below`."""
    head, star, _ = pattern.partition("*")
    if not star:
        return pattern.startswith(below)
    return head.startswith(below) or below.startswith(head)


def channel_for(target: str, event_type: str, source: str | None) -> str:
    """The replay channel of an event: its original channel below the target."""
    was = f"heartbeat.{source}" if event_type == "heartbeat" and source else event_type
    return f"{target}.{was}"


class ReplayClock:
    """When each event is due, on the clock that is passed in.

    Args:
        speed: factor; 0: no delay.
        now_s: the start, in seconds.
    """

    def __init__(self, speed: float, now_s: float) -> None:
        self._speed = speed
        self._now_s = now_s
        self._first: datetime | None = None

    def due_s(self, ts: datetime | None) -> float:
        """When an event is due; immediately without a time, or if it precedes the first."""
        if not self._speed or ts is None:
            return self._now_s
        self._first = self._first or ts
        return self._now_s + max(0.0, (ts - self._first).total_seconds()) / self._speed
