"""The settings as JSON Schema, for editors: read off the very models that check them.

It is a little stricter than the daemon, which also takes a list as text with commas, and a little
looser: what spans two settings (a key without its certificate) is not in it.
"""

from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema

from . import FILE_NAME, Settings
from .sections import DURATION

Node = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
SIZE: Final = r"^\s*\d*\.?\d+\s*(?:[kKMGT]i?)?[bB]?\s*$"
"""Sizes as pydantic reads them: ``512MiB``."""
_OF_PYTHON: Final = frozenset({"title", "writeOnly", "ge"})


class _Generator(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 pydantic's signature
        return False


def json_schema() -> Node:
    """Of ``supervisor.toml``; every key with its description, bounds and default."""
    made = Settings.model_json_schema(by_alias=True, schema_generator=_Generator)
    schema = _plain(made)
    for section in schema["properties"].values():
        section.pop("default", None)  # it repeats those of its keys
    text = f"{FILE_NAME} of an orchestrator daemon"
    return {"$schema": DIALECT, "title": text, **schema, "$defs": schema.pop("$defs")}


def _plain(node: Any) -> Any:
    """The same in TOML's terms: no null, lists, durations and sizes as they are written."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    found = {
        key: _children(value)
        if key in ("properties", "$defs", "patternProperties")
        else _plain(value)
        for key, value in node.items()
        if key not in _OF_PYTHON and not (key == "default" and value is None)
    }
    found = _without_null(found)
    form = found.get("format")
    if form in ("path", "duration"):
        del found["format"]
    if form == "duration":
        found["pattern"] = f"^{DURATION.pattern}$"
    if form == "password":
        found.pop("default", None)  # stars
    if found.get("type") == "array" and "minLength" in found:
        found["minItems"] = found.pop("minLength")
    if found.get("pattern") == r"^\s*(\d*\.?\d+)\s*(\w+)?":
        found["pattern"] = SIZE
    if "description" in found:
        found["description"] = " ".join(str(found["description"]).split())
    return found


def _children(named: Node) -> Node:
    """Schemas by name: their names may be words of JSON Schema."""
    return {name: _plain(value) for name, value in named.items()}


def _without_null(node: Node) -> Node:
    choices = [choice for choice in node.get("anyOf", []) if choice != {"type": "null"}]
    if "anyOf" not in node or len(choices) == len(node["anyOf"]):
        return node
    rest = {key: value for key, value in node.items() if key != "anyOf"}
    return {**choices[0], **rest} if len(choices) == 1 else {"anyOf": choices, **rest}
