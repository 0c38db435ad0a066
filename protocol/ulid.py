"""ULIDs: 26 characters, sortable by time, unique by 80 random bits (https://github.com/ulid/spec)."""

import os
import time
from typing import Final

# Crockford's base 32: no I, L, O, U.
_BASE32: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_AS_PYTHON: Final = str.maketrans(_BASE32, "0123456789abcdefghijklmnopqrstuv")
_DIGITS: Final = 26
_TIME_DIGITS: Final = 10
_RANDOM_BITS: Final = 80
_TOP_SHIFT: Final = 125
"""26 digits of 5 bits hold 130; the uppermost digit starts at bit 125."""


def new_ulid(now_s: float | None = None) -> str:
    """A new id.

    Args:
        now_s: Unix seconds; the system's clock by default.
    """
    milliseconds = int((time.time() if now_s is None else now_s) * 1000)
    number = (milliseconds << _RANDOM_BITS) | int.from_bytes(os.urandom(_RANDOM_BITS // 8))
    return "".join(_BASE32[number >> shift & 31] for shift in range(_TOP_SHIFT, -1, -5))


def ulid_unix_s(text: str) -> float | None:
    """When an id was made, in Unix seconds; ``None`` if ``text`` is no ULID."""
    if len(text) != _DIGITS or text[0] > "7" or set(text) - set(_BASE32):
        return None
    return int(text[:_TIME_DIGITS].translate(_AS_PYTHON), 32) / 1000
