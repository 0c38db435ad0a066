"""Finds unresponsive children, and those that do not end, and kills them.

Silence is counted in checks, not in seconds: while a greenlet blocks the loop there are no checks
either, so its siblings are not taken for hung afterwards. Jumps of the clock and a
suspended machine change nothing for the same reason.
"""

import math
from collections.abc import Iterable
from typing import Final

from .actor import Actor
from .child import Child, ChildState
from .child_lifecycle import KILL_JOIN_S, ChildLifecycle
from .errors import ActorFailed, ActorHung
from .policy import Shutdown

PING_INTERVAL_S: Final = 1.0
"""Between two checks."""

HANG_TIMEOUT_S: Final = 3.0
"""How long a ping may be unanswered: with the interval before and after it, 5 s at most."""

KILLS: Final = 2
"""Kills that a run may swallow before it is abandoned."""


class HangWatch:
    """Checks children each ``interval_s``.

    Args:
        lifecycle: Sends the pings.
        hang_timeout_s: How long a child may leave a ping unanswered.
    """

    def __init__(self, lifecycle: ChildLifecycle, hang_timeout_s: float) -> None:
        self._lifecycle = lifecycle
        self._hang_timeout_s = hang_timeout_s
        self.interval_s = min(PING_INTERVAL_S, hang_timeout_s / 3)
        """Seconds between two checks."""

    def check_all(self, children: Iterable[Child]) -> None:
        """Check each of ``children``."""
        for child in list(children):
            self.check(child)

    def check(self, child: Child) -> None:
        """Ping the child, wait for its answer, or kill it."""
        actor = child.actor
        if child.managed or actor is None or actor.gone:
            child.waited = 0
        elif actor.ending_since is not None or child.kills:
            self._hasten(child, actor)
        elif child.pinged:
            self._await_answer(child, actor)
        else:
            self._lifecycle.ping(child, actor)

    def _await_answer(self, child: Child, actor: Actor) -> None:
        child.waited += 1
        starting = child.state is ChildState.STARTING
        patience_s = child.spec.start_timeout_s if starting else self._hang_timeout_s
        if child.waited >= self._checks(patience_s):
            silent_s = child.waited * self.interval_s
            self._kill(child, actor, ActorHung(child.name, silent_s))

    def _hasten(self, child: Child, actor: Actor) -> None:
        """Enforce the end of a run that was killed or is ending."""
        child.waited += 1
        cleans_up = actor.ending_since is not None
        limit_s = self._cleanup_s(child) if cleans_up else KILL_JOIN_S
        if child.waited < self._checks(limit_s):
            return
        reason = ActorFailed(child.name, f"did not end within {limit_s:g} s")
        if child.kills >= KILLS:
            actor.abandon(reason)
        else:
            self._kill(child, actor, reason)

    def _cleanup_s(self, child: Child) -> float:
        shutdown_s = child.spec.shutdown_s
        if shutdown_s is Shutdown.INFINITY:
            return math.inf
        return KILL_JOIN_S if isinstance(shutdown_s, Shutdown) else max(KILL_JOIN_S, shutdown_s)

    def _kill(self, child: Child, actor: Actor, reason: ActorHung | ActorFailed) -> None:
        child.waited = 0
        child.kills += 1
        actor.kill(reason)

    def _checks(self, seconds: float) -> float:
        return math.inf if seconds == math.inf else max(1, math.ceil(seconds / self.interval_s))
