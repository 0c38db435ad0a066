"""The three places settings come from, each as a tree of tables: file, ``.env``, environment.

Later layers win, key by key. Pure but for reading the two files.
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from pydantic import BaseModel

from .keys import KeyPath, is_table_or_list

Tree = dict[str, Any]

PREFIX = "ORCHESTRATOR_"
DELIMITER = "__"
# The seed's names, and ours for the one setting that is set most.
SHORT_NAMES = {
    "PORT": "HTTP__PORT",
    "FRONT_ORIGIN": "HTTP__FRONT_ORIGIN",
    "RATE_LIMIT_WINDOW": "HTTP__RATE_LIMIT_WINDOW_MS",
    "RATE_LIMIT_MAX": "HTTP__RATE_LIMIT_MAX",
    "REDIS_URL": "REDIS__URL",
    "REDIS_URL_FILE": "REDIS__URL_FILE",
    "PG_URL": "POSTGRES__URL",
    "PG_URL_FILE": "POSTGRES__URL_FILE",
    "ORCHESTRATOR_DATA_DIR": "DATA__DIR",
}
OFF_WORDS = ("", "0", "false", "no", "off")


@dataclass(frozen=True)
class Layer:
    """The values from one place."""

    name: str
    """``supervisor.toml``, ``.env`` or ``environment``."""
    values: Tree
    """Section → key → value."""
    variables: Mapping[KeyPath, str] = field(default_factory=dict)
    """The variable that a value came from; a path may be a whole section's."""

    def origin_of(self, path: KeyPath) -> str | None:
        """The origin of ``path`` in words; None if this layer does not set it."""
        if not _says(self.values, path):
            return None
        for length in range(len(path), 0, -1):
            if variable := self.variables.get(path[:length]):
                return f"{self.name} {variable}"
        return self.name


def read_file(path: Path, text: str | None = None) -> Layer:
    """The layer of a TOML file, or of a text that is to become one.

    Raises:
        OSError: it cannot be read.
        tomllib.TOMLDecodeError: it is not TOML; the text says where.
        UnicodeDecodeError: it is not UTF-8.
    """
    if text is None:
        text = path.read_text(encoding="utf-8-sig")
    return Layer(path.name, tomllib.loads(text))


def read_dotenv(kind: type[BaseModel], path: Path) -> Layer:
    """The layer of a ``.env`` file; an empty one if there is none."""
    found = dotenv_values(path, interpolate=False, encoding="utf-8-sig") if path.is_file() else {}
    return read_variables(kind, {k: v for k, v in found.items() if v is not None}, name=path.name)


def read_variables(
    kind: type[BaseModel], environ: Mapping[str, str], *, name: str = "environment"
) -> Layer:
    """The layer of the environment; variables of other programs are left alone.

    Ours are the short names, and every ``ORCHESTRATOR_<SECTION>__<KEY>``: an unknown section is
    kept, so that it is reported. An empty variable counts as unset.
    """
    variables: dict[KeyPath, str] = {}
    for variable, full_name in _ours(kind, environ):
        path = tuple(full_name.removeprefix(PREFIX).lower().split(DELIMITER))
        # The long name wins over the short one.
        if path not in variables or variable == full_name:
            variables[path] = variable
    values: Tree = {}
    for path in sorted(variables, key=len):  # a key wins over the whole of its section
        text = "debug" if variables[path] == "DEBUG" else environ[variables[path]]
        value: Any = _decoded(text) if is_table_or_list(kind, path) else text
        for key in reversed(path):
            value = {key: value}
        values = _merged(values, value)
    unknown = {
        path[:1]: variable
        for path, variable in variables.items()
        if path[0] not in kind.model_fields
    }
    return Layer(name, values, variables | unknown)


def merge(layers: list[Layer]) -> Tree:
    """All layers as one tree."""
    merged: Tree = {}
    for layer in layers:
        merged = _merged(merged, layer.values)
    return merged


def _ours(kind: type[BaseModel], environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """The variables that are settings, each with its long name."""
    sections = {PREFIX + name.upper() for name in kind.model_fields}
    found = []
    for variable, value in environ.items():
        if variable in SHORT_NAMES and value:
            found.append((variable, PREFIX + SHORT_NAMES[variable]))
        elif variable == "DEBUG" and value.lower() not in OFF_WORDS:
            found.append((variable, f"{PREFIX}LOG{DELIMITER}LEVEL"))
        elif value and (variable in sections or _is_long(variable)):
            found.append((variable, variable))
    return found


def _is_long(variable: str) -> bool:
    return variable.startswith(PREFIX) and DELIMITER in variable


def _decoded(text: str) -> Any:
    """Tables and lists as JSON, lists also with commas; validation finds what is neither."""
    if not text.lstrip().startswith(("[", "{")):
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        return json.loads(text)
    except ValueError:
        return text


def _says(tree: Any, path: KeyPath) -> bool:
    for part in path:
        if not isinstance(tree, dict):
            return True  # a value where a table belongs
        if part not in tree:
            return False
        tree = tree[part]
    return True


def _merged(low: Tree, high: Tree) -> Tree:
    out = dict(low)
    for key, value in high.items():
        below = out.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            out[key] = _merged(below, value)
        else:
            out[key] = value
    return out
