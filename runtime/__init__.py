"""The actor runtime: pykka actors as greenlets under Erlang/OTP's supervision.

Knows nothing of events, SQL or HTTP.
"""

from .actor import Actor, ExitKind, ping
from .address import Address
from .child import ChildSpec, ChildState, SupervisorReport
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
from .replies import DeferredReply
from .restart import Restart, RestartLimits, Strategy
from .standalone import start_actor, stop_actor
from .supervisor import GetTree, RestartChild, StartChild, StopChild, Supervisor, UnknownChild
from .timer import Timer
from .turns import give_way

__all__ = [
    "Actor",
    "ActorFailed",
    "ActorHung",
    "ActorUnavailable",
    "Address",
    "AskTimeout",
    "ChildSpec",
    "ChildState",
    "DeadLetter",
    "DeadLetters",
    "DeferredReply",
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
