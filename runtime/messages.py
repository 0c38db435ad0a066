"""The runtime's own messages, handled by every actor's loop."""

from collections.abc import Callable
from typing import ClassVar

import msgspec


class RuntimeMessage(msgspec.Struct, frozen=True):
    """Handled by the loop itself, never seen by ``on_receive``, never a dead letter."""

    runtime_internal: ClassVar[bool] = True


class Ping(RuntimeMessage, frozen=True):
    """Answered between two messages."""


class Stop(RuntimeMessage, frozen=True):
    """Finish the current message, run ``on_stop`` and end."""


class Tick(RuntimeMessage, frozen=True):
    """A timer is due."""

    run: Callable[[], object]
    """What the actor does in its own greenlet."""


class LinkedEnded(RuntimeMessage, frozen=True):
    """A linked greenlet failed."""

    name: str
    """The greenlet's name."""
    error: BaseException
    """What it raised."""
