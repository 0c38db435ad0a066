"""The daemon's bus: its two connections, and whether the server's settings endanger events."""

from collections.abc import Callable

import structlog

from ..actors.canary import Canaries
from ..actors.redis_listener.connections import BusConnections
from ..actors.redis_listener.server_checks import Danger, check
from ..actors.redis_listener.stream_reader import StreamLimits
from ..actors.sources import CONTROL, DATA
from ..protocol.bus_url import read_bus_url
from ..protocol.timestamps import timestamp
from ..runtime import OrchestratorError
from ..settings import Settings

log = structlog.get_logger(actor="bus")


class BusEndangered(OrchestratorError):
    """The server's settings cannot keep what ours promise, and ``redis.strict`` is set."""

    def __init__(self, dangers: tuple[Danger, ...]) -> None:
        super().__init__(dangers)
        self.dangers = dangers

    def __str__(self) -> str:
        return "redis.strict: " + "; ".join(map(str, self.dangers))


class Bus:
    """One daemon's Redis.

    Args:
        settings: All of them; the sections ``redis`` and ``bus`` count.
        url: Of the server, which may be an embedded one.
        instance: The data directory's unguessable id; recognises our canaries.
        on_unusable: Called with the reason why the daemon must end; must not block.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        url: str,
        instance: str,
        on_unusable: Callable[[str], None],
    ) -> None:
        self._redis = settings.redis
        bus = settings.bus
        self._stream_limits = StreamLimits(
            bus.stream_read_entries, bus.stream_read_bytes, bus.stream_trim_s
        )
        self._patterns_of = {CONTROL: bus.control_patterns, DATA: bus.data_patterns}
        self._url = url
        self._on_unusable = on_unusable
        self.patterns = (*self._patterns_of[CONTROL], *self._patterns_of[DATA])
        """All that is subscribed to."""
        self.canaries = Canaries(instance)
        """Prove that what is published arrives."""

    def check(self) -> None:
        """Check the server before the start, if `redis.strict` is set.

        Raises:
            BusEndangered: Its settings endanger events. One that is away is checked when it comes.
        """
        if ignored := read_bus_url(self._url).ignored:
            log.warning("options in REDIS_URL are ignored", options=", ".join(ignored))
        limit_s = self._redis.connect_timeout_s
        if self._redis.strict and (dangers := check(self._url, limit_s=limit_s)):
            raise BusEndangered(dangers)

    def subscribe(self, *, down_since_ms: int) -> BusConnections:
        """The sockets, which connect by themselves; the caller closes them.

        Args:
            down_since_ms: The last moment at which a daemon is known to have received, by the
                journal, else by PostgreSQL; 0 if there was none.
        """
        return BusConnections(
            self._url,
            control_patterns=self._patterns_of[CONTROL],
            data_patterns=self._patterns_of[DATA],
            connect_timeout_s=self._redis.connect_timeout_s,
            down_since=timestamp(down_since_ms / 1000) if down_since_ms else None,
            canaries=self.canaries,
            on_danger=self._endangered,
            stream_limits=self._stream_limits,
        )

    def _endangered(self, dangers: tuple[Danger, ...]) -> None:
        if self._redis.strict:
            self._on_unusable(str(BusEndangered(dangers)))
