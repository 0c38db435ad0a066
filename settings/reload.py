"""Which settings can change while the daemon runs (SIGHUP), and what has changed. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from ..http.settings import is_open_to_strangers
from . import Settings

LIVE: Final = (
    ("log", "level"),
    ("retention",),
    ("registry",),
    ("http", "auth"),
    ("http", "rate_limit_max"),
    ("http", "rate_limit_window_ms"),
)
"""All below these takes effect at once; everything else at the next start."""

Path = tuple[str, ...]


class Changes(NamedTuple):
    """What a new reading of the settings brings."""

    settings: Settings
    """Those in force from now on: the old ones with what can change."""
    now: tuple[str, ...]
    """Keys (``section.key``) that change at once."""
    at_restart: tuple[str, ...]
    """Keys that change at the next start only."""
    refused: str | None = None
    """Why the tokens stay as they were."""


def changes(old: Settings, new: Settings) -> Changes:
    """Compare two readings."""
    refused = None
    if is_open_to_strangers(_with_live(old, new).http):
        refused = f"without any, whoever reaches {old.http.host} could do everything"
        new = new.model_copy(update={"http": new.http.model_copy(update={"auth": old.http.auth})})
    before, after = dict(_leaves(old.model_dump())), dict(_leaves(new.model_dump()))
    changed = sorted(
        path for path in before.keys() | after.keys() if before.get(path) != after.get(path)
    )
    live = [path for path in changed if _is_live(path)]
    return Changes(
        _with_live(old, new),
        tuple(".".join(path) for path in live),
        tuple(".".join(path) for path in changed if path not in live),
        refused,
    )


def _is_live(path: Path) -> bool:
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


def _leaves(tree: Mapping[str, Any], above: Path = ()) -> Iterator[tuple[Path, Any]]:
    for key, value in tree.items():
        path = (*above, str(key))
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, path)
        else:
            yield path, value
