"""Settings that hold a secret may be given by a file: ``<key>_file`` instead of ``<key>``.

The file is read when the settings are read, at a reload too. Within one place (file, ``.env``,
environment) both are an error; a later place wins over an earlier one, whichever of the two it has.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from ..protocol.secret_files import BadSecretFile, read_secret
from .errors import Fault
from .keys import KeyPath
from .layers import Layer, Tree

SECRETS: Final[tuple[KeyPath, ...]] = (("redis", "url"), ("postgres", "url"))
"""Keys whose ``_file`` is read with the settings."""

READ_AT_USE: Final[KeyPath] = ("notify", "secret")
"""The one whose file is read at each use; here it is only looked at."""


class Read(NamedTuple):
    """Layers with the secrets in their places."""

    layers: list[Layer]
    """As they were, the earliest first; a secret that a later one gives otherwise is gone."""
    faults: list[Fault]
    """What is wrong with them."""
    warnings: list[str]
    """Files that others may read."""


def with_secrets(layers: list[Layer], folder: Path) -> Read:
    """Read the files that hold secrets.

    Args:
        layers: The places of settings, the earliest first.
        folder: What a relative path in the settings' file is relative to; that in a variable is
            relative to the current folder.
    """
    found = Read([], [], [])
    for number, layer in enumerate(layers):
        later = [other.values for other in layers[number + 1 :]]
        base = folder if number < len(layers) - 1 else Path.cwd()
        found.layers.append(_with_secrets(layer, later, base, found))
    return found


def _with_secrets(layer: Layer, later: list[Tree], base: Path, found: Read) -> Layer:
    for section, key in (*SECRETS, READ_AT_USE):
        given = layer.values.get(section)
        if not isinstance(given, Mapping):
            continue
        name = f"{key}_file"
        if any(_gives(tree, section, key, name) for tree in later):
            layer = _changed(
                layer, section, {k: v for k, v in given.items() if k not in (key, name)}
            )
            continue
        if name not in given:
            continue
        path = (section, name)
        where = layer.origin_of(path) or layer.name
        if key in given:
            problem = f"given together with {section}.{key}; give one of them"
            found.faults.append(Fault(where, ".".join(path), problem))
        elif isinstance(given[name], str):  # else validation says what it is
            file = base / os.path.expanduser(given[name])  # noqa: PTH111 never raises
            layer = _filled(layer, (section, key), file, found)
    return layer


def _filled(layer: Layer, path: KeyPath, file: Path, found: Read) -> Layer:
    section, key = path
    source = (section, f"{key}_file")
    if path == READ_AT_USE:  # the file that is checked here is the one that is read then
        layer = _changed(layer, section, {**layer.values[section], source[1]: str(file)})
    try:
        secret = read_secret(file)
    except BadSecretFile as error:
        where = layer.origin_of(source) or layer.name
        if path == READ_AT_USE:
            found.warnings.append(f"{'.'.join(source)}: {error}")
        else:
            found.faults.append(Fault(where, ".".join(source), str(error)))
        return layer
    if secret.warning:
        found.warnings.append(f"{'.'.join(source)}: {secret.warning}")
    if path == READ_AT_USE:
        return layer
    given: dict[str, Any] = {
        **layer.values[section],
        key: secret.text.strip(),
        source[1]: str(file),
    }
    changed = _changed(layer, section, given)
    variable = next(
        (layer.variables[one] for one in (source, source[:1]) if one in layer.variables), None
    )
    return (
        changed
        if variable is None
        else replace(changed, variables={**layer.variables, path: variable})
    )


def _changed(layer: Layer, section: str, values: Tree) -> Layer:
    return replace(layer, values={**layer.values, section: values})


def _gives(tree: Tree, section: str, *names: str) -> bool:
    given = tree.get(section)
    return isinstance(given, Mapping) and any(name in given for name in names)
