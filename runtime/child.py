"""A supervisor's child: its spec, and the record of its state."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from .actor import Actor
from .address import Address
from .policy import FailureStreak, Restart, RestartWindow, Shutdown
from .timer import Timer


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
    """It ended, and its spec asks for no restart."""
    FATAL = "FATAL"
    """It failed too often; only an operator starts it again."""


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """How to start, stop and restart one child."""

    address: Address
    """Where its messages wait; its name is the child's name."""
    factory: Callable[[], Actor]
    """Makes a new run, with all that it needs in its constructor."""
    restart: Restart = Restart.PERMANENT
    """Which of its ends are followed by a restart."""
    shutdown_s: float | Shutdown = 5.0
    """How long it may take to stop before it is killed; or one of OTP's two words."""
    start_timeout_s: float = 30.0
    """How long it may take until it answers its first ping."""
    kind: str = "actor"
    """``actor``, ``supervisor`` or ``process``; shown in the tree."""
    significant: bool = False
    """Whether its end by itself may end its supervisor (see ``AutoShutdown``)."""
    autostart: bool = True
    """Whether it starts with its supervisor; if not, it is STOPPED until someone starts it."""

    def __post_init__(self) -> None:
        """Refuse what OTP refuses.

        Raises:
            ValueError: A combination that cannot be meant.
        """
        if self.significant and self.restart is Restart.PERMANENT:
            raise ValueError(f"{self.name}: a permanent child is never gone for good")
        if self.shutdown_s is Shutdown.INFINITY and self.kind != "supervisor":
            raise ValueError(f"{self.name}: only supervisors may take infinitely long to stop")

    @property
    def name(self) -> str:
        """The child's name, unique below one root."""
        return self.address.name


class SupervisorReport(msgspec.Struct, frozen=True):
    """Something happened to a child; the four fields of OTP's reports, and two of ours."""

    supervisor: str
    """The reporting supervisor."""
    context: str
    """``start_error``, ``child_terminated``, ``child_restarted``, ``gave_up``,
    ``shutdown_error`` or ``shutdown`` (the supervisor's own, for a significant child)."""
    reason: str
    """The child's last error."""
    child: str
    """Which child."""
    restarts: int
    """How often it has been restarted."""
    kind: str
    """The child's kind."""


@dataclass(slots=True)
class Child:
    """The supervisor's record of one child; its state outlives runs."""

    spec: ChildSpec
    window: RestartWindow
    backoff: FailureStreak
    dynamic: bool = False
    """Whether it was added at run time; a temporary one is then forgotten when it ends."""
    actor: Actor | None = None
    state: ChildState = ChildState.STOPPED
    restarts: int = 0
    ready_at: float | None = None
    """Monotonic seconds at which this run answered first; ``None`` before."""
    restart_timer: Timer | None = None
    """Runs while it is in BACKOFF."""
    pinged: bool = False
    """Whether a ping is on its way."""
    waited: int = 0
    """Checks without the expected answer, or end."""
    kills: int = 0
    """How often this run has been killed."""
    last_error: str | None = None
    managed: bool = False
    """Whether a job is stopping or starting it, and handles its ends."""

    @property
    def name(self) -> str:
        """The child's name."""
        return self.spec.name

    @property
    def alive(self) -> bool:
        """Whether it runs or is to run again."""
        return self.state not in (ChildState.STOPPED, ChildState.EXITED, ChildState.FATAL)

    @property
    def ran_s(self) -> float:
        """Seconds since this run was ready; 0 if it never was."""
        return 0.0 if self.ready_at is None else time.monotonic() - self.ready_at

    def describe(self) -> dict[str, Any]:
        """The child as ``/runtime/actors`` shows it."""
        address = self.spec.address
        running = self.state is ChildState.RUNNING
        mailbox = address.mailbox
        return {
            "name": self.name,
            "kind": self.spec.kind,
            "state": self.state.value,
            "restarts": self.restarts,
            "mailbox": {
                "depth": len(mailbox),
                "capacity": mailbox.capacity,
                "dropped": mailbox.dropped,
            },
            "processed": address.processed,
            "handling": address.handling,
            "last_error": self.last_error,
            "uptime_seconds": round(self.ran_s, 3) if running else 0,
            "children": self.actor.describe_children() if self.actor is not None else [],
        }

    def report(self, supervisor: str, context: str, reason: str) -> SupervisorReport:
        """What ``supervisor`` reports about it."""
        return SupervisorReport(
            supervisor, context, reason, self.name, self.restarts, self.spec.kind
        )


def addresses_of(children: Iterable[Child]) -> list[Address]:
    """The addresses of ``children`` and of all below them."""
    found = []
    for child in children:
        found.append(child.spec.address)
        if child.actor is not None:
            found += child.actor.addresses_below()
    return found


def parent_of(name: str, children: Iterable[Child]) -> Actor | None:
    """The one of ``children`` below which, at any depth, there is a child of that name."""
    for child in children:
        if child.actor is not None and _holds(child.actor.describe_children(), name):
            return child.actor
    return None


def _holds(rows: list[dict[str, Any]], name: str) -> bool:
    return any(row["name"] == name or _holds(row["children"], name) for row in rows)
