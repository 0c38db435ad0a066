"""The shapes of ``/runtime/...``: actors, hosted agents, dead letters, books (contract, part 2)."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from ...actors.sources import SourceBalance
from ..reloads import Reload


class MailboxShape(msgspec.Struct, frozen=True):
    """How full a mailbox is."""

    depth: int
    capacity: int


class ActorNode(msgspec.Struct, frozen=True):
    """One actor and those below it."""

    name: str
    kind: str
    state: str
    restarts: int
    mailbox: MailboxShape
    processed: int
    last_error: str | None
    uptime_seconds: float
    children: tuple["ActorNode", ...]


class ActorsAnswer(msgspec.Struct, frozen=True):
    """``/runtime/actors``."""

    status: Literal["ok"]
    timestamp: str
    tree: ActorNode


class ActorAnswer(msgspec.Struct, frozen=True):
    """``POST /runtime/actors/{name}/restart``."""

    status: Literal["accepted"]
    timestamp: str
    actor: ActorNode


class ManagedAgent(msgspec.Struct, frozen=True):
    """An agent that this daemon runs."""

    id: str
    kind: str
    state: str
    restarts: int
    last_error: str | None
    uptime_seconds: float
    stopped_by_operator: bool = False
    """Stays stopped when the daemon starts again."""
    pid: int | None = None
    """Of a child process that runs."""
    cpu_percent: float | None = None
    """Of one processor; its children included."""
    memory_bytes: int | None = None
    """Resident; its children included."""
    processes: int | None = None
    """It and its children."""
    last_exit: "ProcessExitShape | None" = None
    """The most recent crash."""


class ProcessExitShape(msgspec.Struct, frozen=True):
    """How a child process ended."""

    at: str
    code: int | None
    signal: str | None


class LogsQuery(msgspec.Struct, frozen=True):
    """The query of ``/runtime/agents/{id}/logs``."""

    limit: Annotated[int, Meta(ge=1, le=200)] = 200
    before_crash: bool = False
    """Last output lines before the most recent crash."""


class LogLine(msgspec.Struct, frozen=True):
    """One line that an agent printed or logged."""

    at: str
    stream: str
    """``stdout`` or ``stderr``; ``log`` of one that runs inside the daemon."""
    text: str
    level: str
    """``debug``, ``info``, ``warning`` or ``error``: its own if it says one, else ``info``."""
    fields: dict[str, Any]
    """Of a JSON line, and of what was logged with fields: at most 16, no nested ones."""


class LogsAnswer(msgspec.Struct, frozen=True):
    """``/runtime/agents/{id}/logs``, the oldest line first."""

    status: Literal["ok"]
    timestamp: str
    id: str
    lines: tuple[LogLine, ...]
    total: int
    """Lines printed since the daemon started; the last of ``lines`` has this number."""
    last_exit: ProcessExitShape | None


class ManagedAgentsAnswer(msgspec.Struct, frozen=True):
    """``/runtime/agents``."""

    status: Literal["ok"]
    timestamp: str
    agents: tuple[ManagedAgent, ...]


class ManagedAgentAnswer(msgspec.Struct, frozen=True):
    """``POST /runtime/agents/{id}/…``."""

    status: Literal["accepted"]
    timestamp: str
    agent: ManagedAgent


class SettingsAnswer(msgspec.Struct, frozen=True):
    """``/runtime/settings``."""

    status: Literal["ok"]
    timestamp: str
    file: str | None
    """The settings' file; none if they came from the environment alone."""
    last_reload: Reload | None


class ReloadAnswer(msgspec.Struct, frozen=True):
    """``POST /runtime/settings/reload``."""

    status: Literal["accepted"]
    timestamp: str
    reload: Reload | None
    """What came of it; null while agents are still being stopped or started."""


class DeadLetterShape(msgspec.Struct, frozen=True):
    """A message that was not handled."""

    actor: str
    message: str
    reason: str
    at: str


class DeadLettersAnswer(msgspec.Struct, frozen=True):
    """``/runtime/dead-letters``."""

    status: Literal["ok"]
    timestamp: str
    dead_letters: tuple[DeadLetterShape, ...]
    total: int


class SourceBooksShape(SourceBalance, frozen=True, kw_only=True):
    """What became of all that came from one source since the daemon's start.

    carried + received = stored + rejected + journal + dropped + copies + echoes + aside, and what
    is not placed by that is the difference: 0 unless the program is at fault.
    """

    difference: int


class BooksAnswer(msgspec.Struct, frozen=True):
    """``/runtime/books``."""

    status: Literal["ok"]
    timestamp: str
    balanced: bool
    since: str
    books: tuple[SourceBooksShape, ...]
