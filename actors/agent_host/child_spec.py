"""How an agent named in the settings runs: as an actor of the daemon, or as a child process."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import gevent
from pydantic import BaseModel, ByteSize, ConfigDict, Field, model_validator

from ...agents import Agent
from ...agents.errors import BadAgent
from ...agents.runner import load_agent
from ...agents.state import FOLDER_VARIABLE, FileStore, Store, state_file
from ...agents.surroundings import REAL, Surroundings, within
from ...runtime import Actor, Address, ChildSpec, DeadLetters, Mailbox, Restart
from ...runtime.processes.actor import ProcessActor, ProcessCommand
from ...runtime.processes.groups import GroupWatch
from ...runtime.processes.output import ProcessOutput
from ...runtime.processes.record import ProcessRecord
from .actor import AgentHost

T = TypeVar("T")

KILL_MARGIN_S = 3.0
"""What an actor needs beyond its agent's own limit: to kill, to reap, to read the last output."""
MAILBOX_CAPACITY = 100
"""An agent's actor is only ever asked how it is."""
PRIVATE_VARIABLES = ("PG_URL", "REDIS_URL_FILE", "ORCHESTRATOR_")
"""Prefixes of the daemon's own variables, which agents do not inherit."""


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
    """When it is restarted."""
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


def agent_child_spec(  # noqa: PLR0913 - what an agent needs to know of its daemon
    agent_id: str,
    settings: AgentSettings,
    *,
    redis_url: str,
    environment: Mapping[str, str],
    record: ProcessRecord | None = None,
    guard: GroupWatch | None = None,
    dead_letters: DeadLetters | None = None,
    autostart: bool = True,
    state_dir: Path | None = None,
    output: ProcessOutput | None = None,
) -> ChildSpec:
    """The child spec of an agent, for the agents' supervisor (``escalate=False``).

    Args:
        agent_id: the table's name; also the actor's.
        settings: the table.
        redis_url: where agents find the bus; the real URL, never ``embedded``.
        environment: the daemon's own; `PRIVATE_VARIABLES` are not passed on.
        record: where a process is recorded, its last output lines included; made if None.
        guard: kills the process group when the daemon has died.
        dead_letters: the daemon's.
        autostart: whether it starts with the daemon, or only on request.
        state_dir: where agents of the kit keep their state; None: as if run by hand.
        output: where what an agent within the daemon logs is kept; None: nowhere.
    """
    address = Address(agent_id, Mailbox(MAILBOX_CAPACITY), dead_letters)
    factory: Callable[[], Actor]
    if settings.mode == "in_process":
        make_agent = _agent_maker(agent_id, settings, redis_url, state_dir)

        def factory() -> Actor:
            return AgentHost(make_agent, stop_timeout_s=settings.shutdown_s, output=output)

    else:
        given = {} if state_dir is None else {FOLDER_VARIABLE: str(state_dir)}
        own = settings.model_copy(update={"env": given | settings.env})
        command = process_command(agent_id, own, redis_url, environment)
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


def _agent_maker(
    agent_id: str, settings: AgentSettings, redis_url: str, state_dir: Path | None
) -> Callable[[], Agent]:
    def make_agent() -> Agent:
        kind = load_agent(settings.class_ or "")
        if kind.takes_async:  # asyncio knows one loop for each thread, and the daemon is one
            raise BadAgent(f'{settings.class_} is an AsyncAgent: it needs mode = "process"')
        with within(hosted(state_dir)):
            return kind(
                agent_id=agent_id,
                name=settings.name,
                group=settings.group,
                redis_url=redis_url,
                interval_s=settings.interval_s,
                options=settings.options,
            )

    return make_agent


def process_command(
    agent_id: str, settings: AgentSettings, redis_url: str, environment: Mapping[str, str]
) -> ProcessCommand:
    """How to run the agent as a child process.

    Its environment is the daemon's without `PRIVATE_VARIABLES`, with ``REDIS_URL``,
    ``ORCHESTRATOR_AGENT_ID`` and, with precedence, ``env`` of the table.
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


def hosted(state_dir: Path | None) -> Surroundings:
    """For agents that keep their state below ``state_dir`` if they say nothing else."""
    environment = {} if state_dir is None else {FOLDER_VARIABLE: str(state_dir)}

    def open_store(agent_id: str, folder: str | Path | None) -> Store:
        return FileStore(state_file(agent_id, folder, environment), in_thread)

    return REAL._replace(open_store=open_store)


def in_thread(call: Callable[[], T]) -> T:
    """Run a call that blocks on the disk in a thread; only the calling greenlet waits."""
    result: T = gevent.get_hub().threadpool.apply(call)
    return result
