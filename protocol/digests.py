"""What we published, by its hashes: an echo of ours is known by its exact bytes."""

import re
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

KEPT_DIGESTS: Final = 4
"""For each trip: the first (in the durable stream) and the newest three (their echoes may be under
way when it is released)."""

_DIGEST_BYTES: Final = 8
_STAMP_DIGITS: Final = 11
"""Milliseconds since 1970 in hexadecimal, until the year 2527."""
_SHAPE: Final = re.compile(rf"[0-9a-f]{{{_STAMP_DIGITS + 2 * _DIGEST_BYTES}}}")


def digest(payload: bytes) -> str:
    """The hash of published bytes, 16 characters."""
    return blake2b(payload, digest_size=_DIGEST_BYTES).hexdigest()


def stamped_digest(payload: bytes, unix_s: float) -> str:
    """The hash with its time in front, so that digests sort by time; 27 characters."""
    return f"{int(unix_s * 1000):0{_STAMP_DIGITS}x}{digest(payload)}"


def is_digest(text: str) -> bool:
    """Whether this may be a stamped digest."""
    return _SHAPE.fullmatch(text) is not None


def has_digest(kept: Iterable[str], payload: bytes) -> bool:
    """Whether exactly these bytes were published."""
    wanted = digest(payload)
    return any(stamped[_STAMP_DIGITS:] == wanted for stamped in kept)


def kept_digests(digests: Iterable[str]) -> tuple[str, ...]:
    """The oldest and the newest of them; what is kept of a union does not depend on order."""
    every = sorted(set(digests))
    return tuple(every) if len(every) <= KEPT_DIGESTS else (every[0], *every[1 - KEPT_DIGESTS :])
