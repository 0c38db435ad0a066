"""JSON from strangers: an object or nothing, and its fields by type."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

MAX_NUMBER: Final = 2**53 - 1
"""Larger integers are not the same in every language (RFC 8259, part 6)."""


def read_object(data: bytes | str) -> dict[str, Any] | None:
    """The JSON object in ``data``; ``None`` if it is anything else.

    Stricter than ``json.loads``: UTF-8 only, no ``NaN``. Where a name is repeated, readers
    disagree about its value, so none of the repeated ones is taken.
    """
    try:
        text = data.decode() if isinstance(data, bytes) else data
        found = json.loads(text, object_pairs_hook=_without_repeated, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def write_object(fields: Mapping[str, Any]) -> bytes:
    """Compact UTF-8 JSON; lone surrogates must have been replaced before."""
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def text_in(fields: Mapping[str, Any], name: str) -> str | None:
    """A string that is not blank."""
    value = fields.get(name)
    return value if isinstance(value, str) and value.strip() else None


def count_in(fields: Mapping[str, Any], name: str) -> int | None:
    """A whole number from 0 to `MAX_NUMBER`; ``true`` is none."""
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= MAX_NUMBER else None


def clean_text(text: str, limit: int) -> str:
    """``text`` cut to ``limit`` characters; NUL and what is not UTF-8 is replaced."""
    sound = text[:limit].encode("utf-8", "replace").decode()
    return sound.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _without_repeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) == len(pairs):
        return fields
    times = Counter(name for name, _ in pairs)
    return {name: value for name, value in pairs if times[name] == 1}


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
