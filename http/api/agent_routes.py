"""``/runtime/agents``: the agents that this daemon runs, their commands and their output."""

from collections.abc import Sequence
from typing import Final

import msgspec
import structlog

from ...actors.agent_host.stopped_agents import StoppedAgents
from ...actors.messages.killswitch import Effective, GetEffective, ResumeAgent
from ...protocol.timestamps import timestamp, utc_now
from ...runtime import Address, AskTimeout, GetTree, RestartChild, StartChild, StopChild
from ...runtime.processes.output import OutputLine
from ...runtime.processes.record import ProcessRecord
from ..acts import Acts
from ..auth import caller_in
from ..errors import Conflict, NotFound
from ..peers import ASK_TIMEOUT_S, ManagedAgents
from ..requests import Call
from ..routes import Route
from .runtime_routes import COMMAND_WAIT_S, Node, find
from .runtime_schemas import (
    LogLine,
    LogsAnswer,
    LogsQuery,
    ManagedAgent,
    ManagedAgentAnswer,
    ManagedAgentsAnswer,
    ProcessExitShape,
)

_NO_AGENT: Final = "This daemon runs no agent of that id; see /runtime/agents."
_AGENT: Final = "/runtime/agents/{id}"

Command = RestartChild | StartChild | StopChild


class AgentRoutes:
    """The agents over REST.

    Args:
        agents: Their supervisor, and what is known of them.
        killswitch: Knows what each may do.
        acts: Notes what operators do.
    """

    def __init__(self, agents: ManagedAgents, killswitch: Address, acts: Acts) -> None:
        self._agents = agents
        self._acts = acts
        self._killswitch = killswitch
        self._log = structlog.get_logger(actor="http")

    @Route("GET", "/runtime/agents", {200: ManagedAgentsAnswer})
    def agents(self, _call: Call) -> ManagedAgentsAnswer:
        """The agents that this daemon runs."""
        rows = tuple(self._agent(row) for row in self._rows())
        return ManagedAgentsAnswer("ok", utc_now(), rows)

    @Route(
        "POST",
        f"{_AGENT}/start",
        {202: ManagedAgentAnswer},
        errors=(404, 409),
        audit="agent.start",
    )
    def start_agent(self, call: Call) -> ManagedAgentAnswer:
        """Start a stopped or given-up agent."""
        return self._command(call, "agent.start", StartChild)

    @Route(
        "POST",
        f"{_AGENT}/stop",
        {202: ManagedAgentAnswer},
        errors=(404, 409),
        audit="agent.stop",
    )
    def stop_agent(self, call: Call) -> ManagedAgentAnswer:
        """Stop an agent until it is started again."""
        return self._command(call, "agent.stop", StopChild)

    @Route(
        "POST",
        f"{_AGENT}/restart",
        {202: ManagedAgentAnswer},
        errors=(404, 409),
        audit="agent.restart",
    )
    def restart_agent(self, call: Call) -> ManagedAgentAnswer:
        """Stop and start an agent."""
        return self._command(call, "agent.restart", RestartChild)

    @Route(
        "POST",
        f"{_AGENT}/resume",
        {202: ManagedAgentAnswer},
        errors=(404, 409),
        audit="agent.resume",
    )
    def resume_agent(self, call: Call) -> ManagedAgentAnswer:
        """Let a halted agent act again.

        One with a gate is named in the permit, wherever it runs; another is restarted. 409 while
        a stop halts it, or while that is unknown.
        """
        agent_id = call.path["id"]
        found: Effective = self._killswitch.ask(GetEffective(agent_id), timeout_s=ASK_TIMEOUT_S)
        if found.permission in ("halt", "unknown"):
            state = "unknown" if found.permission == "unknown" else "active"
            raise Conflict(f"The killswitch is {state}: release it first.")
        if not found.has_gate:
            return self._command(call, "agent.resume", RestartChild)
        caller = caller_in(call.environ).name or str(call.environ.get("REMOTE_ADDR") or "unix")
        resume = ResumeAgent(agent_id, f"http:{caller}")
        self._killswitch.ask(resume, timeout_s=ASK_TIMEOUT_S)
        row = find(self._rows(), agent_id)
        external = ManagedAgent(agent_id, "external", "RUNNING", 0, None, 0.0)
        agent = external if row is None else self._agent(row)
        self._acts.done(call, "agent.resume", target=agent_id, detail="named in the permit")
        return ManagedAgentAnswer("accepted", utc_now(), agent)

    @Route("GET", f"{_AGENT}/logs", {200: LogsAnswer}, query=LogsQuery, errors=(404, 409))
    def agent_logs(self, call: Call) -> LogsAnswer:
        """The last lines that an agent printed, or logged if it runs inside the daemon.

        Since the start of the daemon; earlier ones are in its log.
        """
        agent_id, wanted = call.path["id"], call.query
        record = self._agents.processes.get(agent_id)
        output = self._agents.outputs.get(agent_id) if record is None else record.output
        if output is None:
            raise NotFound(_NO_AGENT)
        lines = output.last(wanted.limit)
        if wanted.before_crash:
            if record is None:
                raise Conflict("It runs inside the daemon: its lines say how its runs ended.")
            lines = record.exit.last_lines[-wanted.limit :] if record.exit is not None else ()
        ended = None if record is None else _exit(record)
        shapes = tuple(map(_line, lines))
        return LogsAnswer("ok", utc_now(), agent_id, shapes, output.total, ended)

    # -- parts -------------------------------------------------------------------------------

    def _command(self, call: Call, action: str, command: type[Command]) -> ManagedAgentAnswer:
        """Have the supervisor do it; after 3 s the answer shows the intermediate state."""
        agent_id, supervisor = call.path["id"], self._agents.supervisor
        row = before = find(self._rows(), agent_id)
        if row is None or before is None or supervisor is None:
            raise NotFound(_NO_AGENT)
        if self._agents.stopped is not None:
            self._remember(self._agents.stopped, agent_id, stopped=command is StopChild)
        try:
            row = supervisor.ask(command(agent_id), timeout_s=COMMAND_WAIT_S)
        except AskTimeout:
            row = find(self._rows(), agent_id) or row
        agent = self._agent(row)
        was = str(before["state"])
        self._acts.done(call, action, target=agent_id, was=was, became=agent.state)
        return ManagedAgentAnswer("accepted", utc_now(), agent)

    def _remember(self, kept: StoppedAgents, agent_id: str, *, stopped: bool) -> None:
        try:
            kept.note(agent_id, stopped=stopped)
        except OSError as error:  # it is stopped nevertheless, as long as the daemon runs
            self._log.error(
                "stopped state not saved, lost at a restart", agent=agent_id, reason=str(error)
            )

    def _agent(self, node: Node) -> ManagedAgent:
        agent_id = str(node["name"])
        row = ManagedAgent(
            id=agent_id,
            kind=str(node["kind"]),
            state=str(node["state"]),
            restarts=int(node["restarts"]),
            last_error=node["last_error"],
            uptime_seconds=float(node["uptime_seconds"]),
            stopped_by_operator=agent_id in (self._agents.stopped or ()),
        )
        record = self._agents.processes.get(agent_id)
        return row if record is None else _with_process(row, record)

    def _rows(self) -> Sequence[Node]:
        """The supervisor's children, in the order of the settings."""
        if self._agents.supervisor is None:
            return []
        rows: Sequence[Node] = self._agents.supervisor.ask(GetTree(), timeout_s=ASK_TIMEOUT_S)
        return rows


def _line(line: OutputLine) -> LogLine:
    found = line.read()
    return LogLine(timestamp(line.at), line.stream, line.text, found.level, found.fields)


def _with_process(row: ManagedAgent, record: ProcessRecord) -> ManagedAgent:
    usage = record.usage
    return msgspec.structs.replace(
        row,
        pid=record.pid,
        cpu_percent=usage.cpu_percent,
        memory_bytes=usage.memory_bytes,
        processes=usage.processes,
        last_exit=_exit(record),
    )


def _exit(record: ProcessRecord) -> ProcessExitShape | None:
    ended = record.exit
    return (
        None if ended is None else ProcessExitShape(timestamp(ended.at), ended.code, ended.signal)
    )
