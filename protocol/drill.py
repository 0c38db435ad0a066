"""The drill: a nonce on the bus that every gate returns in a heartbeat; it halts no agent."""

from typing import Final

from .json_object import read_object, text_in, write_object

CHANNEL: Final = "risk.drill"
"""Not the stop's channel, on which whatever is not understood halts."""
NONCE_CHARS: Final = 64


def write_drill(nonce: str, at: str, by: str) -> bytes:
    """A drill's message: ``{"drill", "timestamp", "triggered_by", "source"}``."""
    fields = {"drill": nonce, "timestamp": at, "triggered_by": by, "source": "orchestrator"}
    return write_object(fields)


def read_drill(data: bytes) -> str | None:
    """The nonce; ``None`` if it is no drill."""
    nonce = text_in(read_object(data) or {}, "drill")
    return nonce if nonce is not None and len(nonce) <= NONCE_CHARS else None
