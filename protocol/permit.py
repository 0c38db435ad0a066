"""The permit: the lease under which agents act (contract, part 1, "Permission to act")."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from .json_object import MAX_NUMBER, count_in, read_object, text_in, write_object
from .targets import Permission, Target, read_target, strictest

KEY: Final = "orchestrator:permit"
TTL_MS: Final = 3_000
"""How long it lives; the promise of 3 s + 0.5 s rests on it."""
RENEW_S: Final = 1.0
"""Two renewals may be lost."""
READ_S: Final = 0.25
"""How often a gate reads it."""
PLAUSIBLE_AHEAD_S: Final = 315_360_000
"""Generations start at Unix seconds and rise by one: one that is ten years ahead was forged."""


@dataclass(frozen=True, slots=True)
class Permit:
    """A permit as it is in the key."""

    generation: int
    """Rises at each start and release of the daemon."""
    instance: str
    """Which daemon."""
    issued_at: str
    """When (UTC, ISO 8601)."""
    ttl_ms: int = TTL_MS
    """How long it is valid, from the moment that its read was sent."""
    halted: tuple[Target, ...] = ()
    """What is stopped short of halt/all."""
    releases: int = 0
    """How many releases there have been; a rise means that there was a stop in between."""
    resumed: Mapping[str, int] | None = None
    """Agent → generation under which a person resumed it, since the last release."""

    def resumed_under(self, agent: str) -> int:
        """The generation under which a person resumed ``agent`` last; 0 if never."""
        return (self.resumed or {}).get(agent, 0)


def write_permit(permit: Permit) -> bytes:
    """The value of the key."""
    return write_object(
        {
            "generation": permit.generation,
            "instance": permit.instance,
            "issued_at": permit.issued_at,
            "ttl_ms": permit.ttl_ms,
            "halted": [{"scope": t.scope, "level": t.level} for t in permit.halted],
            "releases": permit.releases,
            "resumed": dict(permit.resumed or {}),
            "signature": None,
        }
    )


def read_permit(value: bytes | None) -> Permit | None:
    """The permit in the key; ``None`` unless it is there and every field is sound."""
    fields = read_object(value) if value is not None else None
    if fields is None:
        return None
    numbers = [count_in(fields, name) for name in ("generation", "ttl_ms", "releases")]
    instance, issued_at = text_in(fields, "instance"), text_in(fields, "issued_at")
    halted, resumed = _halted(fields.get("halted")), _resumed(fields.get("resumed"))
    generation, ttl_ms, releases = numbers
    if not generation or not ttl_ms or releases is None or instance is None or issued_at is None:
        return None
    if halted is None or resumed is None:
        return None
    return Permit(generation, instance, issued_at, ttl_ms, halted, releases, resumed)


def valid_until(permit: Permit, pttl_ms: int, sent_at_s: float) -> float:
    """Until when a permit that was read is valid, on the reader's own monotonic clock.

    Args:
        permit: as read.
        pttl_ms: the key's PTTL, read in the same round trip; negative for a key that does not
            expire, whose permit is never valid.
        sent_at_s: when the read was *sent*: how long the answer took does not prolong it.
    """
    return sent_at_s + min(permit.ttl_ms, pttl_ms) / 1000


def permission(permit: Permit, agent: str, group: str | None) -> Permission:
    """What a valid permit allows to an agent."""
    return strictest(permit.halted, agent, group)


def next_generation(known: Iterable[int], unix_s: float) -> int:
    """The generation of a start or a release: above all that are known, and not in the past.

    Args:
        known: from latch, row and key; implausible ones are left out.
        unix_s: now.
    """
    plausible = (number for number in known if is_plausible(number, unix_s))
    return max(int(unix_s), *(number + 1 for number in plausible), 1)


def is_plausible(generation: int, unix_s: float) -> bool:
    """Whether a generation can be one of ours."""
    return generation <= min(unix_s + PLAUSIBLE_AHEAD_S, MAX_NUMBER - 1)


def _halted(items: object) -> tuple[Target, ...] | None:
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        return None
    return tuple(read_target(item.get("level"), item.get("scope")) for item in items)


def _resumed(items: object) -> dict[str, int] | None:
    if not isinstance(items, dict):
        return None
    named: dict[str, Any] = {name: count_in(items, name) for name in items}
    return None if None in named.values() else named
