"""What the daemon must know of the Redis or Valkey it listens to. Pure, but for :func:`inspect`."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

MIN_HARD_BYTES: Final = 256 * 1024 * 1024
"""A burst of 200,000 messages, read with some delay, stays well below it."""

MIN_SOFT_BYTES: Final = 128 * 1024 * 1024
"""What may wait for long, while the disk is slow."""

BUFFER_SETTING: Final = "client-output-buffer-limit"

# The class's name, the hard limit, the soft limit, and how long the soft one may be passed.
_WORDS_PER_CLASS: Final = 4


class PubsubLimit(msgspec.Struct, frozen=True):
    """How much Redis lets wait for a subscriber before it cuts it off; 0 is no limit."""

    hard_bytes: int
    """Cut off at once."""
    soft_bytes: int
    """Cut off after ``soft_s`` above it."""
    soft_s: int
    """Seconds."""

    @property
    def ample(self) -> bool:
        """Whether a burst fits in."""
        hard_ok = not self.hard_bytes or self.hard_bytes >= MIN_HARD_BYTES
        soft_ok = not self.soft_bytes or self.soft_bytes >= MIN_SOFT_BYTES
        return hard_ok and soft_ok

    @property
    def remedy(self) -> str:
        """The command that mends it, for ``redis-cli``."""
        return f'CONFIG SET {BUFFER_SETTING} "pubsub 512mb 256mb 60"'


class ServerFacts(msgspec.Struct, frozen=True):
    """What the server said of itself; ``None`` where it would not."""

    name: str
    """``redis`` or ``valkey``."""
    version: str | None
    """As ``INFO`` has it."""
    pubsub_limit: PubsubLimit | None
    """Of the class ``pubsub``."""


def parse_pubsub_limit(setting: str) -> PubsubLimit | None:
    """The class ``pubsub`` of ``client-output-buffer-limit``, as ``CONFIG GET`` writes it."""
    words = setting.split()
    for start in range(0, len(words) - _WORDS_PER_CLASS + 1, _WORDS_PER_CLASS):
        name, *numbers = words[start : start + _WORDS_PER_CLASS]
        if name == "pubsub":
            try:
                return PubsubLimit(*map(int, numbers))
            except ValueError:
                return None
    return None


def parse_version(info: str) -> tuple[str, str | None]:
    """The server's name and version out of ``INFO server``."""
    fields = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
    if "valkey_version" in fields:
        return "valkey", fields["valkey_version"]
    return "redis", fields.get("redis_version")


def inspect(ask: Callable[..., Any]) -> ServerFacts:
    """Ask the server; ``ask`` sends one command and returns its reply, or ``None`` if refused.

    Managed servers refuse ``CONFIG``.
    """
    name, version = parse_version(_text(ask("INFO", "server")))
    answer = ask("CONFIG", "GET", BUFFER_SETTING)
    pair = answer if isinstance(answer, list) else []
    limit = parse_pubsub_limit(_text(pair[1])) if len(pair) > 1 else None
    return ServerFacts(name, version, limit)


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else ""
