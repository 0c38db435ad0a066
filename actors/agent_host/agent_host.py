"""Agents that the daemon runs: one inside it as an actor, or any program as a child process.

Holds an agent's jobs, as greenlets linked to the actor; they die with it. The agent publishes on
Redis like every other, so nothing of it need survive here: its successor connects anew, with a
new ``boot`` that tells the daemon so.
"""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import gevent
from gevent import Greenlet
from pydantic import BaseModel, ByteSize, ConfigDict, Field, model_validator

from ...agents import Agent
from ...agents.runner import load_agent
from ...runtime import Actor, Address, ChildSpec, DeadLetters, Mailbox, OrchestratorError, Restart
from ...runtime.guard import GuardLink
from ...runtime.processes.actor import ProcessActor, ProcessCommand
from ...runtime.processes.record import ProcessRecord

KILL_MARGIN_S = 3.0
"""What an actor needs beyond its agent's own limit: to kill, to reap, to read the last words."""
MAILBOX_CAPACITY = 100
"""An agent's actor is only ever asked how it is."""
PRIVATE_VARIABLES = ("PG_URL", "ORCHESTRATOR_")
"""What begins so is the daemon's own business and not inherited."""


class AgentSettings(BaseModel):
    """``[agents.<id>]``: an agent that the daemon runs."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        use_attribute_docstrings=True,
    )

    mode: Literal["process", "in_process"] = "process"
    """A child process, or an actor of the daemon (for trusted code that yields)."""
    class_: str | None = Field(default=None, alias="class", pattern=r"^[\w.]+:\w+$")
    """``module:Class`` of an agent written with the kit."""
    command: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Program and arguments of any other agent; it gets ``REDIS_URL``."""
    name: str | None = None
    """Shown to people; by default the class's, else the id."""
    group: str | None = None
    """By default the class's."""
    env: dict[str, str] = Field(default_factory=dict)
    """Variables of a child process, besides the daemon's own."""
    cwd: Path | None = None
    """The folder a child process runs in."""
    restart: Restart = Restart.PERMANENT
    """Which of its ends are followed by a restart."""
    shutdown_s: float = Field(default=5.0, ge=0.1, le=300)
    """How long it may take to stop before it is killed."""
    max_memory: ByteSize | None = Field(default=None, ge=2**20)
    """Of a child process with all below it, such as ``512MiB``; one that uses more is restarted."""
    interval_s: float | None = Field(default=None, ge=0.1, le=3600)
    """Time between heartbeats; by default the class's."""
    options: dict[str, Any] = Field(default_factory=dict)
    """What the class declares as its options."""

    @model_validator(mode="after")
    def _check_program(self) -> Self:
        if (self.class_ is None) == (self.command is None):
            raise ValueError('expected either class = "module:Class" or command = ["program", …]')
        if self.mode == "in_process" and self.class_ is None:
            raise ValueError('expected a class: only that can run with mode = "in_process"')
        if self.mode == "in_process" and (self.env or self.cwd or self.max_memory):
            raise ValueError('expected no env, cwd or max_memory with mode = "in_process"')
        return self


class AgentLeft(OrchestratorError):
    """An agent's code tried to end the process: it ends its actor only."""

    def __init__(self, agent_id: str, how: BaseException) -> None:
        super().__init__(agent_id, how)
        self.agent_id = agent_id
        self.how = how

    def __str__(self) -> str:
        return f"agent {self.agent_id} raised {type(self.how).__name__}: {self.how}"


class AgentHost(Actor):
    """Runs an agent of the kit inside the daemon.

    What the agent's jobs raise (its ``on_start``; its handlers never do) is the actor's failure.
    An agent that stops itself ends the actor normally. A handler that waits for ever shows in
    the agent's own heartbeat; one that computes for ever holds the daemon's loop, and the
    runtime's monitor finds it.

    Args:
        make_agent: a new agent for this incarnation; what it raises fails the actor too.
        stop_timeout_s: how long a stop waits for the agent's jobs before they are killed.
    """

    def __init__(self, make_agent: Callable[[], Agent], *, stop_timeout_s: float = 5.0) -> None:
        super().__init__()
        self._make_agent = make_agent
        self._stop_timeout_s = stop_timeout_s
        self._agent: Agent | None = None
        self._jobs: list[Greenlet] = []

    # -- hooks -------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Start the agent, beside: one that fails must not fail the daemon's start."""
        self.spawn(self._host, name="host")

    def on_receive(self, message: object) -> None:
        """An agent is reached over Redis; nobody tells its actor anything."""
        self.log.warning("unexpected message", message=repr(message))

    def on_stop(self) -> None:
        """Stop the agent; its last heartbeat says so. Takes ``stop_timeout_s`` at most."""
        if self._agent is None:
            return
        self._agent.stop()
        gevent.joinall(self._jobs, timeout=self._stop_timeout_s)
        left = [job.name for job in self._jobs if not job.dead]
        if left:
            self.log.warning("agent does not end and is killed", jobs=left)
        self._agent.close()

    def on_failure(
        self,
        exception_type: type[BaseException] | None,  # noqa: ARG002 pykka's signature
        exception_value: BaseException | None,  # noqa: ARG002 pykka's signature
        traceback: TracebackType | None,  # noqa: ARG002 pykka's signature
    ) -> None:
        """End the jobs at once, and their connections."""
        if self._agent is not None:
            self._agent.stop()
            gevent.killall(self._jobs, timeout=1.0)
            self._agent.close()

    # -- the agent ---------------------------------------------------------------------------

    def _host(self) -> None:
        agent = self._agent = self._make_agent()
        self._jobs = [
            self.spawn(self._run_job, agent, job, name=name) for name, job in agent.jobs().items()
        ]
        gevent.joinall(self._jobs)
        if all(job.successful() for job in self._jobs):
            self.stop()

    def _run_job(self, agent: Agent, job: Callable[[], None]) -> None:
        try:
            job()
        except (SystemExit, KeyboardInterrupt) as how:  # out of a greenlet they end the daemon
            raise AgentLeft(agent.agent_id, how) from how


