"""The keys of the settings as they are written, read off the sections' models (pure)."""

import typing
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

KeyPath = tuple[str, ...]
"""Section, key, and what lies below."""


def leaves(tree: Mapping[str, Any], above: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Each value of a tree of tables with its path; an empty table counts as a value."""
    for key, value in tree.items():
        path = (*above, str(key))
        if isinstance(value, Mapping) and value:
            yield from leaves(value, path)
        else:
            yield path, value


def keys_at(kind: type[BaseModel], table: KeyPath) -> list[str]:
    """The keys of the table at a path; those of the innermost known one around it."""
    model = kind
    for part in table:
        model = _model_of(_types(model).get(part)) or model
    return list(_types(model))


def all_keys(kind: type[BaseModel]) -> Iterator[str]:
    """``section.key`` of every section."""
    for section, annotation in _types(kind).items():
        if _model_of(annotation) is not None:  # retention's keys are patterns
            for key in keys_at(kind, (section,)):
                yield f"{section}.{key}"


def is_table_or_list(kind: type[BaseModel], path: KeyPath) -> bool:
    """Whether the value at ``path`` is more than one word; False for unknown keys."""
    wanted: Any = kind
    for part in path:
        wanted = _type_below(wanted, part)
    return any(_is_container(part) for part in (wanted, *typing.get_args(wanted)))


def _type_below(annotation: Any, key: str) -> Any:
    if typing.get_origin(annotation) is dict:
        return typing.get_args(annotation)[1]
    model = _model_of(annotation)
    return None if model is None else _types(model).get(key)


def _is_container(annotation: Any) -> bool:
    plain = typing.get_origin(annotation) or annotation
    return isinstance(plain, type) and issubclass(plain, dict | list | tuple | BaseModel)


def _types(model: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _model_of(annotation: Any) -> type[BaseModel] | None:
    """The model of a table, or of the tables within a table such as ``agents``."""
    for found in (annotation, *typing.get_args(annotation)):
        if isinstance(found, type) and issubclass(found, BaseModel):
            return found
    return None
