"""``/runtime/…``: the supervision tree, the agents below it, dead letters."""

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec
import structlog

from ...actors.agent_host.stopped_agents import StoppedAgents
from ...actors.messages.event_persister import GetBooks
from ...actors.messages.state_keeper import GetKillswitch, KillswitchView
from ...actors.sources import SourceBalance
from ...protocol.timestamps import timestamp, utc_now
from ...runtime import Address, AskTimeout, DeadLetter, GetTree, RestartChild, StartChild, StopChild
from ...runtime.processes.record import ProcessRecord
from ..errors import Conflict, NotFound
from ..peers import Peers, ask
from ..requests import Call
from ..routes import Answer, Route, json_answer
from .runtime_schemas import (
    ActorAnswer,
    ActorNode,
    ActorsAnswer,
    BooksAnswer,
    DeadLettersAnswer,
    DeadLetterShape,
    LogLine,
    LogsAnswer,
    LogsQuery,
    MailboxShape,
    ManagedAgent,
    ManagedAgentAnswer,
    ManagedAgentsAnswer,
    ProcessExitShape,
    SourceBooksShape,
)

# A slow start or stop goes on behind the answer, which then shows the state on the way.
_COMMAND_WAIT_S: Final = 3.0

_NO_AGENT: Final = "This daemon runs no agent of that id; see /runtime/agents."

Node = Mapping[str, Any]
Command = RestartChild | StartChild | StopChild


