"""The reference of the settings as Markdown, written from their schema."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from .layers import DELIMITER, PREFIX, SHORT_NAMES
from .reload import LIVE
from .schema import Node, json_schema
from .sections import DURATION

_HEADER: Final = re.compile(r"^(?:Section )?``\[[^`]*``(?: of supervisor\.toml)?[:.]?\s*")
"""What a section's docstring begins with, and a heading says."""

_INTRO: Final = """\
# Settings

Every key of `supervisor.toml`, written by `orc config doc` from the definitions that check them;
a test keeps this page true. `orc config show` tells what is in force on a machine and where it
comes from, `orc config check` finds faults.

The environment wins over `.env` next to the file, that over the file. Every key has a variable,
`ORCHESTRATOR_<SECTION>__<KEY>` (`ORCHESTRATOR_HTTP__PORT`); lists with commas or as JSON, tables
as JSON. Short ones: {short}. `DEBUG`, set to anything, is `log.level = "debug"`.

↻: takes effect at `SIGHUP` (`systemctl reload`, `kill -HUP`); all others at the next start.

An editor that knows JSON Schema (Taplo, Even Better TOML) completes and checks the file:

```console
$ orc config schema > supervisor.schema.json
```

and, as the first line of `supervisor.toml`, `#:schema ./supervisor.schema.json`.
"""


def reference() -> str:
    """The whole page."""
    schema = json_schema()
    names = ", ".join(f"`{name}` (`{_key(variable)}`)" for name, variable in SHORT_NAMES.items())
    parts = [_INTRO.format(short=names)]
    for name, section in schema["properties"].items():
        parts += _section(schema, (name,), section)
    return "\n".join(parts)


def _key(variable: str) -> str:
    return variable.removeprefix(PREFIX).lower().replace(DELIMITER, ".")


def _section(schema: Node, path: tuple[str, ...], node: Node) -> Iterator[str]:
    """A table of TOML and those within it."""
    double = node.get("type") == "array"
    table, header = _resolved(schema, node["items"] if double else node), ".".join(path)
    inner = list(_inner_tables(schema, path, table))
    if len(path) > 1 or "properties" in table or not inner:
        yield f"## `[[{header}]]`\n" if double else f"## `[{header}]`\n"
        about = node.get("description") or table.get("description") or ""
        if text := _words(_HEADER.sub("", about)):
            yield f"{text[:1].upper()}{text[1:]}\n"
        yield from _rows(schema, path, table, {below[-1] for below, _ in inner})
    for below, child in inner:
        yield from _section(schema, below, child)


def _inner_tables(
    schema: Node, path: tuple[str, ...], table: Node
) -> Iterator[tuple[tuple[str, ...], Node]]:
    for name, child in table.get("properties", {}).items():
        target = child.get("items", child) if child.get("type") == "array" else child
        if "properties" in _resolved(schema, target):
            yield (*path, name), child
    for child in table.get("patternProperties", {}).values():
        if "properties" in _resolved(schema, child):
            yield (*path, "<name>"), child


def _rows(schema: Node, path: tuple[str, ...], table: Node, inner: set[str]) -> Iterator[str]:
    rows = [
        _row(schema, (*path, name), node)
        for name, node in table.get("properties", {}).items()
        if name not in inner
    ]
    if "<name>" not in inner:
        named = table.get("patternProperties", {}).values()
        rows += [f'| `"<pattern>"` | {_kind(schema, node)} | | |' for node in named]
    if rows:
        yield "\n".join(["| key | what it takes | default | |", "|---|---|---|---|", *rows, ""])


def _row(schema: Node, path: tuple[str, ...], node: Node) -> str:
    found = {**_resolved(schema, node), **node}
    default = f"`{json.dumps(found['default'], ensure_ascii=False)}`" if "default" in found else ""
    live = any(path[: len(live)] == live for live in LIVE)
    text = _words(found.get("description", ""))
    cells = (f"`{path[-1]}`{' ↻' if live else ''}", _kind(schema, node), default, text)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


_WORDS: Final = {
    "boolean": "true, false",
    "date-time": "date and time with its zone",
    "object": "table",
    "string": "text",
}


def _kind(schema: Node, node: Node) -> str:
    """What a key takes, in words."""
    found = _resolved(schema, node)
    if "enum" in found:
        return ", ".join(f"`{json.dumps(word)}`" for word in found["enum"])
    if "anyOf" in found:
        return " or ".join(dict.fromkeys(_kind(schema, one) for one in found["anyOf"]))
    kind, below = found.get("type"), found.get("items", found.get("additionalProperties"))
    if kind in ("array", "object") and isinstance(below, dict):
        return f"{'list' if kind == 'array' else 'table'} of {_kind(schema, below)}"
    if kind in ("integer", "number"):
        return f"{'whole number' if kind == 'integer' else 'number'}{_bounds(found)}"
    if DURATION.pattern in found.get("pattern", ""):
        return "`90s`, `5m`, `12h`, `7d`, `4w`"
    kind = "date-time" if found.get("format") == "date-time" else kind
    secret = "secret " if found.get("format") == "password" else ""
    return secret + _WORDS.get(str(kind), "anything")


def _bounds(node: Node) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    above = node.get("exclusiveMinimum")
    least = f"over {above:,}" if above is not None else f"from {low:,}" if low is not None else ""
    said = " ".join(part for part in (least, f"to {high:,}" if high is not None else "") if part)
    return f", {said}" if said else ""


def _resolved(schema: Node, node: Node) -> Node:
    if "$ref" not in node:
        return node
    found: Any = schema
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return dict(found)


def _words(text: str) -> str:
    """A docstring's text: Markdown has one backtick where it has two."""
    return text.replace("``", "`")
