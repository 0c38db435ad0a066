"""What the registry's rules find worth telling."""

import msgspec


class Change(msgspec.Struct, frozen=True):
    """Something about an agent that people want to know at once."""

    agent_id: str
    """Which one."""
    event_type: str | None
    """``agent.online``, ``agent.offline``, ``agent.error``, or ``None`` for a lesser change."""
    reason: str
    """Why, in words."""
    count: int = 1
    """How many changes it stands for: more than one of an agent that flaps."""
