"""Puts JSON on the bus, with what the contract lets every producer add.

``seq`` rises by one per source and channel under one ``boot``; a publish that fails
has used its number up, so that the daemon sees the hole and says so.
"""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ..protocol.bus_url import BadBusUrl, BusUrl, read_bus_url
from ..protocol.channels import REPLIES
from ..protocol.timestamps import timestamp
from .errors import BadOptions, BadPayload, BusUnavailable

MAX_PAYLOAD_BYTES = 1024 * 1024
"""What is larger the daemon rejects (contract, section 1)."""
SOCKET_TIMEOUT_S = 2.0
"""A server that does not answer for so long is as good as away."""
MAX_CONNECTIONS = 20
"""Of one client: one to publish, and one for each question that waits for its answer."""
STREAM = "orchestrator:events"
"""Where durable messages go (contract, section 1)."""
MAX_CHANNELS = 10_000
"""Maximum number of counters kept; channels beyond them carry no ``seq``."""


def connect(
    redis_url: str, *, timeout_s: float = SOCKET_TIMEOUT_S, name: str = "orchestrator-agent"
) -> redis.Redis:
    """A client for the URL. Opens nothing yet.

    It never repeats a command by itself: a PUBLISH sent twice would be two events.

    Args:
        redis_url: where.
        timeout_s: how long the server may take to answer.
        name: what the connection is called in ``CLIENT LIST``, unless the URL says.

    Raises:
        BadOptions: the URL is refused; the text holds no secret.
    """
    url = read_url(redis_url)
    return redis.Redis(
        **url.client_options(),
        redis_connect_func=None if url.client_name else greeting(name),
        protocol=2,  # understood by every server; pub/sub needs nothing newer
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        max_connections=MAX_CONNECTIONS,
    )


def greeting(name: str) -> Any:
    """For redis-py's ``redis_connect_func``: log in as usual, then name the connection.

    An account that may not name itself is served all the same. (The parameter's type in redis-py
    has no argument; it is called with the connection.)
    """

    def greet(connection: Any) -> None:
        connection.on_connect()
        with suppress(redis.ResponseError):
            connection.send_command("CLIENT", "SETNAME", name, check_health=False)
            connection.read_response()

    return greet


def read_url(redis_url: str) -> BusUrl:
    """The URL, read as the daemon reads it.

    Raises:
        BadOptions: it is refused; the text holds no secret.
    """
    try:
        return read_bus_url(redis_url)
    except BadBusUrl as error:
        raise BadOptions(f"the Redis URL is not usable: {error}") from None


class Sender(Protocol):
    """The part of a `Bus` that a publisher needs."""

    def send(self, channel: str, body: bytes, *, durable: bool) -> int:
        """Publish; returns how many subscribers got it."""

    def close(self) -> None:
        """Close the connection."""


class Publisher:
    """One source's way on to the bus. May be shared by threads.

    Args:
        bus: used by this publisher alone.
        agent_id: goes into each payload as ``agent_id``.
        boot: tells this run of the agent from the one before.
        unix_s: the time of day.
    """

    def __init__(
        self,
        bus: Sender,
        *,
        agent_id: str,
        boot: str,
        unix_s: Callable[[], float] = time.time,
    ) -> None:
        self._bus = bus
        self._unix_s = unix_s
        self._agent_id = agent_id
        self._boot = boot
        self._last_seq: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()

    def publish(
        self,
        channel: str,
        payload: Mapping[str, Any],
        *,
        durable: bool = False,
        require: Callable[[str], object] = lambda _channel: None,
    ) -> int:
        """Publish now; waits for the server, `SOCKET_TIMEOUT_S` for each step at most.

        A durable message is added to the stream that the daemon stores exactly once, and
        published with the same bytes, both or neither. ``require`` raises if the message may not
        go out: asked when those before it have gone, which may have waited for the server.

        Returns:
            How many subscribers got it.

        Raises:
            BadPayload: no JSON object, or larger than 1 MiB.
            BusUnavailable: the server did not take it.
        """
        with self._lock:  # so that seq and the order on the wire agree
            require(channel)
            body = self.stamp(channel, payload, durable=durable)
            try:
                return self._bus.send(channel, body, durable=durable)
            except (redis.RedisError, OSError) as error:
                raise BusUnavailable(channel, error) from error

    def stamp(self, channel: str, payload: Mapping[str, Any], *, durable: bool = False) -> bytes:
        """The JSON that goes out: the payload, and behind it what it lacks."""
        if not isinstance(payload, Mapping):
            raise BadPayload(f"the payload for {channel} is no dict but {type(payload).__name__}")
        fields = dict(payload)
        fields.setdefault("agent_id", self._agent_id)
        fields.setdefault("timestamp", timestamp(self._unix_s()))
        if durable:
            fields["durable"] = True
        fields.update(self._numbering(channel, fields))
        try:
            body = msgspec.json.encode(fields)
        except (TypeError, ValueError, RecursionError) as error:
            raise BadPayload(f"the payload for {channel} is no JSON: {error}") from error
        if len(body) > MAX_PAYLOAD_BYTES:
            raise BadPayload(f"the payload for {channel} has {len(body)} bytes, over 1 MiB")
        return body

    def _numbering(self, channel: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        if channel.startswith(REPLIES):
            return {}  # each is used once
        source = fields.get("source")
        key = (source if isinstance(source, str) and source else self._agent_id, channel)
        if key not in self._last_seq and len(self._last_seq) >= MAX_CHANNELS:
            return {}
        seq = self._last_seq[key] = self._last_seq.get(key, 0) + 1
        return {"seq": seq, "boot": self._boot}

    def close(self) -> None:
        """Close the connection."""
        self._bus.close()
