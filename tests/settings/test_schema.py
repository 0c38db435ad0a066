"""The schema that editors get is the daemon's own opinion."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from orchestrator.settings import Settings, shipped_file
from orchestrator.settings.keys import all_keys
from orchestrator.settings.schema import Node, json_schema

ROOT = Path(__file__).parents[2]
FILES = [shipped_file(), *sorted((ROOT / "deploy").rglob("*.toml"))]


@pytest.fixture(scope="module")
def validator() -> Any:
    jsonschema_rs.meta.validate(json_schema())
    return jsonschema_rs.validator_for(json_schema())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_files_that_we_ship_are_valid(validator: Any, file: Path) -> None:
    validator.validate(tomllib.loads(file.read_text()))


@pytest.mark.parametrize(
    "text",
    [
        "[http]\nport = 8091",
        '[retention]\n"data.*" = "7d"',
        '[agents.a]\nmode = "process"\ncommand = ["node", "a.js"]\nmax_memory = "512MiB"',
        '[[http.auth.tokens]]\nname = "a"\nrole = "viewer"\nsha256 = "' + "0" * 64 + '"',
        '[bus]\ndata_patterns = ["data.*"]',
        '[log]\nfile = "/var/log/o.log"',
    ],
)
def test_what_the_daemon_takes_is_valid(validator: Any, text: str) -> None:
    assert [str(error) for error in validator.iter_errors(tomllib.loads(text))] == []


@pytest.mark.parametrize(
    "text",
    [
        "[http]\nprot = 8091",
        "[http]\nport = 65536",
        '[http]\nport = "x"',
        "[nothing]\na = 1",
        '[retention]\n"data.*" = "7 days"',
        '[log]\nlevel = "loud"',
        "[bus]\ndata_patterns = []",
        '[agents."a b"]\nmode = "sideways"\n[agents.c]\nmode = "sideways"',
        '[[http.auth.tokens]]\nrole = "king"',
    ],
)
def test_what_the_daemon_refuses_is_marked(validator: Any, text: str) -> None:
    table = tomllib.loads(text)

    assert not validator.is_valid(table)
    with pytest.raises(ValueError, match="validation error"):
        Settings(**table)


def test_every_key_is_in_it_and_says_what_it_does() -> None:
    schema = json_schema()
    silent = {path for path, node in leaves(schema, schema) if not node.get("description")}

    assert silent == set()
    sections = schema["properties"]
    for key in all_keys(Settings):
        section, name = key.split(".")
        table = at(schema, sections[section])
        assert name in table.get("properties", {}) or "patternProperties" in table, key


def leaves(schema: Node, node: Node, path: str = "") -> Iterator[tuple[str, Node]]:
    """Keys that are no tables of known keys."""
    for name, child in at(schema, node).get("properties", {}).items():
        target = child.get("items", child)
        if "properties" in at(schema, target):
            yield from leaves(schema, target, f"{path}{name}.")
        elif path:
            yield path + name, child
    for child in at(schema, node).get("patternProperties", {}).values():
        yield from leaves(schema, child, f"{path}*.")


def at(schema: Node, node: Node) -> Node:
    found: Any = schema
    for part in node.get("$ref", "#/").removeprefix("#/").split("/") if "$ref" in node else ():
        found = found[part]
    return found if "$ref" in node else node


def test_no_secret_and_no_place_of_this_machine_is_in_it() -> None:
    text = str(json_schema())

    assert "****" not in text
    assert str(Path.home()) not in text
    assert "/var/lib/orchestrator" not in text
