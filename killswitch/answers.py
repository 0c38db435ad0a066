"""Pending answers: engages and trip files that wait for copies and for Redis.

All times are monotonic seconds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from ..actors.messages.killswitch import Engaged
from ..protocol.trips import Stop
from ..runtime import DeferredReply
from .receipts import Receipts
from .state import holds

SETTLE_S: Final = 0.1
"""So long an answer waits for copies it does not need: it then says what has become of each."""
PUBLISH_S: Final = 0.5
"""How long it waits for Redis."""
GIVE_UP_S: Final = 1.8
"""When it is answered although nothing holds the stop but this process: a little before callers
give up (contract: 2 s), since they should hear that it is in force."""


@dataclass(slots=True)
class EngageUnderWay:
    """An engage that is not answered yet."""

    reply: DeferredReply
    """Its answer."""
    result: Engaged
    """What has become of it by now."""
    since: float
    """When it began."""

    def is_due(self, now: float) -> bool:
        """Whether it is to be answered now."""
        taken_s, result = now - self.since, self.result
        if taken_s >= GIVE_UP_S:
            return True
        if not result.held:
            return False
        published = result.published_to is not None
        everywhere = published and result.latched and result.persisted
        return everywhere or (published and taken_s >= SETTLE_S) or taken_s >= PUBLISH_S


class Answers:
    """Of one run of the actor: when it ends pending answers are lost, and nothing else.

    Args:
        unpublished: why Redis takes no announcement; ``None`` while it does.
    """

    def __init__(self, unpublished: Callable[[], str | None] = lambda: None) -> None:
        self._unpublished = unpublished
        self._engages: list[EngageUnderWay] = []
        self._files: dict[str, list[DeferredReply]] = {}

    def add(self, engage: EngageUnderWay) -> None:
        """Answer this when it is due."""
        self._engages.append(engage)

    def add_file(self, trip_id: str, reply: DeferredReply) -> None:
        """Answer ``True`` once the latch holds the trip."""
        self._files.setdefault(trip_id, []).append(reply)

    def announced(self, trip_id: str, *, receivers: int, streamed: bool) -> None:
        """Redis took the announcement of a trip."""
        for engage in self._engages:
            if engage.result.trip.id == trip_id:
                engage.result = msgspec.structs.replace(
                    engage.result, published_to=receivers, streamed=streamed
                )

    def settle(self, *, latch: Stop, row: Stop, receipts: Receipts, now: float) -> None:
        """Answer what is due, now that the copies hold this."""
        for engage in [*self._engages]:
            trip_id = engage.result.trip.id
            engage.result = msgspec.structs.replace(
                engage.result, latched=holds(latch, trip_id), persisted=holds(row, trip_id)
            )
            if engage.is_due(now):
                self._engages.remove(engage)
                standing = receipts.standing((engage.result.trip,), now)
                engage.reply.set(
                    msgspec.structs.replace(
                        engage.result, standing=standing, unpublished=self._unpublished()
                    )
                )
        for trip_id in [name for name in self._files if holds(latch, name)]:
            for reply in self._files.pop(trip_id):
                reply.set(True)
