"""Up to which moment the bus was heard, and since when without a break. Pure.

A canary comes behind all that was received before it, on its connection. All times are monotonic
seconds.
"""

import math
from collections.abc import Mapping

import msgspec

from ...actors.canary import LOST_AFTER_S
from ...actors.events import DROPPED, GAP, Event
from ...actors.fields import FieldReader
from ...actors.sources import CONTROL, DATA


class _Gap(msgspec.Struct, gc=False):
    cause: object = None


_read_gap = FieldReader(_Gap)


class Ears:
    """Of one daemon."""

    def __init__(self) -> None:
        self._to: dict[str, float] = {}
        self._since = math.inf
        self._dropped = 0

    @property
    def since(self) -> float:
        """Since when nothing can have been missed."""
        return self._since

    def to(self, now: float) -> float | None:
        """All that was sent before this has been taken; ``None`` while that is not known."""
        if len(self._to) < len((CONTROL, DATA)):
            return None
        to = min(self._to.values())
        return to if now - to < LOST_AFTER_S else None

    def canary(self, connection: str, sent_at: float) -> None:
        """One has come, by ``control`` or ``data``."""
        before = self._to.get(connection, -math.inf)
        if sent_at - before > LOST_AFTER_S:
            self.missed(sent_at)
        self._to[connection] = sent_at

    def missed(self, now: float) -> None:
        """Something may not have been heard, until now."""
        self._since = now if math.isinf(self._since) else max(self._since, now)

    def note(self, event: Event, now: float) -> None:
        """An event: it may say that others were missed."""
        if event.type == DROPPED or (event.type == GAP and _is_deafness(event)):
            self.missed(now)

    def note_dropped(self, total: int, now: float) -> None:
        """Total of messages that were dropped for want of room."""
        if total != self._dropped:
            self._dropped = total
            self.missed(now)


def _is_deafness(event: Event) -> bool:
    fields: Mapping[str, object] = _read_gap.mapping(event.payload)
    return fields.get("cause") != "sequence"  # which an agent's own numbers make
