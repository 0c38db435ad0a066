"""What the stop is put together of: copies, lease, guard, and the ways that need no server."""

from collections.abc import Callable, Collection
from functools import partial
from typing import Final

from ..actors.events import KILLSWITCH
from ..killswitch.copies import LatchCopy, RowCopy
from ..killswitch.keeper import Killswitch
from ..killswitch.latch import GUARD_NAME, Latch
from ..killswitch.lease import Lease
from ..killswitch.redis_link import RedisLink
from ..killswitch.state import Copies, Memory, Neighbours
from ..killswitch.ways import TripFiles, Ways
from ..protocol.permit import KEY
from ..runtime import RestartChild
from ..runtime.datadir import DataDir
from ..runtime.guard import GuardLink, GuardOrders
from ..settings import Settings
from ..sql.database import Database
from ..sql.stop_row import StopRow
from .addresses import Addresses

TRIP_FILE: Final = "TRIP"
"""In the data directory: its existence engages the stop."""


class EmergencyStop:
    """One daemon's stop; outlives the actor.

    Args:
        settings: All of them; the guard's section counts.
        data: The open data directory.
        to: Whom messages go to.
        redis_url: Where agents are.
        database: Where the row is.
    """

    def __init__(
        self,
        settings: Settings,
        data: DataDir,
        *,
        to: Addresses,
        redis_url: str,
        database: Database,
    ) -> None:
        self._settings = settings
        self._data = data
        self._to = to
        self._redis_url = redis_url
        self._memory = Memory()
        self._latch = LatchCopy(Latch(data.path))
        self._row = RowCopy(StopRow(database))
        self._lease = Lease(data.instance)
        self._link: RedisLink | None = None
        self._ways = Ways(to.killswitch)
        self.guard = GuardLink(self._orders(), self._ways.guard_tripped)
        self.files = TripFiles(data.path, to.killswitch, self.guard)

    def connect(
        self,
        own_copies: Callable[[str], int],
        expect_echo: Callable[[bytes, bytes, float], None],
    ) -> None:
        """Make the link to Redis, once it is known what comes back to us.

        Args:
            own_copies: How many receivers on a channel are ourselves.
            expect_echo: Called with channel, payload and monotonic time of what is published and
                is no event.
        """
        self._link = RedisLink(
            self._redis_url,
            self._lease,
            own_copies=own_copies,
            before_publish=partial(expect_echo, KILLSWITCH.encode()),
            timeout_s=self._settings.redis.connect_timeout_s,
        )

    def actor(self, managed: Collection[str]) -> Killswitch:
        """A new incarnation.

        Args:
            managed: Agents that this daemon runs as processes.
        """
        assert self._link is not None  # noqa: S101 connected before
        to = self._to
        neighbours = Neighbours(
            persister=to.persister,
            broadcaster=to.broadcaster,
            state_keeper=to.state_keeper,
            on_change=self.guard.set_halted,
            on_silent=lambda agent: to.agents.offer(RestartChild(agent)),
            managed=managed,
            hand_made=self.files.hand_made,
        )
        copies = Copies(self._latch, self._row, self._link, self._lease, self._data.path)
        return Killswitch(memory=self._memory, copies=copies, to=neighbours)

    def signalled(self) -> None:
        """SIGUSR1 has come."""
        self._ways.signalled(self.guard)

    def close(self) -> None:
        """End what runs beside the tree."""
        self.files.close()
        self._latch.close()

    def _orders(self) -> GuardOrders:
        guard = self._settings.guard
        return GuardOrders(
            redis_url=self._redis_url,
            permit_key=KEY,
            channel=KILLSWITCH,
            latch=str(self._data.path / GUARD_NAME),
            trip_file=str(self._data.path / TRIP_FILE),
            on_silence=guard.on_silence,
            silence_s=guard.silence_s,
            hang_exit_s=guard.hang_exit_s,
        )
