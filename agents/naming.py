"""What an agent is called. Pure."""

import re

from .errors import BadAgent


def kebab_case(name: str) -> str:
    """``QuotesAgent`` → ``quotes-agent``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()


def checked_id(agent_id: str) -> str:
    """The id, which becomes part of a channel's name.

    Raises:
        BadAgent: it cannot be one.
    """
    if not re.fullmatch(r"[!-~]{1,128}", agent_id) or "*" in agent_id:
        raise BadAgent(f"{agent_id!r} cannot be an agent's id: 1 to 128 characters, no spaces")
    return agent_id
