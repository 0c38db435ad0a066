"""The agents that this daemon runs: their specs, and the supervisor over them.

What outlives their runs is held here: which of them an operator has stopped, and what is
measured of those that run as processes.
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import gevent
import structlog

from ..actors.agent_host.child_spec import AgentSettings, agent_child_spec
from ..actors.agent_host.stopped_agents import StoppedAgents
from ..actors.heartbeat_monitor.agent_table import REMOVED
from ..http.reloads import AgentChanges
from ..runtime import (
    AddChild,
    Address,
    ChildSpec,
    DeadLetters,
    DeleteChild,
    OrchestratorError,
    Refusal,
    Shutdown,
    StopChild,
    Supervisor,
    SupervisorReport,
    UnknownChild,
)
from ..runtime.processes.groups import GroupWatch
from ..runtime.processes.output import ProcessOutput
from ..runtime.processes.record import ProcessRecord
from ..settings import Settings

START_LIMIT_S = 60.0
"""For all agents together."""

BUS_WAIT_S = 1.5
"""How long agents wait for the bus before they start without it."""

BUSY_WAIT_S: Final = 10.0
"""How long to wait for an agent that is being started or stopped just now, by somebody else."""

ANSWER_MARGIN_S: Final = 5.0
"""What a stop's answer may take beyond the agent's own limit."""

log = structlog.get_logger(actor="daemon")


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
        self._make_spec = partial(
            agent_child_spec,
            redis_url=redis_url,
            environment=os.environ,
            guard=guard,
            dead_letters=dead_letters,
            state_dir=folder / "agents",
        )
        self.stopped = StoppedAgents(folder / "stopped-agents.json")
        """Agents stopped by an operator; they stay stopped across daemon restarts."""
        self.processes: dict[str, ProcessRecord] = {}
        """What is known of the child processes."""
        self.outputs: dict[str, ProcessOutput] = {}
        """What those within the daemon logged last."""
        self.kinds: dict[str, str] = {}
        """The mode of each, and `REMOVED` for those that were in the settings before."""
        self._tables: dict[str, AgentSettings] = {}
        self._specs: dict[str, ChildSpec] = {}
        for agent_id, table in settings.agents.items():
            self._take(agent_id, table)

    def _take(self, agent_id: str, table: AgentSettings) -> ChildSpec:
        if table.mode == "process":
            self.processes.setdefault(agent_id, ProcessRecord())
            self.outputs.pop(agent_id, None)
        else:
            self.outputs.setdefault(agent_id, ProcessOutput())
            self.processes.pop(agent_id, None)
        self.kinds[agent_id] = table.mode
        self._tables[agent_id] = table
        record, output = self.processes.get(agent_id), self.outputs.get(agent_id)
        spec = self._make_spec(agent_id, table, record=record, output=output)
        self._specs[agent_id] = spec
        return spec

    def _drop(self, agent_id: str) -> None:
        for kept in (self._specs, self._tables, self.processes, self.outputs):
            kept.pop(agent_id, None)
        self.kinds[agent_id] = REMOVED

    # -- while the daemon runs ---------------------------------------------------------------

    def use(self, tables: Mapping[str, AgentSettings], supervisor: Address) -> AgentChanges:
        """Start, stop and restart what differs from ``tables``; others are not touched.

        Those that end are stopped together, each within its own limit, before new ones start.
        Blocks that long. One that cannot be stopped stays as it is.

        Args:
            tables: The agents' settings by id.
            supervisor: Theirs.
        """
        gone = [agent_id for agent_id in self._tables if agent_id not in tables]
        changed = [
            agent_id
            for agent_id, table in tables.items()
            if agent_id in self._tables and self._tables[agent_id] != table
        ]
        added = [agent_id for agent_id in tables if agent_id not in self._tables]
        failed: dict[str, str] = {}
        jobs = [gevent.spawn(self._end, supervisor, one, failed) for one in (*gone, *changed)]
        gevent.joinall(jobs, raise_error=True)
        for agent_id in gone:
            if agent_id not in failed:
                self._drop(agent_id)
                self._forget_stop(agent_id)
        for agent_id in (*changed, *added):
            if agent_id not in failed:
                self._begin(supervisor, agent_id, tables[agent_id], failed)
        done = {"started": added, "stopped": gone, "restarted": changed}
        return AgentChanges(
            **{name: tuple(i for i in ids if i not in failed) for name, ids in done.items()},
            failed=failed,
        )

    def _end(self, supervisor: Address, agent_id: str, failed: dict[str, str]) -> None:
        """Stop an agent, and have the supervisor forget it."""
        limit_s = self._tables[agent_id].shutdown_s + ANSWER_MARGIN_S + BUSY_WAIT_S
        busy_until = time.monotonic() + BUSY_WAIT_S
        while True:
            try:
                supervisor.ask(StopChild(agent_id), timeout_s=limit_s)
                supervisor.ask(DeleteChild(agent_id), timeout_s=ANSWER_MARGIN_S)
            except UnknownChild:  # it did not start last time
                return
            except Refusal as error:
                if time.monotonic() >= busy_until:
                    failed[agent_id] = str(error)
                    return
                gevent.sleep(0.1)
            except OrchestratorError as error:
                failed[agent_id] = str(error)
                return
            else:
                return

    def _begin(
        self, supervisor: Address, agent_id: str, table: AgentSettings, failed: dict[str, str]
    ) -> None:
        spec = replace(self._take(agent_id, table), autostart=agent_id not in self.stopped)
        try:
            supervisor.ask(AddChild(spec, kept=True), timeout_s=START_LIMIT_S)
        except OrchestratorError as error:
            failed[agent_id] = str(error)
            self._drop(agent_id)

    def _forget_stop(self, agent_id: str) -> None:
        try:
            self.stopped.note(agent_id, stopped=False)
        except OSError as error:  # if it comes back it is not started
            log.error("an operator's stop is not forgotten", agent=agent_id, reason=str(error))

    # -- at the start ------------------------------------------------------------------------

    def child_spec(
        self,
        address: Address,
        wait_for_bus: Callable[[float], object],
        on_report: Callable[[SupervisorReport], None],
    ) -> ChildSpec:
        """The spec of their supervisor; they stop all at once.

        Args:
            address: The supervisor's.
            wait_for_bus: Blocks until the bus is connected; takes a limit in seconds.
            on_report: Called for each end and restart; must not block.
        """

        def make() -> Supervisor:
            wait_for_bus(BUS_WAIT_S)  # so that an agent's first heartbeat is received
            return Supervisor(
                [
                    replace(spec, autostart=spec.name not in self.stopped)
                    for spec in self._specs.values()
                ],
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