class RuntimeRoutes:
    """The tree over REST.

    Args:
        peers: The others.
        own_name: The HTTP server's name in the tree; it cannot wait for its own restart.
    """

    def __init__(self, peers: Peers, own_name: str) -> None:
        self._peers = peers
        self._own_name = own_name
        self._log = structlog.get_logger(actor="http")

    def routes(self) -> list[Route]:
        """The routes."""
        agent = "/runtime/agents/{id}"
        return [
            Route(
                "GET", "/runtime/actors", self.actors, "The supervision tree", {200: ActorsAnswer}
            ),
            Route(
                "POST",
                "/runtime/actors/{name}/restart",
                self.restart_actor,
                "Restart an actor",
                {202: ActorAnswer},
                errors=(404, 409),
            ),
            Route(
                "GET",
                "/runtime/agents",
                self.agents,
                "The agents that this daemon runs",
                {200: ManagedAgentsAnswer},
            ),
            *(
                Route(
                    "POST",
                    f"{agent}/{verb}",
                    handler,
                    summary,
                    {202: ManagedAgentAnswer},
                    errors=(404, 409),
                )
                for verb, handler, summary in (
                    ("start", self.start_agent, "Start a stopped or given-up agent"),
                    ("stop", self.stop_agent, "Stop an agent until it is started again"),
                    ("restart", self.restart_agent, "Stop and start an agent"),
                    ("resume", self.resume_agent, "Let a halted agent go on, by a new start"),
                )
            ),
            Route(
                "GET",
                f"{agent}/logs",
                self.agent_logs,
                "The last lines that an agent printed",
                {200: LogsAnswer},
                query=LogsQuery,
                errors=(404, 409),
            ),
            Route(
                "GET",
                "/runtime/dead-letters",
                self.dead_letters,
                "Messages that nobody handled",
                {200: DeadLettersAnswer},
            ),
            Route(
                "GET",
                "/runtime/books",
                self.books,
                "What became of all that came, by source",
                {200: BooksAnswer},
            ),
        ]

    # -- actors ------------------------------------------------------------------------------

    def actors(self, _call: Call) -> Answer:
        """From the root down."""
        root = self._peers.root
        children: list[Node] = ask(root, GetTree())
        mailbox = MailboxShape(len(root.mailbox), root.mailbox.capacity)
        tree = ActorNode(
            name=root.name,
            kind="supervisor",
            state="RUNNING",
            restarts=0,
            mailbox=mailbox,
            processed=root.processed,
            last_error=None,
            uptime_seconds=round(self._peers.instance.uptime_s, 3),
            children=tuple(map(_node, children)),
        )
        return json_answer(ActorsAnswer("ok", utc_now(), tree))

    def restart_actor(self, call: Call) -> Answer:
        """Answered when it runs again, but for the server that would have to answer."""
        name = call.path["name"]
        tree: list[Node] = ask(self._peers.root, GetTree())
        row = _find(tree, name)
        if row is None:
            raise NotFound("There is no actor of that name; see /runtime/actors.")
        if _find([row], self._own_name) is not None:
            self._peers.root.tell(RestartChild(name))
        else:
            row = self._command(self._peers.root, RestartChild(name)) or row
        return json_answer(ActorAnswer("accepted", utc_now(), _node(row)), 202)

    # -- agents ------------------------------------------------------------------------------

    def agents(self, _call: Call) -> Answer:
        """In the order of the settings."""
        rows = tuple(self._agent(row) for row in self._agent_rows())
        return json_answer(ManagedAgentsAnswer("ok", utc_now(), rows))

    def start_agent(self, call: Call) -> Answer:
        """If it does not run."""
        return self._command_agent(call, StartChild)

    def stop_agent(self, call: Call) -> Answer:
        """If it runs."""
        return self._command_agent(call, StopChild)

    def restart_agent(self, call: Call) -> Answer:
        """Whatever its state."""
        return self._command_agent(call, RestartChild)

    def agent_logs(self, call: Call) -> Answer:
        """Of this daemon's life; those of earlier ones are in its log."""
        agent_id, wanted = call.path["id"], call.query
        record = self._peers.processes.get(agent_id)
        if record is None:
            if _find(self._agent_rows(), agent_id) is None:
                raise NotFound(_NO_AGENT)
            raise Conflict("It runs inside the daemon: what it says is in the daemon's log.")
        lines = record.output.last(wanted.limit)
        if wanted.before_crash:
            lines = record.exit.last_lines[-wanted.limit :] if record.exit is not None else ()
        answer = LogsAnswer(
            "ok",
            utc_now(),
            agent_id,
            tuple(LogLine(timestamp(line.at), line.stream, line.text) for line in lines),
            record.output.total,
            _exit(record),
        )
        return json_answer(answer)

    def resume_agent(self, call: Call) -> Answer:
        """Only once the killswitch is released."""
        view: KillswitchView = ask(self._peers.keeper, GetKillswitch())
        if view.status != "inactive":
            raise Conflict(f"The killswitch is {view.status}: release it first.")
        return self._command_agent(call, RestartChild)

    def _command_agent(self, call: Call, command: type[Command]) -> Answer:
        agent_id = call.path["id"]
        supervisor = self._peers.agents
        row = _find(self._agent_rows(), agent_id)
        if row is None or supervisor is None:
            raise NotFound(_NO_AGENT)
        if self._peers.stopped_agents is not None:
            self._remember(self._peers.stopped_agents, agent_id, stopped=command is StopChild)
        row = (
            self._command(supervisor, command(agent_id))
            or _find(self._agent_rows(), agent_id)
            or row
        )
        return json_answer(ManagedAgentAnswer("accepted", utc_now(), self._agent(row)), 202)

    def _remember(self, kept: StoppedAgents, agent_id: str, *, stopped: bool) -> None:
        try:
            kept.note(agent_id, stopped=stopped)
        except OSError as error:  # it is stopped nevertheless, as long as the daemon runs
            self._log.error("not remembered over a restart", agent=agent_id, reason=str(error))

    def _agent(self, node: Node) -> ManagedAgent:
        agent_id = str(node["name"])
        row = ManagedAgent(
            id=agent_id,
            kind=str(node["kind"]),
            state=str(node["state"]),
            restarts=int(node["restarts"]),
            last_error=node["last_error"],
            uptime_seconds=float(node["uptime_seconds"]),
            stopped_by_operator=agent_id in (self._peers.stopped_agents or ()),
        )
        record = self._peers.processes.get(agent_id)
        return row if record is None else _with_process(row, record)

    def _agent_rows(self) -> list[Node]:
        if self._peers.agents is None:
            return []
        rows: list[Node] = ask(self._peers.agents, GetTree())
        return rows

    def _command(self, supervisor: Address, command: Command) -> Node | None:
        """The child's row once it is done; ``None`` if that takes longer than 3 s."""
        with suppress(AskTimeout):
            row: Node = ask(supervisor, command, _COMMAND_WAIT_S)
            return row
        return None

    # -- dead letters ------------------------------------------------------------------------

    def dead_letters(self, _call: Call) -> Answer:
        """The last thousand, newest first."""
        kept = self._peers.dead_letters
        letters = tuple(_letter(letter) for letter in reversed(kept.snapshot()))
        return json_answer(DeadLettersAnswer("ok", utc_now(), letters, kept.total))

    # -- the books ---------------------------------------------------------------------------

    def books(self, _call: Call) -> Answer:
        """Of one moment, since the daemon's start."""
        rows: tuple[SourceBalance, ...] = ask(self._peers.persister, GetBooks())
        shapes = tuple(
            SourceBooksShape(**msgspec.structs.asdict(row), difference=row.difference)
            for row in rows
        )
        balanced = not any(row.difference for row in rows)
        since = timestamp(time.time() - self._peers.instance.uptime_s)
        return json_answer(BooksAnswer("ok", utc_now(), balanced, since, shapes))


def _find(tree: Iterable[Node], name: str) -> Node | None:
    for node in tree:
        if node["name"] == name:
            return node
        below = _find(node["children"], name)
        if below is not None:
            return below
    return None


def _node(node: Node) -> ActorNode:
    return msgspec.convert(node, ActorNode)


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
    if ended is None:
        return None
    return ProcessExitShape(timestamp(ended.at), ended.code, ended.signal)


def _letter(letter: DeadLetter) -> DeadLetterShape:
    return DeadLetterShape(letter.actor, letter.message, letter.reason, timestamp(letter.at))
