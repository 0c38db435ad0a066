"""Changes of agents that come and go without end: one event a minute, with a count. Pure."""

from collections import deque
from collections.abc import Iterable
from typing import Final

import msgspec

from .changes import Change

WINDOW_S: Final = 60.0
"""Between two events of an agent that flaps."""
CALM: Final = 3
"""So many events of an agent within `WINDOW_S` are told as they come: it was restarted, say."""


class _Agent:
    __slots__ = ("flaps", "held", "held_count", "told")

    def __init__(self) -> None:
        self.told: deque[float] = deque(maxlen=CALM)
        self.flaps = False
        self.held: Change | None = None
        self.held_count = 0


class FlapDamper:
    """Holds back what is told too often. The last change of an agent is always told in the end."""

    def __init__(self) -> None:
        self._agents: dict[str, _Agent] = {}

    def admit(self, changes: Iterable[Change], *, now: float) -> list[Change]:
        """Those to tell now. Changes that make no event are all told.

        Args:
            changes: in order.
            now: monotonic.
        """
        told = []
        for change in changes:
            if change.event_type is None:
                told.append(change)
                continue
            agent = self._agents.setdefault(change.agent_id, _Agent())
            agent.flaps = agent.flaps or _flaps(agent, now)
            if not agent.flaps:
                agent.told.append(now)
                told.append(change)
            else:
                agent.held, agent.held_count = change, agent.held_count + 1
        return told

    def due(self, *, now: float) -> list[Change]:
        """The last change of each agent that flaps, once a minute; calm agents are forgotten."""
        told = []
        for agent_id, agent in list(self._agents.items()):
            if now - agent.told[-1] < WINDOW_S:
                continue
            if agent.held is None:
                del self._agents[agent_id]
                continue
            reason = f"{agent.held.reason} (it flaps: {agent.held_count} changes in a minute)"
            told.append(msgspec.structs.replace(agent.held, reason=reason, count=agent.held_count))
            agent.told.append(now)
            agent.held, agent.held_count = None, 0
        return told


def _flaps(agent: _Agent, now: float) -> bool:
    return len(agent.told) == CALM and now - agent.told[0] < WINDOW_S
