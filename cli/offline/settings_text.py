"""Changes one table of a TOML file and leaves every other byte, comments included, as it is. Pure.

The text is cut into statements (a header, or a key with its value) by having the standard
library's parser read them one by one. A change is made of whole lines; what comes out is parsed,
and must hold what the old text held but for the change: a file that is written in a way this
module does not know is refused, never damaged.
"""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple

MAX_BYTES: Final = 1024 * 1024
"""Size of a file that is edited; those of people have some kilobytes."""
MAX_LINES: Final = 2_000
"""Lines of one statement: each is parsed again with every line that is added."""
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")

Path = tuple[str, ...]
Tree = dict[str, Any]


class CannotEdit(Exception):
    """The text is written in a way that is not edited here; the message says why."""


class _Statement(NamedTuple):
    """A header, or a key with its value."""

    first: int
    """Number of its first line."""
    end: int
    """Number of the line after its last."""
    path: Path
    """Table, and key if it is no header."""
    is_header: bool


def without_table(text: str, table: Path) -> str:
    """``text`` without a table and those within it; comments around it stay.

    Raises:
        CannotEdit: The table is not there, or is not written with headers of its own.
    """
    lines = text.split("\n")
    wanted = _changed(_tree(text), table, None)
    runs = groupby(_statements(lines), lambda one: one.path[: len(table)] == table)
    gone = [list(run) for is_gone, run in runs if is_gone]
    for run in reversed(gone):
        first, end = run[0].first, run[-1].end
        blank_above = first > 0 and not lines[first - 1].strip()
        blank_below = end >= len(lines) or not lines[end].strip()
        lines[first - (blank_above and blank_below) : end] = []
    return _verified("\n".join(lines), wanted)


def with_table(text: str, table: Path, values: Mapping[str, Any]) -> str:
    """``text`` with a new table at its end.

    Raises:
        CannotEdit: There is one already.
    """
    old = _tree(text)
    if _at(old, table) is not None:
        raise CannotEdit(f"there is a table {_written(table)} already")
    block = [f"[{_written(table)}]", *(f"{_key(k)} = {toml(v)}" for k, v in values.items())]
    gap = "\n\n" if text.strip() else ""
    return _verified(
        text.rstrip("\n") + gap + "\n".join(block) + "\n", _changed(old, table, dict(values))
    )


def with_value(text: str, table: Path, key: Path, value: Any) -> str:
    """``text`` with a key of a table set, or taken out if ``value`` is None.

    Raises:
        CannotEdit: There is no such table, or the key is written in a way that is not known here.
    """
    old = _tree(text)
    if _at(old, table) is None:
        raise CannotEdit(f"there is no table {_written(table)}")
    wanted = _changed(old, (*table, *key), value)
    if wanted == old:
        return text
    lines = text.split("\n")
    statements = list(_statements(lines))
    for draft in _drafts(lines, statements, (table, key), wanted):
        try:
            return _verified("\n".join(draft), wanted)
        except CannotEdit:
            continue
    raise CannotEdit(f"{_written((*table, *key))} is written in a way that is not edited here")


def toml(value: Any) -> str:
    """A value as TOML writes it, in one line."""
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(key)} = {toml(one)}" for key, one in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, bool | str) else str(value)


# -- statements ----------------------------------------------------------------------------------


def _statements(lines: Sequence[str]) -> Iterator[_Statement]:
    table: Path = ()
    at = 0
    while at < len(lines):
        text = lines[at].strip()
        if not text or text.startswith("#"):
            at += 1
            continue
        end = at + 1
        while (found := _parsed("\n".join(lines[at:end]))) is None:
            end += 1
            if end > len(lines) or end - at > MAX_LINES:
                raise CannotEdit(f"line {at + 1} begins what is not edited here")
        is_header = text.startswith("[")
        table = _path(found) if is_header else table
        below = () if is_header else _path(_parsed(f"{_name_of(lines[at])} = {{}}"))
        yield _Statement(at, end, (*table, *below), is_header)
        at = end


