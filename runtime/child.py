"""What a supervisor knows of a child: the spec it was given, and the record it keeps."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from .actor import Actor
from .address import Address
from .restart import Backoff, Restart, RestartWindow


class ChildState(StrEnum):
    """Where a child is in its life (supervisord's words)."""

    STARTING = "STARTING"
    RUNNING = "RUNNING"
    BACKOFF = "BACKOFF"
    """It failed and waits for its restart."""
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    """Stopped on purpose."""
    EXITED = "EXITED"
    """It ended, and its spec says that this is that."""
    FATAL = "FATAL"
    """It failed too often; only an operator starts it again."""


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """How to start, stop and restart one child."""

    address: Address
    """Where its messages wait; its name is the child's name."""
    factory: Callable[[], Actor]
    """Makes a new incarnation, with all that it needs in its constructor."""
    restart: Restart = Restart.PERMANENT
    """Which of its ends are followed by a restart."""
    shutdown_s: float = 5.0
    """How long it may take to stop before it is killed."""
    start_timeout_s: float = 30.0
    """How long it may take until it answers its first ping."""
    kind: str = "actor"
    """``actor``, ``supervisor`` or ``process``, for those who look at the tree."""

    @property
    def name(self) -> str:
        """The child's name, unique below one root."""
        return self.address.name


class SupervisorReport(msgspec.Struct, frozen=True):
    """Something happened to a child; the four fields of OTP's reports, and two of ours."""

    supervisor: str
    """Who reports."""
    context: str
    """``start_error``, ``child_terminated``, ``child_restarted``, ``gave_up`` or
    ``shutdown_error``."""
    reason: str
    """The child's last words."""
    child: str
    """Which child."""
    restarts: int
    """How often it has been restarted."""
    kind: str
    """The child's kind."""


@dataclass(slots=True)
class Child:
    """The supervisor's record of one child; its state outlives incarnations."""

    spec: ChildSpec
    window: RestartWindow
    backoff: Backoff
    actor: Actor | None = None
    state: ChildState = ChildState.STOPPED
    restarts: int = 0
    started_at: float = 0.0
    """Monotonic seconds."""
    ping_sent_at: float | None = None
    """Monotonic seconds; ``None`` while no ping is on its way."""
    last_error: str | None = None
    managed: bool = False
    """Whether someone stops or starts it on purpose just now and looks after its ends."""

    @property
    def name(self) -> str:
        """The child's name."""
        return self.spec.name

    def describe(self) -> dict[str, Any]:
        """The child as ``/runtime/actors`` shows it."""
        address = self.spec.address
        running = self.state is ChildState.RUNNING
        return {
            "name": self.name,
            "kind": self.spec.kind,
            "state": self.state.value,
            "restarts": self.restarts,
            "mailbox": {"depth": len(address.mailbox), "capacity": address.mailbox.capacity},
            "processed": address.processed,
            "last_error": self.last_error,
            "uptime_seconds": round(time.monotonic() - self.started_at, 3) if running else 0,
            "children": self.actor.describe_children() if self.actor is not None else [],
        }
