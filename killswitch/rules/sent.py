"""Who sent a message, and when; which agents there are. Pure; bounded, whatever is sent.

A message's time is when the daemon read it off the socket. For ``acting`` it is the time that the
message states, if that is earlier: what waited in the durable stream, or while the daemon hung,
is no act after the stop.
"""

from dataclasses import dataclass
from typing import Final

import msgspec

from ...actors.events import Event
from ...actors.fields import FieldReader
from ...actors.messages.killswitch import Sender
from ...protocol.heartbeat import GateBeat
from ...protocol.targets import MAX_NAME_BYTES
from ...protocol.timestamps import unix_seconds
from ..receipts import MAX_AGENTS, must_obey

UNNAMED: Final = "(unnamed)"
"""The sender of messages that name none."""


class _Said(msgspec.Struct, gc=False):
    agent_id: object = None
    timestamp: object = None


_NOTHING_SAID: Final = _Said()
_read: Final = FieldReader(_Said)


@dataclass(frozen=True, slots=True)
class Sent:
    """One message."""

    agent: str
    """Whose: ``agent_id`` of the payload, else the source, else ``(unnamed)``."""
    group: str | None
    """The agent's, if it has beaten."""
    must: bool
    """Whether the agent has to obey stops."""
    channel: str
    """On which."""
    at_ms: int
    """When it was read (Unix)."""
    sent_ms: int
    """When it was sent, by its own words; not later than it was read."""
    taken_s: float
    """When it came here (monotonic)."""
    sent_s: float
    """When it was sent, by the monotonic clock: that of the wall may have been set since."""


class Senders:
    """The agents that have beaten since the daemon's start."""

    def __init__(self) -> None:
        self._agents: dict[str, tuple[str, bool]] = {}

    def heard(self, sender: Sender, beat: GateBeat) -> None:
        """A heartbeat: in which group the agent is, and whether it has to obey stops."""
        if sender.agent in self._agents or len(self._agents) < MAX_AGENTS:
            self._agents[sender.agent] = sender.group, must_obey(sender, beat)

    def group_of(self, agent: str) -> str | None:
        """An agent's group, if it has beaten."""
        return self._agents.get(agent, (None, False))[0]

    def sent(self, event: Event, now: float, wall_ms: int) -> Sent:
        """What an event says about its sender; now by the monotonic clock, and by the wall's."""
        said = _said(event.payload)
        agent = _name(said.agent_id) or event.source or UNNAMED
        group, must = self._agents.get(agent, (None, False))
        at_ms = unix_ms(event.ts)
        sent_ms = min(at_ms, unix_ms(said.timestamp, at_ms))
        sent_s = now - max(0, wall_ms - sent_ms) / 1000
        return Sent(agent, group, must, event.type, at_ms, sent_ms, now, sent_s)


def unix_ms(text: object, otherwise: int = 0) -> int:
    """Unix milliseconds of an ISO 8601 time."""
    seconds = unix_seconds(text) if isinstance(text, str) else None
    return otherwise if seconds is None else round(seconds * 1000)


def _said(payload: bytes) -> _Said:
    try:
        return _read(payload)
    except msgspec.DecodeError:  # no object
        return _NOTHING_SAID


def _name(value: object) -> str | None:
    usable = isinstance(value, str) and 0 < len(value) <= MAX_NAME_BYTES
    return str(value) if usable else None
