"""To the Broadcaster: stops from the StateKeeper, agents from the HeartbeatMonitor.

Events reach it as :mod:`~.events`.
"""

import msgspec

from .heartbeat_monitor import AgentView


class KillswitchNotice(msgspec.Struct, frozen=True):
    """From the StateKeeper: the killswitch was engaged or released; for all clients, at once."""

    engaged: bool
    """Which of the two."""
    data: bytes
    """The trip, as JSON."""


class AgentStatusChanged(msgspec.Struct, frozen=True):
    """From the HeartbeatMonitor: rows of agents whose state has changed."""

    agents: tuple[AgentView, ...]
    """As ``/health/agents`` shows them."""
