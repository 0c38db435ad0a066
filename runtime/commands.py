"""A supervisor's messages."""

from typing import ClassVar

import msgspec

from .actor import Actor
from .child import Child, ChildSpec
from .errors import Refusal


class ToItself(msgspec.Struct, frozen=True):
    """From its children and jobs; meaningless once the supervisor has ended."""

    runtime_internal: ClassVar[bool] = True


class ChildEnded(ToItself, frozen=True):
    """A run has ended and cleaned up."""

    name: str
    """The child's name."""
    actor: Actor
    """Which run."""


class ChildReady(ToItself, frozen=True):
    """A child answered its ping."""

    name: str
    """The child's name."""
    actor: Actor
    """Which run."""


class JobDone(ToItself, frozen=True):
    """Children that were stopped or started on purpose are the supervisor's again."""

    children: tuple[Child, ...]
    """Its records of them."""
    failed: Child | None = None
    """Which of them did not start."""


class GetTree(msgspec.Struct, frozen=True):
    """Asks for this supervisor's part of the tree; the answer is a list of children."""


class RestartChild(msgspec.Struct, frozen=True):
    """Stop and start a child, here or further down; answered by its row once it runs again."""

    name: str
    """The child's name."""


class StopChild(msgspec.Struct, frozen=True):
    """Stop a child, here or further down, until someone starts it; answered by its row."""

    name: str
    """The child's name."""


class StartChild(msgspec.Struct, frozen=True):
    """Start a stopped or given-up child, here or further down; answered by its row."""

    name: str
    """The child's name."""


class DeleteChild(msgspec.Struct, frozen=True):
    """Forget a child that does not run, here or further down; answered by its last row.

    Its address is closed: pending messages become dead letters.
    """

    name: str
    """The child's name."""


class AddChild(msgspec.Struct, frozen=True):
    """Start one more child, unless its spec says otherwise; answered by its row once it runs.

    One that does not start is not kept. A supervisor that is restarted does not know it any
    more, as in OTP.
    """

    spec: ChildSpec
    """The child; its name must be new."""
    supervisor: str | None = None
    """Whose child it becomes: a supervisor further down, or the one that is asked."""
    kept: bool = False
    """Whether a temporary one is known after its end, as those that were there from the start."""


ChildCommand = RestartChild | StopChild | StartChild | DeleteChild
Message = ChildEnded | ChildReady | JobDone | GetTree | ChildCommand | AddChild


class UnknownChild(Refusal):
    """No child of that name is below this supervisor."""
