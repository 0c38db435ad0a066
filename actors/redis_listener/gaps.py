"""When the daemon could not receive, reported as ``bus.gap``. Pure.

Each outage of a subscription gives exactly one event, once it is subscribed again; the daemon's own
downtime gives one more, once all are subscribed for the first time.
"""

from collections.abc import Iterable, Mapping

import msgspec

from ..events import GAP, NewEvent


class GapTracker:
    """The outages not yet reported. Times are the contract's strings.

    Args:
        patterns: Of each subscription, by its name.
        down_since: The last journalled moment of the daemon's previous life, if it had one.
    """

    def __init__(
        self, patterns: Mapping[str, tuple[str, ...]], down_since: str | None = None
    ) -> None:
        self._patterns = patterns
        self._down_since = down_since
        self._never_subscribed = set(patterns)
        self._lost_since: dict[str, str] = {}

    def lost(self, name: str, since: str) -> None:
        """Subscription ``name`` is down; ``since`` is the last moment at which it surely was up.

        Of several calls before the next :meth:`subscribed` the first one counts. Before the first
        subscription a known downtime covers the outage already.
        """
        if name in self._never_subscribed and self._down_since is not None:
            return
        self._lost_since.setdefault(name, since)

    def subscribed(self, name: str, now: str) -> tuple[NewEvent, ...]:
        """Subscription ``name`` is up as of ``now``; returns the gaps that this closes."""
        gaps = []
        self._never_subscribed.discard(name)
        if (since := self._lost_since.pop(name, None)) is not None:
            gaps.append(_gap("subscription", since, now, self._patterns[name]))
        if not self._never_subscribed and self._down_since is not None:
            every = (pattern for patterns in self._patterns.values() for pattern in patterns)
            gaps.append(_gap("downtime", self._down_since, now, every))
            self._down_since = None
        return tuple(gaps)


def _gap(cause: str, since: str, now: str, patterns: Iterable[str]) -> NewEvent:
    payload = {
        "cause": cause,
        "from": since,
        "to": now,
        "patterns": list(patterns),
        "count": None,  # Redis does not count what it could not deliver
    }
    return NewEvent(GAP, msgspec.json.encode(payload))
