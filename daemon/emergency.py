"""The way of an emergency stop that does not need HTTP: SIGUSR1, the trip file, the guard."""

import math
import time
from pathlib import Path
from typing import Final

import gevent

from ..actors.events import KILLSWITCH
from ..actors.killswitch import Trip
from ..actors.latch import Latch
from ..actors.messages.state_keeper import EngageKillswitch, EngageTrip
from ..runtime import Address
from ..runtime.guard import GuardLink, GuardOrders, GuardTrip
from ..settings import Settings

GUARD_LIMIT_S: Final = 1.0
"""The guard engages within milliseconds of a signal."""

PERMIT_KEY: Final = "orchestrator:permit"
"""The contract's key: without it agents that place orders halt themselves."""

TRIP_FILE: Final = "TRIP"
"""In the data directory: its existence engages the stop."""


class Emergency:
    """The guard's link, and what is done with what it says.

    Args:
        settings: All of them; the guard's section counts.
        redis_url: Where the guard publishes.
        folder: The data directory.
        latch: The killswitch's file; the guard has one beside it.
        state_keeper: Engages.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        redis_url: str,
        folder: Path,
        latch: Latch,
        state_keeper: Address,
    ) -> None:
        guard = settings.guard
        orders = GuardOrders(
            redis_url=redis_url,
            permit_key=PERMIT_KEY,
            channel=KILLSWITCH,
            latch=str(latch.guard_path),
            trip_file=str(folder / TRIP_FILE),
            on_silence=guard.on_silence,
            silence_s=guard.silence_s,
            hang_exit_s=guard.hang_exit_s,
        )
        self.guard = GuardLink(orders, self._guard_tripped)
        self._state_keeper = state_keeper
        self._signalled_at = -math.inf

    def signalled(self) -> None:
        """SIGUSR1: the guard has seen it too, and faster; engage here if it does not say so."""
        if self.guard.connected:
            gevent.sleep(GUARD_LIMIT_S)
        if time.monotonic() - self._signalled_at > 2 * GUARD_LIMIT_S:
            reason = "SIGUSR1 was sent to the daemon"
            self._state_keeper.offer(EngageKillswitch(reason, "signal"), urgent=True)

    def _guard_tripped(self, trip: GuardTrip) -> None:
        known = Trip(trip.trip_id, trip.reason, trip.triggered_by, trip.at)
        self._state_keeper.offer(EngageTrip(known), urgent=True)
        if trip.triggered_by == "signal":
            self._signalled_at = time.monotonic()
