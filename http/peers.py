"""What the HTTP room needs of the rest of the daemon, handed over in one piece."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ..actors.agent_host.stopped_agents import StoppedAgents
from ..actors.broadcaster.clients import Clients
from ..runtime import Address, DeadLetters
from ..runtime.processes.record import ProcessRecord
from ..runtime.telemetry.metrics import Metrics
from ..sql.database import Database

ASK_TIMEOUT_S: Final = 2.0
"""An actor that is being restarted is back long before; a page in a browser still waits."""


@dataclass(frozen=True, slots=True)
class Instance:
    """Who this daemon is."""

    name: str
    """``instance.name``."""
    env: str
    """``instance.env``: ``dev``, ``paper``, ``live``, …."""
    version: str
    """Of the program."""
    started_at: float = field(default_factory=time.monotonic)
    """Monotonic seconds."""

    @property
    def uptime_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started_at


@dataclass(frozen=True, slots=True)
class Peers:
    """Addresses and objects; made by ``daemon/tree.py``."""

    persister: Address
    """The EventPersister."""
    monitor: Address
    """The HeartbeatMonitor."""
    keeper: Address
    """The StateKeeper."""
    listener: Address
    """The RedisListener."""
    root: Address
    """The supervisor at the root of the tree."""
    agents: Address | None
    """The agents' supervisor, whose children are named by agent ids; ``None`` without agents."""
    clients: Clients
    """The WebSocket clients, shared with the Broadcaster."""
    database: Database
    """For pages that memory does not cover."""
    dead_letters: DeadLetters
    """All actors' dead letters."""
    metrics: Metrics
    """The daemon's registry."""
    instance: Instance
    """Who this daemon is."""
    processes: Mapping[str, ProcessRecord] = field(default_factory=dict)
    """What is known of the agents that are child processes, by id."""
    stopped_agents: StoppedAgents | None = None
    """Those that stay stopped; ``None``: nothing is remembered."""


def ask(address: Address, message: object, timeout_s: float = ASK_TIMEOUT_S) -> Any:
    """Ask an actor, with a deadline.

    Raises:
        OrchestratorError: as :meth:`Address.ask`; becomes 503.
    """
    return address.ask(message, timeout_s=timeout_s)
