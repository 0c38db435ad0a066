"""Conditions of a page of events; the contract's patterns as LIKE patterns."""

from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from ...protocol.causes import numbered

# A heartbeat's channel is `heartbeat.<id>`; it is stored as type `heartbeat` with source `<id>`.
HEARTBEAT_PREFIX = "heartbeat."


class EventFilter(msgspec.Struct, frozen=True):
    """Selection of events: all conditions must hold; an unset one always does."""

    types: tuple[str, ...] = ()
    """Types or patterns (`*` is any run of characters), one of which fits; `heartbeat.<id>` means
    type `heartbeat` from source `<id>`. Empty: all."""
    source: str | None = None
    """The source, exactly."""
    from_ts: str | None = None
    """Not earlier than this (ISO 8601)."""
    to_ts: str | None = None
    """Not later than this (ISO 8601)."""
    processed: bool | None = None
    """Marked or not."""
    chain: str | None = None
    """The ``correlation_id`` of its payload, or its own name (`protocol.causes`)."""


ALL = EventFilter()


def like(pattern: str) -> str:
    r"""The LIKE pattern of one of ours: `*` becomes `%`; `%`, `_` and `\` mean themselves."""
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%")


def parameters(event_filter: EventFilter) -> dict[str, Any]:
    """The filter as the parameters of the page queries."""
    types, suffixes = _split(event_filter.types)
    return {
        "types": [like(name) for name in types] if event_filter.types else None,
        "exact": [name for name in types if "*" not in name],
        "patterns": [like(name) for name in types if "*" in name],
        "heartbeats": [like(name) for name in suffixes],
        "beats": [name for name in suffixes if "*" not in name],
        "beat_patterns": [like(name) for name in suffixes if "*" in name],
        "source": event_filter.source,
        "from_ts": event_filter.from_ts,
        "to_ts": event_filter.to_ts,
        "processed": event_filter.processed,
        **_of_chain(event_filter.chain),
    }


def _of_chain(chain: str | None) -> dict[str, Any]:
    """Objects of which the payload contains one; or the numbering of one place."""
    if chain is None:
        return {"chain": None, "numbering": None, "place": None}
    parts = numbered(chain)
    return {
        "chain": [Jsonb({"correlation_id": chain}), Jsonb({"id": chain})],
        "numbering": Jsonb({"boot": parts.boot, "seq": parts.seq}) if parts else None,
        "place": parts.place if parts else None,
    }


def _split(wanted: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Patterns of types, and of the sources of heartbeats."""
    types = list(wanted)
    suffixes = [
        pattern.removeprefix(HEARTBEAT_PREFIX)
        for pattern in wanted
        if pattern.startswith(HEARTBEAT_PREFIX)
    ]
    if "*" in suffixes:  # also heartbeats without a source
        types.append("heartbeat")
    return types, suffixes
