"""What the stop is put together of: copies, lease, guard, and the ways that need no server."""

from collections.abc import Callable, Collection
from functools import partial
from typing import Final

from prometheus_client import Counter, Gauge

from ..actors.events import KILLSWITCH
from ..killswitch.audit import AuditTrail
from ..killswitch.copies import LatchCopy, RowCopy
from ..killswitch.guard.link import GuardLink
from ..killswitch.guard.settings import GuardSettings
from ..killswitch.keeper import Killswitch
from ..killswitch.latch import Latch
from ..killswitch.lease import Lease
from ..killswitch.redis_link import RedisLink
from ..killswitch.rules.rules import Rules
from ..killswitch.state import Copies, Memory, Neighbours
from ..killswitch.ways import TripFiles, Ways
from ..protocol.timestamps import utc_now
from ..runtime import RestartChild
from ..runtime.datadir import DataDir
from ..runtime.hang_watch import PING_INTERVAL_S
from ..runtime.telemetry.metrics import Metrics
from ..settings import Settings
from ..sql.audit import AuditTable
from ..sql.database import Database
from ..sql.stop_row import StopRow
from .addresses import Addresses

TURN_MARGIN_S: Final = 1.0
"""From the supervisor's turn with a hang to the guard's."""


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
        self.audit = AuditTrail(data.path, AuditTable(database))
        self._memory = Memory()
        self.rules = Rules(settings.rules, lambda: self._memory.stop, began_at=utc_now())
        self._row = RowCopy(StopRow(database))
        self._lease = Lease(data.instance)
        self._link: RedisLink | None = None
        self._on_halted: Callable[[float], object] = lambda _: None
        self._ways = Ways(to.killswitch)
        self.guard = GuardLink(
            redis_url=redis_url,
            folder=data.path,
            settings=guard_settings(settings),
            on_trip=self._ways.guard_tripped,
        )
        self._latch = LatchCopy(Latch(data.path), self.guard.settle)
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

    def measure(self, metrics: Metrics) -> None:
        """Add what is measured about the stop and its audit trail."""
        text = "From a stop to an agent's first receipt."
        self._on_halted = metrics.histogram("killswitch_ack_seconds", text).observe
        text = "Audit rows that PostgreSQL does not have yet."
        metrics.watch(Gauge, "audit_pending", text, lambda: self.audit.pending)
        text = "Audit rows for which there was no room."
        metrics.watch(Counter, "audit_lost", text, lambda: self.audit.lost)

    def actor(self, managed: Collection[str]) -> Killswitch:
        """A new run.

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
            on_halted=self._on_halted,
            managed=managed,
            audit=self.audit,
            hand_made=self.files.hand_made,
        )
        copies = Copies(self._latch, self._row, self._link, self._lease, self._data.path)
        return Killswitch(memory=self._memory, copies=copies, to=neighbours)

    def signalled(self) -> None:
        """SIGUSR1 has come."""
        self._ways.signalled(self.guard)

    def close(self) -> None:
        """End what runs outside the tree."""
        self.files.close()
        self._latch.close()
        self.audit.close()


def guard_settings(settings: Settings) -> GuardSettings:
    """The guard's section; its silence lasts until the supervisor had its turn with a hang."""
    turn_s = settings.supervisor.hang_timeout_s + 2 * PING_INTERVAL_S
    silence_s = max(settings.guard.silence_s, turn_s + TURN_MARGIN_S)
    return settings.guard.model_copy(update={"silence_s": silence_s})
