"""What the HTTP server knows of the settings' file: how to have it read again, and what came of it.

Implemented by ``daemon/reload.py``.
"""

from typing import Literal, Protocol

import msgspec


class AgentChanges(msgspec.Struct, frozen=True):
    """What became of the agents when the settings were reloaded, by id."""

    started: tuple[str, ...] = ()
    """New ones; one that an operator had stopped is there, but does not run."""
    stopped: tuple[str, ...] = ()
    """Those that are not in the settings any more."""
    restarted: tuple[str, ...] = ()
    """Those whose table has changed."""
    failed: dict[str, str] = msgspec.field(default_factory=dict)
    """Those that could not be started or stopped, with the reason; the next reload tries again."""


class Reload(msgspec.Struct, frozen=True):
    """What came of one reload."""

    at: str
    """When it ended."""
    by: str
    """The caller's name, or ``SIGHUP``."""
    outcome: Literal["done", "in_part", "refused"]
    """``refused``: the settings are wrong, nothing has changed; ``in_part``: some of what should
    have changed could not, see ``agents.failed`` and ``problems``."""
    changed: tuple[str, ...] = ()
    """Keys that took effect; of agents their tables."""
    at_next_start: tuple[str, ...] = ()
    """Keys that take effect at the next start."""
    agents: AgentChanges = AgentChanges()
    """What became of agents."""
    problems: tuple[str, ...] = ()
    """What is wrong, a line each."""
    warnings: tuple[str, ...] = ()
    """What to look at in the settings in force, a line each; it kept nothing from taking effect."""


class Reloads(Protocol):
    """The settings' file of this daemon."""

    @property
    def file(self) -> str | None:
        """Its path; None if the settings came from no file."""

    @property
    def last(self) -> Reload | None:
        """The most recent reload, if there was one."""

    def run(self, by: str, *, wait_s: float) -> Reload | None:
        """Read the settings again and apply what can change.

        Args:
            by: Who wants it.
            wait_s: How long to wait; afterwards it continues, and None is returned.
        """
