"""The tree of errors, and a deadline that stays an ordinary exception.

``OrchestratorError``
├── ``Refusal``: expected; a handler raises it to answer the caller of an ask, the actor lives on
├── ``ActorFailed``: the actor crashed on this message
├── ``ActorUnavailable``: stopped for good; no successor will read its mailbox
├── ``AskTimeout``: no answer within the limit
├── ``MailboxFull``: no room, or none within the limit
├── ``MailboxClosed``: its reader stopped for good while a sender waited for room
├── ``ActorHung``: it did not answer its ping, or blocked the loop, and was killed
├── ``StartFailed``: a child did not become ready
├── ``IntensityExceeded``: more failures than a supervisor allows
├── ``LinkedGreenletFailed``: a greenlet linked to the actor failed
└── ``LeakedBaseException``: a ``BaseException`` such as ``gevent.Timeout`` left a hook
"""

from collections.abc import Iterator
from contextlib import contextmanager

import gevent


class OrchestratorError(Exception):
    """Base of every error that this program raises on purpose."""


class Refusal(OrchestratorError):
    """An expected refusal, raised to the caller of an ask; the actor lives on."""


class ActorFailed(OrchestratorError):
    """The actor crashed while handling this message."""

    def __init__(self, actor: str, reason: str) -> None:
        super().__init__(actor, reason)
        self.actor = actor
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.actor} failed while handling this: {self.reason}"


class ActorUnavailable(OrchestratorError):
    """The actor has stopped for good."""

    def __init__(self, actor: str) -> None:
        super().__init__(actor)
        self.actor = actor

    def __str__(self) -> str:
        return f"{self.actor} has stopped"


class AskTimeout(OrchestratorError):
    """No answer came within the limit."""

    def __init__(self, actor: str, timeout_s: float) -> None:
        super().__init__(actor, timeout_s)
        self.actor = actor
        self.timeout_s = timeout_s

    def __str__(self) -> str:
        return f"{self.actor} did not answer within {self.timeout_s:g} s"


class MailboxFull(OrchestratorError):
    """A mailbox had no room (within the limit, if one was given)."""

    def __init__(self, actor: str, capacity: int) -> None:
        super().__init__(actor, capacity)
        self.actor = actor
        self.capacity = capacity

    def __str__(self) -> str:
        return f"the mailbox of {self.actor} is full ({self.capacity} messages)"


class MailboxClosed(OrchestratorError):
    """A mailbox was closed while a sender waited for room in it."""

    def __init__(self, actor: str) -> None:
        super().__init__(actor)
        self.actor = actor

    def __str__(self) -> str:
        return f"the mailbox of {self.actor} is closed"


class ActorHung(OrchestratorError):
    """An actor did not answer its ping within the limit."""

    def __init__(self, actor: str, silent_s: float) -> None:
        super().__init__(actor, silent_s)
        self.actor = actor
        self.silent_s = silent_s

    def __str__(self) -> str:
        return f"{self.actor} has not answered a ping for {self.silent_s:.1f} s"


class StartFailed(OrchestratorError):
    """A child did not become ready."""

    def __init__(self, child: str, reason: str) -> None:
        super().__init__(child, reason)
        self.child = child
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.child} did not start: {self.reason}"


class IntensityExceeded(OrchestratorError):
    """A supervisor's children failed more often than it allows."""

    def __init__(self, supervisor: str, child: str, reason: str) -> None:
        super().__init__(supervisor, child, reason)
        self.supervisor = supervisor
        self.child = child
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.supervisor} gives up: {self.child} failed too often, lastly: {self.reason}"


class LinkedGreenletFailed(OrchestratorError):
    """A greenlet linked to an actor failed; the cause is chained."""

    def __init__(self, greenlet: str, reason: str) -> None:
        super().__init__(greenlet, reason)
        self.greenlet = greenlet
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.greenlet} failed: {self.reason}"


class LeakedBaseException(OrchestratorError):
    """A ``BaseException`` that is no ``Exception`` left an actor's hook; the cause is chained."""

    def __init__(self, leaked: BaseException) -> None:
        super().__init__(leaked)
        self.leaked = leaked

    def __str__(self) -> str:
        return f"{type(self.leaked).__name__} leaked: {self.leaked}"


def reason_of(error: BaseException) -> str:
    """One line that says what ``error`` was: its class and its text."""
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@contextmanager
def deadline(seconds: float, error: OrchestratorError) -> Iterator[None]:
    """Raise ``error`` in this greenlet if the block takes longer than ``seconds``.

    Only waits that yield to the loop are interrupted. A bare ``gevent.Timeout`` is a
    ``BaseException`` and must not leave a handler, hence this form.
    """
    with gevent.Timeout(seconds, error):  # noqa: TID251 the one place that may
        yield
