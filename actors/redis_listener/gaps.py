"""What the daemon could not hear, and when it says so. Pure.

Each time that a lane is deaf gives exactly one ``bus.gap``, once it hears again; the daemon's own
downtime gives one more, once all lanes hear for the first time.
"""

from collections.abc import Iterable, Mapping

import msgspec

from ..events import GAP, NewEvent


class GapBook:
    """Times are the contract's strings.

    Args:
        lanes: The patterns of each lane.
        down_since: The last journalled moment of the daemon's previous life, if it had one.
    """

    def __init__(self, lanes: Mapping[str, tuple[str, ...]], down_since: str | None = None) -> None:
        self._lanes = lanes
        self._down_since = down_since
        self._never_heard = set(lanes)
        self._deaf_since: dict[str, str] = {}

    def deaf(self, lane: str, since: str) -> None:
        """``lane`` does not hear; ``since`` is the last moment at which it surely did.

        Of several attempts to hear again the first one tells since when. Before a lane's first
        subscription a known downtime covers it already.
        """
        if lane in self._never_heard and self._down_since is not None:
            return
        self._deaf_since.setdefault(lane, since)

    def hears(self, lane: str, now: str) -> tuple[NewEvent, ...]:
        """``lane`` is subscribed as of ``now``; returns the gaps that this closes."""
        gaps = []
        self._never_heard.discard(lane)
        if (since := self._deaf_since.pop(lane, None)) is not None:
            gaps.append(_gap("subscription", since, now, self._lanes[lane]))
        if not self._never_heard and self._down_since is not None:
            every = (pattern for patterns in self._lanes.values() for pattern in patterns)
            gaps.append(_gap("downtime", self._down_since, now, every))
            self._down_since = None
        return tuple(gaps)


def _gap(cause: str, since: str, now: str, patterns: Iterable[str]) -> NewEvent:
    payload = {
        "cause": cause,
        "from": since,
        "to": now,
        "patterns": list(patterns),
        "count": None,  # nobody counts what nobody receives
    }
    return NewEvent(GAP, msgspec.json.encode(payload))
