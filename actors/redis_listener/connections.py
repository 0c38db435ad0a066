"""All that the listener keeps over its incarnations: made once by the daemon, closed by it."""

from collections.abc import Callable, Sequence
from typing import Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ...protocol.bus_url import read_bus_url
from ..canary import Canaries
from ..messages.redis_listener import BusStatus
from .gaps import GapBook
from .publisher import BusPublisher
from .reconnect import Dialer
from .server_checks import Danger
from .stream_reader import StreamLane, StreamLimits
from .subscription import Subscription

CONTROL: Final = "control"
DATA: Final = "data"


class BusConnections:
    """The two lanes, the publisher, and what they share.

    Args:
        url: Of the server; ``redis://``, ``rediss://`` or ``unix://``.
        control_patterns: On a connection of their own, so that no burst delays a stop.
        data_patterns: All the others; what the control lane has is left out.
        connect_timeout_s: For each step of connecting.
        down_since: The last journalled moment of the daemon's previous life, if it had one; it
            becomes one ``bus.gap`` once all lanes are subscribed.
        canaries: Prove that what is published arrives.
        on_danger: Told what of the server's settings endangers events, at each connect.
        stream_limits: Of reading the durable stream.

    Raises:
        BadBusUrl: The URL is refused; the text repeats no secret.
        ValueError: A lane has no pattern.
    """

    def __init__(  # noqa: PLR0913 wired in one place
        self,
        url: str,
        *,
        control_patterns: Sequence[str],
        data_patterns: Sequence[str],
        connect_timeout_s: float = 2.0,
        down_since: str | None = None,
        canaries: Canaries | None = None,
        on_danger: Callable[[tuple[Danger, ...]], None] = lambda _dangers: None,
        stream_limits: StreamLimits | None = None,
    ) -> None:
        control = tuple(dict.fromkeys(control_patterns))
        data = tuple(p for p in dict.fromkeys(data_patterns) if p not in control)
        if not control or not data:
            raise ValueError("each lane needs a pattern of its own")
        patterns = {CONTROL: control, DATA: data}
        pool = _pool(url, connect_timeout_s)
        self._dialer = dialer = Dialer()
        gaps = GapBook(patterns, down_since)
        self.control, self.data = (
            Subscription(lane, patterns[lane], pool=pool, dialer=dialer, gaps=gaps)
            for lane in (CONTROL, DATA)
        )
        self.publisher = BusPublisher(
            pool,
            dialer,
            self.own_copies,
            canaries=canaries,
            lanes=self.lanes,
            on_danger=on_danger,
        )
        self._canary_lanes = tuple(canaries.channels) if canaries else ()
        self.stream = StreamLane(pool, dialer, stream_limits)

    @property
    def patterns(self) -> tuple[str, ...]:
        """All, control first: of several that match, the copy for the first one counts."""
        return self.control.patterns + self.data.patterns

    @property
    def lanes(self) -> tuple[Subscription, Subscription]:
        """Both, control first."""
        return self.control, self.data

    @property
    def attempts(self) -> int:
        """Connections tried, by all three together."""
        return self._dialer.attempts

    @property
    def heartbeats_visible(self) -> bool:
        """Whether every lane on which heartbeats come is subscribed."""
        return all(lane.connected for lane in self.lanes if lane.carries_heartbeats)

    @property
    def canary_lanes(self) -> tuple[str, ...]:
        """The lanes on which heartbeats come and canaries can prove it."""
        return tuple(
            lane.lane
            for lane in self.lanes
            if lane.carries_heartbeats and lane.lane in self._canary_lanes
        )

    def own_copies(self, channel: str) -> int:
        """How many receivers of a message on ``channel`` are ourselves."""
        return sum(lane.copies(channel) for lane in self.lanes)

    def close(self) -> None:
        """Close all connections; for the daemon, when the listener has stopped for good."""
        for lane in self.lanes:
            lane.close()
        self.publisher.close()
        self.stream.close()

    def status(self) -> BusStatus:
        """How it all stands; does not wait."""
        lanes = tuple(lane.status() for lane in self.lanes)
        away = [lane for lane in lanes if not lane.connected]
        return BusStatus(
            connected=not away,
            since=min(lane.since for lane in away) if away else max(lane.since for lane in lanes),
            subscriptions=lanes,
            attempts=self.attempts,
            last_error=next((lane.last_error for lane in away if lane.last_error), None),
            latency_ms=lanes[0].latency_ms,
            published=self.publisher.published,
            publish_failures=self.publisher.failures,
            stream=self.stream.status(),
        )


def _pool(url: str, timeout_s: float) -> redis.ConnectionPool:
    client = redis.Redis(
        **read_bus_url(url).client_options(),
        protocol=2,  # in version 3 messages would come as pushes, which nothing here needs
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        socket_keepalive=True,
    )
    return client.connection_pool
