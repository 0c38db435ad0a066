"""Which settings can change while the daemon runs (SIGHUP), and what changed. Pure."""

from typing import Any, Final, NamedTuple

from ..http.settings import is_open_to_strangers
from . import Settings
from .keys import KeyPath, leaves

LIVE: Final = (
    ("log", "level"),
    ("retention",),
    ("registry",),
    ("http", "auth"),
    ("http", "rate_limit_max"),
    ("http", "rate_limit_window_ms"),
    ("agents",),
)
"""Keys that take effect at once; all others at the next start."""


class Changes(NamedTuple):
    """The result of a reload."""

    settings: Settings
    """In force from now on: the old ones with what can change."""
    now: tuple[str, ...]
    """Keys (``section.key``) that change at once; of agents the tables (``agents.id``)."""
    at_restart: tuple[str, ...]
    """Keys that take effect at the next start."""
    refused: str | None = None
    """Why tokens stay as they were."""


def changes(old: Settings, new: Settings) -> Changes:
    """Compare two readings."""
    refused = None
    if is_open_to_strangers(_with_live(old, new).http):
        refused = f"without tokens, anyone who reaches {old.http.host} could do everything"
        new = new.model_copy(update={"http": new.http.model_copy(update={"auth": old.http.auth})})
    before, after = (dict(leaves(one.model_dump(by_alias=True))) for one in (old, new))
    changed = sorted(
        path
        for path in before.keys() | after.keys()
        if before.get(path) != after.get(path) and path != ("agents",)  # none at all
    )
    live = [path for path in changed if _is_live(path)]
    return Changes(
        _with_live(old, new),
        tuple(dict.fromkeys(_written(path) for path in live)),
        tuple(".".join(path) for path in changed if path not in live),
        refused,
    )


def _written(path: KeyPath) -> str:
    return ".".join(path[:2] if path[0] == "agents" else path)


def _is_live(path: KeyPath) -> bool:
    return any(path[: len(live)] == live for live in LIVE)


def _with_live(old: Settings, new: Settings) -> Settings:
    update: dict[str, Any] = {}
    for section, *keys in LIVE:
        fresh = getattr(new, section)
        if keys:
            kept = update.get(section, getattr(old, section))
            fresh = kept.model_copy(update={key: getattr(fresh, key) for key in keys})
        update[section] = fresh
    return old.model_copy(update=update)
