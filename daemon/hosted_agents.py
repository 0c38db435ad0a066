"""The agents that this daemon runs: their specs, and the supervisor over them.

What outlives their runs is held here: which of them an operator has stopped, and what is
measured of those that run as processes.
"""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import gevent

from ..actors.agent_host.child_spec import agent_child_spec
from ..actors.agent_host.stopped_agents import StoppedAgents
from ..runtime import Address, ChildSpec, DeadLetters, Shutdown, Supervisor, SupervisorReport
from ..runtime.processes.groups import GroupWatch
from ..runtime.processes.record import ProcessRecord
from ..settings import Settings

START_LIMIT_S = 60.0
"""For all agents together."""

BUS_WAIT_S = 1.5
"""How long agents wait for the bus before they start without it."""


class HostedAgents:
    """The agents of the settings.

    Args:
        settings: All of them.
        folder: The data directory.
        redis_url: The bus.
        guard: Notified of each process.
        dead_letters: Where unhandled messages to them go.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        folder: Path,
        redis_url: str,
        guard: GroupWatch | None,
        dead_letters: DeadLetters,
    ) -> None:
        self._settings = settings
        self.stopped = StoppedAgents(folder / "stopped-agents.json")
        """Agents stopped by an operator; they stay stopped across daemon restarts."""
        self.processes = {
            agent_id: ProcessRecord()
            for agent_id, agent in settings.agents.items()
            if agent.mode == "process"
        }
        """What is known of the child processes."""
        self._specs = [
            agent_child_spec(
                agent_id,
                agent,
                redis_url=redis_url,
                environment=os.environ,
                record=self.processes.get(agent_id),
                guard=guard,
                dead_letters=dead_letters,
                state_dir=folder / "agents",
            )
            for agent_id, agent in settings.agents.items()
        ]

    @property
    def kinds(self) -> dict[str, str]:
        """The mode of each."""
        return {agent_id: agent.mode for agent_id, agent in self._settings.agents.items()}

    def child_spec(
        self,
        address: Address,
        connected: Callable[[], bool],
        on_report: Callable[[SupervisorReport], None],
    ) -> ChildSpec:
        """The spec of their supervisor; they stop all at once.

        Args:
            address: The supervisor's.
            connected: Whether the bus is connected.
            on_report: Called for each end and restart; must not block.
        """

        def make() -> Supervisor:
            wait_for_bus(connected)
            return Supervisor(
                [replace(spec, autostart=spec.name not in self.stopped) for spec in self._specs],
                limits=self._settings.supervisor.limits(),
                on_report=on_report,
                escalate=False,
                hang_timeout_s=self._settings.supervisor.hang_timeout_s,
                stop_together=True,
            )

        return ChildSpec(
            address,
            make,
            shutdown_s=Shutdown.INFINITY,  # its children have limits, and so has a whole stop
            start_timeout_s=START_LIMIT_S,
            kind="supervisor",
        )


def wait_for_bus(connected: Callable[[], bool]) -> None:
    """Wait briefly, so that an agent's first heartbeat is received."""
    end = time.monotonic() + BUS_WAIT_S
    while not connected() and time.monotonic() < end:
        gevent.sleep(0.02)