def _name_of(line: str) -> str:
    """A statement's key as it is written; quotes may hold ``=``."""
    for at, letter in enumerate(line):
        if letter == "=" and _parsed(f"{line[:at]}= {{}}") is not None:
            return line[:at].rstrip()
    return ""


def _parsed(text: str) -> Tree | None:
    try:
        return tomllib.loads(text.replace("\r", ""))
    except tomllib.TOMLDecodeError:
        return None


def _path(tree: Any) -> Path:
    """The path to the empty table at the end of a header, or of a key's name."""
    path: list[str] = []
    while isinstance(tree, dict) and tree:
        [(key, tree)] = tree.items()
        path.append(key)
        tree = tree[0] if isinstance(tree, list) else tree
    return tuple(path)


# -- changes -------------------------------------------------------------------------------------


def _drafts(
    lines: list[str], statements: list[_Statement], where: tuple[Path, Path], wanted: Tree
) -> Iterator[list[str]]:
    """The ways to write it; the first that means what is wanted is taken."""
    table, key = where
    whole = (*table, *key)
    for one in statements:  # where the key, or an inline table around it, has a line already
        if not one.is_header and one.path == whole[: len(one.path)]:
            value = _at(wanted, one.path)
            new = [] if value is None else [_rewritten(lines, one, value)]
            yield [*lines[: one.first], *new, *lines[one.end :]]
    for depth in range(len(key) - 1, -1, -1):  # in the innermost table that has a header
        at = _end_of(statements, (*table, *key[:depth]))
        if at is not None:
            line = f"{_written(key[depth:])} = {toml(_at(wanted, whole))}"
            yield [*lines[:at], line, *lines[at:]]


def _rewritten(lines: Sequence[str], one: _Statement, value: Any) -> str:
    name = _name_of(lines[one.first])
    comment = _comment(lines[one.first]) if one.end == one.first + 1 else ""
    return f"{name} = {toml(value)}{comment}"


def _end_of(statements: Sequence[_Statement], header: Path) -> int | None:
    """The number of the line after the last statement below a header; None if there is none."""
    found = None
    inside = False
    for one in statements:
        inside = one.path == header if one.is_header else inside
        found = one.end if inside else found
    return found


def _comment(line: str) -> str:
    """The comment at the end of a line, with the blanks before it."""
    whole = _parsed(line)
    for at, letter in enumerate(line):
        if letter == "#" and _parsed(line[:at]) == whole:
            return line[len(line[:at].rstrip()) :]
    return ""


def _tree(text: str) -> Tree:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CannotEdit(str(error)) from error


def _verified(text: str, wanted: Tree) -> str:
    if _pruned(_tree(text)) != _pruned(wanted):
        raise CannotEdit("it is written in a way that is not edited here")
    return text


def _pruned(tree: Any) -> Any:
    """The same without empty tables, which say nothing."""
    if not isinstance(tree, dict):
        return tree
    below = {key: _pruned(value) for key, value in tree.items()}
    return {key: value for key, value in below.items() if value != {}}


def _changed(tree: Tree, path: Path, value: Any) -> Tree:
    """A copy with the value at a path replaced, or taken out if it is None."""
    key, *below = path
    out = dict(tree)
    if below:
        inner = tree.get(key, {})
        if not isinstance(inner, dict):
            raise CannotEdit(f"{key} is no table")
        out[key] = _changed(inner, tuple(below), value)
    elif value is None:
        if key not in out:
            raise CannotEdit(f"there is no {key}")
        del out[key]
    else:
        out[key] = value
    return out


def _at(tree: Any, path: Path) -> Any:
    for key in path:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def _written(path: Path) -> str:
    return ".".join(map(_key, path))


def _key(part: str) -> str:
    return part if _BARE.fullmatch(part) else json.dumps(part, ensure_ascii=False)
