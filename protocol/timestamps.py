"""Times on the wire: UTC, ISO 8601 with milliseconds and ``Z`` (contract, preamble)."""

import time
from datetime import UTC, datetime


def utc_now() -> str:
    """`timestamp` of the system's clock."""
    return timestamp(time.time())


def timestamp(unix_s: float) -> str:
    """``2026-01-31T09:30:00.123Z``."""
    moment = datetime.fromtimestamp(unix_s, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def unix_seconds(text: str) -> float | None:
    """Unix seconds of an ISO 8601 time; ``None`` if it is none, or has no time zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if moment.tzinfo is None else moment.timestamp()
