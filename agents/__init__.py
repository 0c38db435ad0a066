"""The kit to write agents, and three samples.

Plain blocking Python over redis-py; neither gevent nor pykka is needed.
"""

from ..protocol.gate import Resume
from ..protocol.targets import Permission
from .agent import Agent
from .errors import AgentError, BadAgent, BadOptions, BadPayload, BusUnavailable, Halted
from .event import Event
from .gate import Halt, acts, deadman
from .routing import every, on_event

__all__ = [
    "Agent",
    "AgentError",
    "BadAgent",
    "BadOptions",
    "BadPayload",
    "BusUnavailable",
    "Event",
    "Halt",
    "Halted",
    "Permission",
    "Resume",
    "acts",
    "deadman",
    "every",
    "on_event",
]
