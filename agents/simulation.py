"""A clock that is set by hand and a bus in memory, behind the seams of `surroundings`."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import redis

from ..protocol.announcement import Stamp, announcement
from ..protocol.channels import CONTROL_PATTERNS, DATA_PATTERNS
from ..protocol.patterns import matches
from ..protocol.permit import TTL_MS, Permit, write_permit
from ..protocol.targets import Target
from ..protocol.timestamps import timestamp
from ..protocol.trips import Stop, Trip
from .surroundings import Question

STORED = (*CONTROL_PATTERNS, *DATA_PATTERNS)
"""What the daemon of a bench stores."""
BEGIN_S = 1_767_225_600.0
"""2026-01-01T00:00:00Z: tests begin at the same moment each time."""


class VirtualClock:
    """Stands still until it is set.

    Args:
        unix_s: the time of day at the beginning.
    """

    def __init__(self, unix_s: float = BEGIN_S) -> None:
        self._unix_s = unix_s

    def unix_s(self) -> float:
        """The time of day."""
        return self._unix_s

    monotonic_s = steady_s = unix_s

    def set(self, unix_s: float) -> None:
        """Set it forward; back it never goes."""
        self._unix_s = max(unix_s, self._unix_s)


class Published(msgspec.Struct, frozen=True):
    """One message that an agent published."""

    channel: str
    """Where."""
    payload: Any
    """Decoded, with all that the kit adds."""
    body: bytes
    """As on the wire."""
    durable: bool = False
    """Whether it went into the durable stream too."""


class MemoryBus:
    """What the agents of one bench send, and the permit that they read.

    Heartbeats are not kept but for the last of each agent.

    Args:
        clock: the bench's.
        permitted: whether there is a permit from the beginning.
    """

    def __init__(self, clock: VirtualClock, *, permitted: bool = True) -> None:
        self._clock = clock
        self.permitted = permitted
        """Whether a daemon renews the permit; without one it is gone at once."""
        self.stop = Stop()
        """The trips in force and their releases."""
        self.resumed: dict[str, int] = {}
        """Agent → generation under which it was resumed by hand."""
        self.is_away = False
        """Whether the server does not answer."""
        self.sent: list[Published] = []
        self.beats: dict[str, dict[str, Any]] = {}
        """Agent → its last heartbeat."""
        self.replies: dict[str, bytes] = {}
        """Channel that somebody waits on → the answer, once there is one."""
        self.on_sent: Callable[[Published], int] = lambda _message: 0
        """Called with each message; returns how many agents got it."""
        self.wait: Callable[[Callable[[], bool], float], object] = lambda _there, _limit_s: None
        """Lets the others run until something is there, at most that many seconds."""
        self._generation = 1
        self._count = 0

    # -- what an agent does ----------------------------------------------------------

    def send(self, channel: str, body: bytes, *, durable: bool) -> int:
        """See `surroundings.Bus`."""
        self._check()
        message = Published(channel, msgspec.json.decode(body), body, durable)
        if channel.startswith("heartbeat."):
            self.beats[channel.partition(".")[2]] = message.payload
        else:
            self.sent.append(message)
        if channel in self.replies:
            self.replies[channel] = self.replies[channel] or body
            return 1
        return self.on_sent(message) + any(matches(pattern, channel) for pattern in STORED)

    def read_permit(self) -> tuple[bytes | None, int]:
        """See `surroundings.Bus`."""
        self._check()
        if not self.permitted or self.stop.stops_all:
            return None, -2
        permit = Permit(
            self._generation,
            "bench",
            timestamp(self._clock.unix_s()),
            halted=tuple(trip.target for trip in self.stop.trips),
            releases=self.stop.release_count,
            resumed=self.resumed,
        )
        return write_permit(permit), TTL_MS

    def ask(self, question: Question) -> bytes | None:
        """See `surroundings.Bus`. Time passes while it waits."""
        self._check()
        self.replies[question.reply_to] = b""
        try:
            if question.send():
                self.wait(lambda: bool(self.replies[question.reply_to]), question.timeout_s)
            return self.replies[question.reply_to] or None
        finally:
            del self.replies[question.reply_to]

    def close(self) -> None:
        """See `surroundings.Bus`."""

    def _check(self) -> None:
        if self.is_away:
            raise redis.ConnectionError("the bench's bus is away")

    # -- what a daemon does ----------------------------------------------------------

    def engage(self, reason: str, target: Target) -> bytes:
        """A new trip; returns what a daemon publishes about it."""
        self._count += 1
        now = timestamp(self._clock.unix_s())
        self.stop = self.stop.with_trip(
            Trip(f"{self._count:026d}", reason, "bench", now, target=target)
        )
        return self._announcement()

    def release(self) -> bytes:
        """End all trips; the generation rises."""
        for trip in self.stop.trips:
            self.stop = self.stop.with_release(trip.id, timestamp(self._clock.unix_s()))
        self._generation += 1
        return self._announcement()

    def resume(self, agent_id: str) -> None:
        """What ``orc agent resume`` does."""
        self._generation += 1
        self.resumed[agent_id] = self._generation

    def _announcement(self) -> bytes:
        self._count += 1
        return announcement(self.stop, Stamp(timestamp(self._clock.unix_s()), self._count, "bench"))


def selected(messages: list[Published], pattern: str, fields: Mapping[str, Any]) -> list[Published]:
    """Those on a channel that matches, whose payload has these fields."""
    return [
        message
        for message in messages
        if matches(pattern, message.channel)
        and (
            not fields
            or (isinstance(message.payload, dict) and fields.items() <= message.payload.items())
        )
    ]


class MemoryStore:
    """The state of one agent of a bench. What another run of it has kept is there.

    Args:
        kept: agent → state, of all agents of the bench.
        agent_id: whose.
    """

    def __init__(self, kept: dict[str, bytes], agent_id: str) -> None:
        self._kept = kept
        self._agent_id = agent_id

    def load(self) -> bytes | None:
        """See `state.Store`."""
        return self._kept.get(self._agent_id)

    def save(self, data: bytes) -> None:
        """See `state.Store`."""
        self._kept[self._agent_id] = data

    def close(self) -> None:
        """See `state.Store`."""
