"""The kit to write agents, and three samples.

Plain blocking Python over redis-py, or asyncio (`AsyncAgent`); neither gevent nor pykka is needed.
"""

from ..protocol.gate import Resume
from ..protocol.targets import Permission
from .agent import Agent
from .async_agent import AsyncAgent
from .errors import (
    AgentError,
    BadAgent,
    BadOptions,
    BadPayload,
    BadState,
    BusUnavailable,
    Halted,
    NoAnswer,
    Refused,
)
from .event import Event, TypedEvent
from .gate import Halt, acts, deadman
from .routing import every, on_event

__all__ = [
    "Agent",
    "AgentError",
    "AsyncAgent",
    "BadAgent",
    "BadOptions",
    "BadPayload",
    "BadState",
    "BusUnavailable",
    "Event",
    "Halt",
    "Halted",
    "NoAnswer",
    "Permission",
    "Refused",
    "Resume",
    "TypedEvent",
    "acts",
    "deadman",
    "every",
    "on_event",
]
