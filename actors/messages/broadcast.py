"""Messages."""

import msgspec

from .registry import AgentView


class KillswitchNotice(msgspec.Struct, frozen=True):
    """The killswitch was engaged or released: for all clients, at once."""

    engaged: bool
    """Which of the two."""
    data: bytes
    """The trip, as JSON."""


class AgentStatusChanged(msgspec.Struct, frozen=True):
    """Rows of agents whose state has changed."""

    agents: tuple[AgentView, ...]
    """As ``/health/agents`` shows them."""
