"""The actor runtime: pykka actors as greenlets under Erlang/OTP's supervision.

Knows nothing of events, SQL or HTTP.
"""

from ._future import DeferredReply
from .actor import Actor, ExitKind, ping
from .address import Address
from .child import ChildSpec, ChildState, SupervisorReport
from .commands import (
    AddChild,
    DeleteChild,
    GetTree,
    RestartChild,
    StartChild,
    StopChild,
    UnknownChild,
)
from .dead_letters import DeadLetter, DeadLetters
from .errors import (
    ActorFailed,
    ActorHung,
    ActorUnavailable,
    AskTimeout,
    IntensityExceeded,
    MailboxClosed,
    MailboxFull,
    OrchestratorError,
    Refusal,
    StartFailed,
    deadline,
)
from .linked import log_hub_errors
from .mailbox import FullPolicy, Mailbox
from .outbox import Outbox
from .policy import AutoShutdown, Restart, RestartLimits, Shutdown, Strategy
from .standalone import start_actor, stop_actor
from .supervisor import Supervisor
from .timer import Timer, give_way

__all__ = [
    "Actor",
    "ActorFailed",
    "ActorHung",
    "ActorUnavailable",
    "AddChild",
    "Address",
    "AskTimeout",
    "AutoShutdown",
    "ChildSpec",
    "ChildState",
    "DeadLetter",
    "DeadLetters",
    "DeferredReply",
    "DeleteChild",
    "ExitKind",
    "FullPolicy",
    "GetTree",
    "IntensityExceeded",
    "Mailbox",
    "MailboxClosed",
    "MailboxFull",
    "OrchestratorError",
    "Outbox",
    "Refusal",
    "Restart",
    "RestartChild",
    "RestartLimits",
    "Shutdown",
    "StartChild",
    "StartFailed",
    "StopChild",
    "Strategy",
    "Supervisor",
    "SupervisorReport",
    "Timer",
    "UnknownChild",
    "deadline",
    "give_way",
    "log_hub_errors",
    "ping",
    "start_actor",
    "stop_actor",
]
