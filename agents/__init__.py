"""The kit to write agents, and three samples.

Plain blocking Python over redis-py; neither gevent nor pykka is needed.
"""

from .agent import Agent
from .errors import AgentError, BadAgent, BadOptions, BadPayload, BusUnavailable
from .killswitch import KillswitchState
from .routing import Event, every, on_event

__all__ = [
    "Agent",
    "AgentError",
    "BadAgent",
    "BadOptions",
    "BadPayload",
    "BusUnavailable",
    "Event",
    "KillswitchState",
    "every",
    "on_event",
]
