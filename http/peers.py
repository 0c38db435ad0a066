"""What the daemon hands to the HTTP server; ``app.all_routes`` gives each class its part of it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ..actors.agent_host.stopped_agents import StoppedAgents
from ..actors.broadcaster.clients import Clients
from ..actors.span_exporter.spans import Spans
from ..killswitch.audit import AuditTrail
from ..killswitch.rules.rules import Rules
from ..runtime import Address, DeadLetters
from ..runtime.processes.output import ProcessOutput
from ..runtime.processes.record import ProcessRecord
from ..runtime.telemetry.metrics import Metrics
from ..sql.database import Database
from .reloads import Reloads

ASK_TIMEOUT_S: Final = 2.0
"""An actor that is being restarted is back long before; a page in a browser still waits."""


@dataclass(frozen=True, slots=True)
class Instance:
    """This daemon."""

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
class ManagedAgents:
    """The agents that this daemon runs."""

    supervisor: Address | None = None
    """Its children are named by agent ids; ``None`` without agents."""
    processes: Mapping[str, ProcessRecord] = field(default_factory=dict)
    """Those that are child processes, by id."""
    stopped: StoppedAgents | None = None
    """Those that an operator has stopped; ``None``: not remembered over a restart."""
    outputs: Mapping[str, ProcessOutput] = field(default_factory=dict)
    """What those within the daemon logged last, by id."""


@dataclass(frozen=True, slots=True)
class Peers:
    """Addresses and objects; made by ``daemon/tree.py``, taken apart by ``app.all_routes``."""

    persister: Address
    """The EventPersister."""
    monitor: Address
    """The HeartbeatMonitor."""
    keeper: Address
    """The StateKeeper."""
    killswitch: Address
    """The Killswitch."""
    guard: Address
    """The guard's actor."""
    listener: Address
    """The RedisListener."""
    root: Address
    """The supervisor at the root of the tree."""
    agents: ManagedAgents
    """The agents' supervisor, and what is known of them."""
    clients: Clients
    """The clients of the event feed, shared with the Broadcaster."""
    database: Database
    """For pages that memory does not cover."""
    dead_letters: DeadLetters
    """All actors' dead letters."""
    metrics: Metrics
    """The daemon's registry."""
    audit: AuditTrail
    """Who did what."""
    rules: Rules
    """Those that stop by themselves."""
    reloads: Reloads
    """The settings' file."""
    spans: Spans | None
    """Of traced requests, where they are exported."""
    instance: Instance
    """This daemon."""
