"""Questions of one agent; each answer comes on a channel used once: ``reply.<agent>.<n>``."""

import threading
import zlib
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

import msgspec
import redis

from ..protocol.channels import REPLIES
from .errors import BadPayload, BusUnavailable, NoAnswer
from .event import Event
from .publisher import Publisher
from .surroundings import Bus, Question

PER_RUN = 2**32
"""Questions one run may ask before its numbers could be those of another."""


class Questions:
    """Any thread; each question waits by itself.

    Args:
        bus: where answers come.
        publisher: what questions go out by.
        agent_id: who asks.
        boot: identifies this run, so that a late answer to another one is ignored.
        stopping: set when the agent shall end.
        unix_s: the time of day.
    """

    def __init__(  # noqa: PLR0913 - wiring
        self,
        bus: Bus,
        publisher: Publisher,
        *,
        agent_id: str,
        boot: str,
        stopping: threading.Event,
        unix_s: Callable[[], float],
    ) -> None:
        self._bus = bus
        self._publisher = publisher
        self._prefix = f"{REPLIES}{agent_id}."
        self._numbers = count(zlib.crc32(boot.encode()) * PER_RUN + 1)
        self._stopping = stopping
        self._unix_s = unix_s

    def ask(
        self,
        channel: str,
        fields: Mapping[str, Any],
        timeout_s: float,
        *,
        require: Callable[[str], object] = lambda _channel: None,
    ) -> Event:
        """See `Agent.ask`, and for ``require`` `Publisher.publish`."""
        reply_to = f"{self._prefix}{next(self._numbers)}"
        if not isinstance(fields, Mapping):
            raise BadPayload(f"what is asked on {channel} is no dict but {type(fields).__name__}")
        body = {**fields, "reply_to": reply_to}
        receivers = 0

        def send() -> int:
            nonlocal receivers
            receivers = self._publisher.publish(channel, body, require=require)
            return receivers

        try:
            data = self._bus.ask(Question(reply_to, send, timeout_s, self._stopping))
        except (redis.RedisError, OSError) as error:
            raise BusUnavailable(channel, error) from error
        if data is None:
            raise NoAnswer(channel, self._why(receivers, timeout_s))
        return Event(reply_to, _decoded(channel, data), self._unix_s())

    def _why(self, receivers: int, timeout_s: float) -> str:
        if not receivers:
            return "no subscriber"
        return "the agent is stopped" if self._stopping.is_set() else f"not within {timeout_s:g} s"


def _decoded(channel: str, data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadPayload(
            f"the answer to what was asked on {channel} is no JSON: {error}"
        ) from error
