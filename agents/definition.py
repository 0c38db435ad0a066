"""What the author of an agent writes: settings as class attributes, and hooks."""

import logging
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, ClassVar, Literal

import msgspec

from ..protocol.gate import Resume
from .errors import BadAgent
from .gate import AgentGate, Halt
from .options import NoOptions
from .signatures import check_methods
from .surroundings import Clock

GRACE_S = 1.0
"""How long a stop waits for the handler that is running; the rest of the 2 s that a
stop may take is for the last heartbeat."""


class Definition:
    """The part of an `Agent` that a subclass overrides.

    Hooks run in the handlers' job, in this order: `on_start` once the subscription stands; then
    handlers, timers, `on_halt`, `on_killswitch`, `on_reconnect` as they come; `on_stop` at the
    end. Only an `AsyncAgent`'s may return something to await.
    """

    log: logging.Logger
    """Of its own, ``agent.<id>``; within a handler its lines name the chain of the event."""
    agent_id: str = ""
    """Default: the class's name as ``my-agent``."""
    name: str = ""
    group: str = "unknown"
    version: str = ""
    """Of the agent, shown in its heartbeat."""
    redis_url: str = "redis://127.0.0.1:6379/0"
    interval_s: float = 5.0
    queue_capacity: int = 10_000
    """Messages that may wait for the handlers. When full, the oldest market data goes
    first; it is counted (``dropped`` in the heartbeat) and logged."""
    handler_limit_s: float = 60.0
    """A handler that runs for longer makes the status ``error``."""
    needs_permit: bool | None = None
    """Whether it has a gate, which only the daemon's permit opens; ``None``: if its group is
    ``execution``. Without one nothing keeps it from acting."""
    resume: Resume | Literal["on_permit", "manual"] | None = None
    """How it goes on after a stop: by itself, or after ``orc agent resume``; ``None``: manual in
    group ``execution``. After a mere lapse of the permit it always goes on by itself."""
    acting_channels: tuple[str, ...] | None = None
    """Patterns of the channels to publish on is acting; ``None``: all but `FREE_CHANNELS`."""
    open_orders: int = 0
    """Orders of this agent that work at a venue; the author counts."""
    state_dir: str | Path | None = None
    """The folder of the file in which `Agent.state` is kept; ``None``: the daemon's that runs the
    agent, else ``orchestrator/agents`` where this account keeps state (``~/.local/state``)."""
    takes_async: ClassVar[bool] = False
    """Whether methods may be ``async def``: those of an `AsyncAgent`."""
    Options: ClassVar[type[msgspec.Struct]] = NoOptions
    """A struct with the settings of this class, each with a default."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Check the methods that the class defines.

        Raises:
            BadAgent: the kit could not call one of them, or ``resume`` is no way to go on.
        """
        super().__init_subclass__(**options)
        if cls.resume is not None and cls.resume not in set(Resume):
            raise BadAgent(f"{cls.__name__}.resume is one of {', '.join(Resume)}, or None")
        check_methods(cls, takes_async=cls.takes_async)

    def on_start(self) -> Awaitable[None] | None:
        """Prepare. The subscription stands, nothing has been handled yet.

        What it raises ends the agent (and its supervisor restarts it), except
        `BusUnavailable`: then it is called again when Redis is back.
        """

    def on_killswitch(
        self,
        engaged: bool,  # noqa: FBT001
        message: dict[str, Any],
    ) -> Awaitable[None] | None:
        """A stop or a release was announced on ``risk.killswitch``.

        News, for an agent of any kind; whether it may act is said by `permission`. Overtakes
        all events that wait, but not a handler that is running.

        Args:
            engaged: true unless the message says ``"enabled": false``.
            message: its fields (reason, triggered_by, trip_id, …); ``{"raw": text}``
                if it was no JSON object.
        """

    def on_halt(self, halt: Halt) -> Awaitable[None] | None:
        """The gate has shut: cancel working orders, and keep `open_orders` right.

        Called each time that it shuts, and after `on_start` if it is shut then: a former run may
        have left orders. It overtakes all events that wait. The agent is quiet, for the daemon,
        once this has ended, `open_orders` is 0 and no handler that had begun before runs.
        """

    def on_reconnect(self, away_s: float) -> Awaitable[None] | None:
        """The subscription stands again after ``away_s`` seconds; what came then is lost."""

    def on_stop(self) -> Awaitable[None] | None:
        """Clean up, within `GRACE_S`."""


def gate_of(agent: Definition, clock: Clock) -> AgentGate | None:
    """The gate that an agent needs; ``None``: nothing keeps it from acting."""
    executes = agent.group == "execution"
    if not (executes if agent.needs_permit is None else agent.needs_permit):
        return None
    resume = agent.resume or (Resume.MANUAL if executes else Resume.ON_PERMIT)
    return AgentGate(
        agent.agent_id,
        agent.group,
        Resume(resume),
        acting_channels=agent.acting_channels,
        now=clock.steady_s,
        monotonic=clock.monotonic_s,
    )
