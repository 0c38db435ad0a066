"""Settings of the Redis or Valkey server that endanger events.

Pure but for :func:`ask`, :func:`inspect` and :func:`check`.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec
import redis

from .reconnect import connection_pool

MIN_HARD_BYTES: Final = 256 * 1024 * 1024
"""A burst of 200,000 messages, read with some delay, stays well below it."""

MIN_SOFT_BYTES: Final = 128 * 1024 * 1024
"""Buffered for long while the disk is slow."""

BUFFER_SETTING: Final = "client-output-buffer-limit"

# The class's name, the hard limit, the soft limit, and how long the soft one may be exceeded.
_WORDS_PER_CLASS: Final = 4


class PubsubLimit(msgspec.Struct, frozen=True):
    """How much Redis buffers for a subscriber before it disconnects it; 0 is no limit."""

    hard_bytes: int
    """Disconnected at once."""
    soft_bytes: int
    """Disconnected after ``soft_s`` above it."""
    soft_s: int
    """Seconds."""

    @property
    def ample(self) -> bool:
        """Whether a burst fits."""
        hard_ok = not self.hard_bytes or self.hard_bytes >= MIN_HARD_BYTES
        soft_ok = not self.soft_bytes or self.soft_bytes >= MIN_SOFT_BYTES
        return hard_ok and soft_ok

    @property
    def remedy(self) -> str:
        """The command that fixes it, for ``redis-cli``."""
        return f'CONFIG SET {BUFFER_SETTING} "pubsub 512mb 256mb 60"'


class Danger(msgspec.Struct, frozen=True):
    """A setting of the server under which our delivery promises cannot be kept."""

    what: str
    """The setting, and its consequence."""
    command: str
    """What fixes it, for ``redis-cli``; the server's configuration file needs the same."""

    def __str__(self) -> str:
        return f"{self.what}; fix it with: {self.command}"


class ServerFacts(msgspec.Struct, frozen=True):
    """What the server reports about itself; ``None`` where it refuses."""

    name: str
    """``redis`` or ``valkey``."""
    version: str | None
    """As ``INFO`` has it."""
    pubsub_limit: PubsubLimit | None
    """Of the class ``pubsub``."""
    max_memory_bytes: int | None = None
    """Where eviction begins; 0: never."""
    eviction: str | None = None
    """``maxmemory-policy``."""
    append_only: bool | None = None
    """Whether its data survives a restart."""

    @property
    def unknown(self) -> tuple[Danger, ...]:
        """What the server does not say; unknown is not good."""
        evicts = self.eviction if self.max_memory_bytes else self.max_memory_bytes
        asked = (
            ("whether subscribers are cut off in a burst", BUFFER_SETTING, self.pubsub_limit),
            ("whether keys may be evicted", "maxmemory-policy", evicts),
            ("whether the durable stream survives its end", "appendonly", self.append_only),
        )
        return tuple(
            Danger(f"the server does not say {what} ({setting})", f"CONFIG GET {setting}")
            for what, setting, said in asked
            if said is None
        )

    @property
    def dangers(self) -> tuple[Danger, ...]:
        """The settings that endanger events."""
        found = []
        limit = self.pubsub_limit
        if limit is not None and not limit.ample:
            sizes = f"{limit.hard_bytes} bytes hard, {limit.soft_bytes} soft"
            what = f"subscribers are disconnected in a burst ({BUFFER_SETTING}: pubsub {sizes})"
            found.append(Danger(what, limit.remedy))
        if self.max_memory_bytes and self.eviction and self.eviction != "noeviction":
            lives = "permit" if self.eviction.startswith("volatile") else "durable stream"
            what = f"the {lives} may be evicted (maxmemory-policy {self.eviction})"
            found.append(Danger(what, "CONFIG SET maxmemory-policy noeviction"))
        if self.append_only is False:
            what = "the durable stream is lost when the server stops (appendonly no)"
            found.append(Danger(what, "CONFIG SET appendonly yes"))
        return tuple(found)


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


def ask(connection: Any, *command: str) -> Any:
    """The reply to one command on redis-py's ``connection``; None if the server refuses it."""
    connection.send_command(*command, check_health=False)
    try:
        return connection.read_response()
    except redis.ResponseError:
        return None


def inspect(ask: Callable[..., Any]) -> ServerFacts:
    """Ask the server for its settings.

    Args:
        ask: Sends one command; returns its reply, or None if the server refuses it, as managed
            servers do with ``CONFIG``; some of it is in ``INFO`` too.
    """
    name, version = parse_version(_text(ask("INFO", "server")))

    def setting(key: str) -> str:
        answer = ask("CONFIG", "GET", key)
        pair = answer if isinstance(answer, list) else []
        return _text(pair[1]) if len(pair) > 1 else ""

    def info(section: str, key: str) -> str:
        found = re.search(rf"^{key}:(\S+)", _text(ask("INFO", section)), re.MULTILINE)
        return found[1] if found else ""

    memory = setting("maxmemory") or info("memory", "maxmemory")
    eviction = setting("maxmemory-policy") or info("memory", "maxmemory_policy")
    append_only = setting("appendonly") or info("persistence", "aof_enabled")
    return ServerFacts(
        name,
        version,
        parse_pubsub_limit(setting(BUFFER_SETTING)),
        max_memory_bytes=int(memory) if memory.isdecimal() else None,
        eviction=eviction if eviction.replace("-", "").isalpha() else None,
        append_only={"yes": True, "1": True, "no": False, "0": False}.get(append_only),
    )


def check(url: str, *, limit_s: float) -> tuple[Danger, ...]:
    """Ask the server at ``url`` before anything else is started; waits ``limit_s`` for each step.

    A server that is away endangers nothing yet: it is asked at each connect. What one does not say
    counts as a danger.
    """
    connection: Any = connection_pool(url, limit_s).make_connection()
    try:
        connection.connect()
        facts = inspect(partial(ask, connection))
    except (redis.RedisError, OSError):
        return ()
    else:
        return (*facts.dangers, *facts.unknown)
    finally:
        connection.disconnect()


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else ""