def agent_child_spec(  # noqa: PLR0913 - what an agent needs to know of its daemon
    agent_id: str,
    settings: AgentSettings,
    *,
    redis_url: str,
    environment: Mapping[str, str],
    record: ProcessRecord | None = None,
    guard: GuardLink | None = None,
    dead_letters: DeadLetters | None = None,
    autostart: bool = True,
) -> ChildSpec:
    """The child spec of an agent, for the agents' supervisor (``escalate=False``).

    Args:
        agent_id: the table's name; also the actor's.
        settings: the table.
        redis_url: where agents find the bus; the real URL, never ``embedded``.
        environment: the daemon's own; `PRIVATE_VARIABLES` are not passed on.
        record: what is known of a process, its last lines too; made here if none is given.
        guard: ends a process with its group when the daemon is gone.
        dead_letters: the daemon's.
        autostart: whether it starts with the daemon, or only when an operator says so.
    """
    address = Address(agent_id, Mailbox(MAILBOX_CAPACITY), dead_letters)
    factory: Callable[[], Actor]
    if settings.mode == "in_process":
        factory = _host_factory(agent_id, settings, redis_url)
    else:
        command = process_command(agent_id, settings, redis_url, environment)
        kept = record if record is not None else ProcessRecord()

        def factory() -> Actor:
            return ProcessActor(command, kept, guard)

    return ChildSpec(
        address,
        factory,
        restart=settings.restart,
        shutdown_s=settings.shutdown_s + KILL_MARGIN_S,
        kind=settings.mode,
        autostart=autostart,
    )


def _host_factory(
    agent_id: str, settings: AgentSettings, redis_url: str
) -> Callable[[], AgentHost]:
    def make_agent() -> Agent:
        return load_agent(settings.class_ or "")(
            agent_id=agent_id,
            name=settings.name,
            group=settings.group,
            redis_url=redis_url,
            interval_s=settings.interval_s,
            options=settings.options,
        )

    return lambda: AgentHost(make_agent, stop_timeout_s=settings.shutdown_s)


def process_command(
    agent_id: str, settings: AgentSettings, redis_url: str, environment: Mapping[str, str]
) -> ProcessCommand:
    """How to run the agent as a child process.

    Its environment is the daemon's without `PRIVATE_VARIABLES`, with ``REDIS_URL``,
    ``ORCHESTRATOR_AGENT_ID`` and, above all, ``env`` of the table.
    """
    inherited = {
        name: value for name, value in environment.items() if not name.startswith(PRIVATE_VARIABLES)
    }
    given = {"REDIS_URL": redis_url, "ORCHESTRATOR_AGENT_ID": agent_id, "PYTHONUNBUFFERED": "1"}
    return ProcessCommand(
        arguments=settings.command or _runner_arguments(agent_id, settings),
        environment=inherited | given | settings.env,
        folder=str(settings.cwd) if settings.cwd is not None else None,
        stop_timeout_s=settings.shutdown_s,
        max_memory_bytes=settings.max_memory,
    )


def _runner_arguments(agent_id: str, settings: AgentSettings) -> tuple[str, ...]:
    arguments = [sys.executable, "-m", "orchestrator.agents.runner", settings.class_ or ""]
    arguments += ["--id", agent_id]
    for flag, value in (
        ("--name", settings.name),
        ("--group", settings.group),
        ("--interval", settings.interval_s),
    ):
        if value is not None:
            arguments += [flag, str(value)]
    if settings.options:
        arguments += ["--option", json.dumps(settings.options, default=str)]
    return tuple(arguments)
