"""Which channels the contract speaks of."""

from typing import Final

CONTROL_PATTERNS: Final = ("risk.*", "heartbeat.*")
"""What a daemon stores if its settings say nothing else (contract, section 1) …"""
DATA_PATTERNS: Final = (
    "data.market.*",
    "news.signal.entity",
    "quant.regime.state",
    "strategy.*",
)
"""… and what it reads on a connection of its own."""
CANARIES: Final = "orchestrator.canary."
"""Below this each daemon has a channel on which it proves that the bus works."""
CANARY_ACL: Final = f"ACL SETUSER <account> &{CANARIES}*"
"""Lets the daemon's account use it."""
REPLIES: Final = "reply."
"""Channels below this carry answers to one who asked."""
PRIVATE: Final = ("orchestrator.", REPLIES)
"""Channels below these are never stored or shown, whatever the settings say."""


def is_private(channel: str) -> bool:
    """Whether what comes on a channel is no event."""
    return channel.startswith(PRIVATE)
