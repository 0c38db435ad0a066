"""The options of an agent: a table of settings, checked against a struct."""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from .errors import BadOptions

Options = TypeVar("Options", bound=msgspec.Struct)


class NoOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an agent has that declares no options."""


def read_options(kind: type[Options], table: Mapping[str, Any] | None) -> Options:
    """The table as the struct that the agent declares.

    Raises:
        BadOptions: a key is unknown, or a value of the wrong type or out of range;
            the text names the option.
    """
    known = [field.name for field in msgspec.structs.fields(kind)]
    unknown = sorted(set(table or {}) - set(known))
    if unknown:
        raise BadOptions(
            f"unknown option {', '.join(unknown)}; there is {', '.join(known) or 'none'}"
        )
    try:
        return msgspec.convert(dict(table or {}), kind)
    except msgspec.ValidationError as error:
        raise BadOptions(f"bad option: {error}") from error
