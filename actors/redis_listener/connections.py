"""The connections to Redis: the daemon makes and closes them, so they outlive a crash."""

import time
from collections.abc import Callable, Sequence

from ..canary import Canaries
from ..messages.redis_listener import BusStatus
from ..sources import CONTROL, DATA
from .gaps import GapTracker
from .publisher import Publisher
from .reconnect import Dialer, connection_pool
from .server_checks import Danger
from .server_role import RoleWatch
from .stream_reader import StreamLimits, StreamReader
from .subscription import Subscription


class BusConnections:
    """Two subscriptions, the publisher and the durable stream's reader.

    Args:
        url: Of the server; ``redis://``, ``rediss://`` or ``unix://``.
        control_patterns: On a connection of their own, so that no burst delays a stop.
        data_patterns: All others; those that are control patterns too are left out.
        connect_timeout_s: For each step of connecting.
        down_since: The last journalled moment of the daemon's previous run, if there was one; it
            becomes one ``bus.gap`` once both subscriptions are up.
        canaries: Prove that published messages arrive.
        on_danger: Called with the server's settings that endanger events, after each connect.
        stream_limits: Of reading the durable stream.

    Raises:
        BadBusUrl: The URL is refused; the text repeats no secret.
        ValueError: A subscription has no pattern.
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
            raise ValueError("each subscription needs a pattern of its own")
        patterns = {CONTROL: control, DATA: data}
        self._dialer = dialer = Dialer(connection_pool(url, connect_timeout_s))
        gaps, watch = GapTracker(patterns, down_since), RoleWatch()
        self.control, self.data = (
            Subscription(
                name,
                patterns[name],
                dialer=dialer,
                gaps=gaps,
                watch=watch,
                canary_pattern=canaries.pattern if canaries else None,
            )
            for name in patterns
        )
        self.publisher = Publisher(
            dialer,
            self.own_copies,
            canaries=canaries,
            subscriptions=self.subscriptions,
            on_danger=on_danger,
            watch=watch,
        )
        self._watch = watch
        self.stream = StreamReader(dialer, stream_limits, watch)

    @property
    def subscriptions(self) -> tuple[Subscription, Subscription]:
        """Both, control first."""
        return self.control, self.data

    @property
    def attempts(self) -> int:
        """Connections tried, by all together."""
        return self._dialer.attempts

    @property
    def heartbeats_visible(self) -> bool:
        """Whether every subscription that carries heartbeats is up."""
        return all(each.connected for each in self.subscriptions if each.carries_heartbeats)

    @property
    def canary_paths(self) -> tuple[str, ...]:
        """Names of the subscriptions that carry heartbeats and whose canaries can prove it."""
        return tuple(
            each.name
            for each in self.subscriptions
            if each.carries_heartbeats and each.expects_canary
        )

    def wait_connected(self, limit_s: float) -> None:
        """Wait until both subscriptions are up, ``limit_s`` at most."""
        until = time.monotonic() + limit_s
        for each in self.subscriptions:
            each.subscribed.wait(max(0.0, until - time.monotonic()))

    def own_copies(self, channel: str) -> int:
        """How many receivers of a message on ``channel`` are our own subscriptions."""
        return sum(each.copies(channel) for each in self.subscriptions)

    def close(self) -> None:
        """Close all connections, once the listener has stopped for good."""
        for each in self.subscriptions:
            each.close()
        self.publisher.close()
        self.stream.close()

    def status(self) -> BusStatus:
        """The answer to ``GetBusStatus``; does not yield."""
        statuses = tuple(each.status() for each in self.subscriptions)
        away = [each for each in statuses if not each.connected]
        return BusStatus(
            connected=not away,
            since=min(one.since for one in away) if away else max(one.since for one in statuses),
            subscriptions=statuses,
            attempts=self.attempts,
            last_error=next((one.last_error for one in away if one.last_error), None),
            latency_ms=statuses[0].latency_ms,
            published=self.publisher.published,
            publish_failures=self.publisher.failures,
            not_master=self._watch.role.trouble if self._watch.role is not None else None,
            stream=self.stream.status(),
        )
