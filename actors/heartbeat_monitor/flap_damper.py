"""Changes of agents that come and go without end: one event a minute, with a count. Pure."""

from collections import deque
from collections.abc import Iterable
from typing import Final

import msgspec

from .changes import Change

WINDOW_S: Final = 60.0
"""Between two events of an agent that flaps."""
CALM: Final = 3
"""Events of an agent within `WINDOW_S` that are reported at once: it was restarted, say."""


class _Agent:
    __slots__ = ("flaps", "held", "held_count", "reported_at")

    def __init__(self) -> None:
        self.reported_at: deque[float] = deque(maxlen=CALM)
        self.flaps = False
        self.held: Change | None = None
        self.held_count = 0


class FlapDamper:
    """Limits how often an agent's changes are reported. Its last change is always reported."""

    def __init__(self) -> None:
        self._agents: dict[str, _Agent] = {}

    def admit(self, changes: Iterable[Change], *, now: float) -> list[Change]:
        """Those to report now. Changes that make no event always are.

        Args:
            changes: in order.
            now: monotonic.
        """
        reported = []
        for change in changes:
            if change.event_type is None:
                reported.append(change)
                continue
            agent = self._agents.setdefault(change.agent_id, _Agent())
            agent.flaps = agent.flaps or _flaps(agent, now)
            if not agent.flaps:
                agent.reported_at.append(now)
                reported.append(change)
            else:
                agent.held, agent.held_count = change, agent.held_count + 1
        return reported

    def due(self, *, now: float) -> list[Change]:
        """The last change of each agent that flaps, once a minute; calm agents are forgotten."""
        reported = []
        for agent_id, agent in list(self._agents.items()):
            if now - agent.reported_at[-1] < WINDOW_S:
                continue
            if agent.held is None:
                del self._agents[agent_id]
                continue
            reason = f"{agent.held.reason} (it flaps: {agent.held_count} changes in a minute)"
            last = msgspec.structs.replace(agent.held, reason=reason, count=agent.held_count)
            reported.append(last)
            agent.reported_at.append(now)
            agent.held, agent.held_count = None, 0
        return reported


def _flaps(agent: _Agent, now: float) -> bool:
    return len(agent.reported_at) == CALM and now - agent.reported_at[0] < WINDOW_S
