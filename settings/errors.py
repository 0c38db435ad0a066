"""Errors in the settings: each with its place, what was expected, and a hint."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from ..runtime.errors import OrchestratorError
from .keys import KeyPath, all_keys, keys_at
from .layers import Layer

# The password of a URL: from the first colon of its user part to the last @, so that one that
# should have been percent-encoded is covered too; and one given as a parameter.
PASSWORD = re.compile(r"(?<=://)([^/?#\s:@]*):\S*@")
PARAMETER = re.compile(r"(?<=[?&])(\w*(?:password|token|secret)\w*=)[^&\s'\"]*", re.IGNORECASE)
STARS = "***"


@dataclass(frozen=True)
class Fault:
    """One error."""

    where: str
    """The file, or the variable."""
    key: str
    """``section.key``, or empty if it is about the file as a whole."""
    problem: str
    """What was found and what was expected."""
    hint: str = ""
    """The nearest known spelling, or nothing."""

    def __str__(self) -> str:
        place = f"{self.where}: {self.key}" if self.key else self.where
        return f"{place}: {self.problem}" + (f"; {self.hint}" if self.hint else "")


class SettingsError(OrchestratorError):
    """The settings cannot be used; the text has one line for each fault."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(*faults)
        self.faults = tuple(faults)

    def __str__(self) -> str:
        return "\n".join(str(fault) for fault in self.faults)


def faults_of(
    error: ValidationError, kind: type[BaseModel], layers: Sequence[Layer]
) -> list[Fault]:
    """All faults that validation found, each attributed to the last layer that sets the value."""
    return [_fault(details, kind, layers) for details in error.errors()]


def origin_of(path: KeyPath, layers: Sequence[Layer]) -> str:
    """Where the value at ``path`` comes from: the last layer that has one, else ``default``."""
    for layer in reversed(layers):
        if origin := layer.origin_of(path):
            return origin
    return "default"


def masked(value: object) -> str:
    """A value as text with the passwords of URLs as stars."""
    shown = value.get_secret_value() if isinstance(value, SecretStr) else value
    return PARAMETER.sub(rf"\1{STARS}", PASSWORD.sub(rf"\1:{STARS}@", str(shown)))


def _fault(details: ErrorDetails, kind: type[BaseModel], layers: Sequence[Layer]) -> Fault:
    path = tuple(str(part) for part in details["loc"] if part != "[key]")
    where = origin_of(path, layers)
    if where == "default":
        where = layers[0].name if layers else where
    if details["type"] == "extra_forbidden":
        return Fault(where, ".".join(path), "unknown key", _hint(path, kind))
    return Fault(where, ".".join(path), _problem(details))


def _problem(details: ErrorDetails) -> str:
    text = details["msg"].removeprefix("Value error, ")
    text = text.replace("Input should be", "expected", 1)
    if details["type"] == "missing":
        return "missing"
    found = details["input"]
    is_url = details["loc"][-1] == "url"  # a password may be anywhere in one that is refused
    is_plain = isinstance(found, str | int | float | bool) and not is_url
    return f"{text}, found {masked(repr(found))}" if is_plain else text


def _hint(path: KeyPath, kind: type[BaseModel]) -> str:
    """``did you mean http.port?``, from the keys of that table, else from all tables."""
    table, wrong = path[:-1], path[-1]
    known = keys_at(kind, table)
    near = [".".join((*table, key)) for key in difflib.get_close_matches(wrong, known, n=1)]
    elsewhere = [key for key in all_keys(kind) if key.rsplit(".", 1)[-1] == wrong]
    for guess in (*near, *elsewhere):
        return f"did you mean {guess}?"
    return f"known here: {', '.join(known)}"
