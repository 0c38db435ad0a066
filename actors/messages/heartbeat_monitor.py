"""To the HeartbeatMonitor: questions of the HTTP server, and signs that the bus works.

The RedisListener sends :class:`SetBusVisible`, the EventPersister :class:`Canary`; heartbeats
reach it as :mod:`~.events`.
"""

from enum import StrEnum

import msgspec

from ..unread import WAIT_S


class Liveness(StrEnum):
    """An agent's state at this moment."""

    UP = "up"
    LATE = "late"
    DOWN = "down"
    UNKNOWN = "unknown"


class AgentView(msgspec.Struct, frozen=True):
    """One agent as ``/health/agents`` and ``agent_status`` show it."""

    id: str
    name: str
    agent_group: str | None
    status: str
    last_beat: str | None
    last_error: str | None
    is_alive: bool
    seconds_since_beat: int | None
    liveness: Liveness
    kind: str
    interval_s: float
    version: str | None
    id_note: str | None = None
    """Which characters of the id look like others, if it has any."""
    instances: int = 1
    """Processes that beat under this id side by side, as far as they say a ``boot``."""


class GetAgents(msgspec.Struct, frozen=True):
    """Asks for the registry; answered by :class:`Agents`, refused with ``NotRead`` before."""

    group: str | None = None
    """Only this group."""
    status: str | None = None
    """Only this status."""
    alive: bool | None = None
    """Only those that are, or are not, alive."""
    wait_s: float = WAIT_S
    """How long to wait for the registry to be read after a start."""


class GetVisibility(msgspec.Struct, frozen=True):
    """Asks whether heartbeats arrive; answered by :class:`Visibility` at once."""


class Visibility(msgspec.Struct, frozen=True):
    """Whether the daemon sees the bus."""

    visible: bool
    """Whether heartbeats are known to arrive."""
    canary_rtt_s: float | None
    """From publishing the last canary to its arrival here; None before the first."""


class GetAgent(msgspec.Struct, frozen=True):
    """Asks for one agent; answered by its :class:`AgentView` or ``None``."""

    agent_id: str
    """Its id."""


class Agents(msgspec.Struct, frozen=True):
    """The registry, newest beat first."""

    rows: tuple[AgentView, ...]
    """The agents that passed the filters."""
    total: int
    """How many rows that is."""
    active: int
    """How many of them are alive."""


class SetBusVisible(msgspec.Struct, frozen=True):
    """From the listener: whether the connections that carry heartbeats are subscribed."""

    visible: bool
    """False from a cut to the new subscription."""
    canaries: tuple[str, ...] = ()
    """Those of the connections that have a canary; without its arrival they count as blind."""


class Canary(msgspec.Struct, frozen=True, gc=False):
    """From the persister: a canary has come the whole way."""

    connection: str
    """The connection it came by."""
    sent_at: float
    """When it was published, monotonic seconds."""
