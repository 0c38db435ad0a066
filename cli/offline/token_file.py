"""Takes an access token out of the text of a settings file, and leaves all else as it is. Pure."""

import re
import tomllib
from typing import Any, Final

from .settings_text import CannotEdit

_HEADER: Final = re.compile(r"\s*\[\[\s*http\s*\.\s*auth\s*\.\s*tokens\s*\]\]\s*(#.*)?")
_ANY_HEADER: Final = re.compile(r"\s*\[")


def without_token(text: str, name: str) -> str:
    """``text`` (TOML) without the table ``[[http.auth.tokens]]`` of that name.

    Comments and blank lines that follow it stay. The result is read again, and differs from before
    by that token alone.

    Raises:
        CannotEdit: there is no such table, or it cannot be taken out alone.
        tomllib.TOMLDecodeError: ``text`` is not TOML.
    """
    lines = text.splitlines(keepends=True)
    for start, line in enumerate(lines):
        if not _HEADER.fullmatch(line.rstrip("\r\n")):
            continue
        end = _end_of_table(lines, start)
        if _name_in("".join(lines[start:end])) == name:
            left = "".join([*lines[:start], *lines[end:]])
            _check(text, left, name)
            return left
    raise _cannot(name)


def _cannot(name: str) -> CannotEdit:
    return CannotEdit(f"the token {name} is not written as [[http.auth.tokens]] of its own in it")


def _end_of_table(lines: list[str], start: int) -> int:
    """After its last key: what follows may be about the next table."""
    end = next(
        (at for at in range(start + 1, len(lines)) if _ANY_HEADER.match(lines[at])), len(lines)
    )
    while end > start + 1 and not lines[end - 1].partition("#")[0].strip():
        end -= 1
    return end


def _name_in(table: str) -> object:
    try:
        return tomllib.loads(table)["http"]["auth"]["tokens"][0].get("name")
    except tomllib.TOMLDecodeError:
        return None


def _check(before: str, after: str, name: str) -> None:
    wanted = tomllib.loads(before)
    tokens: list[dict[str, Any]] = wanted["http"]["auth"]["tokens"]
    tokens[:] = [token for token in tokens if token.get("name") != name]
    try:
        found = tomllib.loads(after)
    except tomllib.TOMLDecodeError:
        raise _cannot(name) from None
    if not tokens:
        _drop_empty(wanted)
        _drop_empty(found)
    if found != wanted:
        raise _cannot(name)


def _drop_empty(settings: dict[str, Any]) -> None:
    """An empty list of tokens is as none, and so are the tables around it."""
    http: dict[str, Any] = settings.get("http", {})
    auth: dict[str, Any] = http.get("auth", {})
    for table, key in ((auth, "tokens"), (http, "auth"), (settings, "http")):
        if not table.get(key, True):
            del table[key]
