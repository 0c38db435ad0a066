"""What a message on ``risk.killswitch`` means to an agent. Pure."""

from enum import StrEnum
from typing import Any

import msgspec

CHANNEL = "risk.killswitch"
"""Where stops and releases are announced."""
_RAW_CHARS = 4096
"""So much of a message that is no JSON object is handed on."""


class KillswitchState(StrEnum):
    """What the agent knows. Treat ``unknown`` as ``engaged`` before you act."""

    UNKNOWN = "unknown"
    """Nothing was heard, or something may have been missed."""
    ENGAGED = "engaged"
    """A stop was the last that was heard."""
    RELEASED = "released"
    """A release was the last that was heard."""


def read_message(data: bytes) -> tuple[bool, dict[str, Any]]:
    """Whether the message engages, and its fields.

    Anything engages that is not a JSON object with ``enabled`` exactly ``false``
    (contract, section 1); what is no object comes as ``{"raw": <text>}``.
    """
    try:
        message = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        message = None
    if not isinstance(message, dict):
        return True, {"raw": data.decode(errors="replace")[:_RAW_CHARS]}
    return message.get("enabled") is not False, message


def after_reconnect(state: KillswitchState) -> KillswitchState:
    """What is still known when messages may have been missed."""
    return state if state is KillswitchState.ENGAGED else KillswitchState.UNKNOWN
