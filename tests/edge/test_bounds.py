"""`docs/bounds.md` has every work that a caller sizes, with the bound that the code has."""

import importlib
import re
from functools import reduce
from pathlib import Path
from typing import Any

import msgspec
import pytest
from orchestrator.http.routes import Route
from orchestrator.settings import Settings

from .conftest import Served
from .test_hostile_work import routes_of

PAGE = Path(__file__).parents[2] / "docs" / "bounds.md"
NUMBER = re.compile(r"(\d[\d,]*)( KiB| MiB)?")
UNITS = {"": 1, " KiB": 1024, " MiB": 1024 * 1024}
CONSTANT = re.compile(r"`([\w/]+)\.py: ([\w.]+)`")
SETTING = re.compile(r"`([a-z]+(?:\.[a-z_]+)+)`")


def rows(title: str) -> list[list[str]]:
    """The cells of the table below a headline."""
    _, _, rest = PAGE.read_text("utf-8").partition(f"## {title}\n")
    lines = [line for line in rest.partition("\n## ")[0].splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


def number(text: str) -> int:
    """The first number in a cell, in its unit."""
    found = NUMBER.search(text)
    assert found is not None, text
    return int(found[1].replace(",", "")) * UNITS[found[2] or ""]


def in_code(where: str) -> int:
    """The value of a constant, of a field's largest length or value, or of a setting's default."""
    if found := CONSTANT.search(where):
        path, name = found.groups()
        value: Any = importlib.import_module(f"orchestrator.{path.replace('/', '.')}")
        *owners, last = name.split(".")
        value = reduce(getattr, owners, value)
        return int(getattr(value, last)) if not owners else most(value, last)
    setting = SETTING.search(where)
    assert setting is not None, where
    default: Any = reduce(getattr, setting[1].split("."), Settings())
    return int(default)


def most(struct: type[msgspec.Struct], name: str) -> int:
    """What a field's type allows at most."""
    info = msgspec.inspect.type_info(struct)
    assert isinstance(info, msgspec.inspect.StructType)
    kind: Any = next(field.type for field in info.fields if field.encode_name == name)
    kinds = [kind, *getattr(kind, "types", ())]
    while any(isinstance(one, msgspec.inspect.Metadata) for one in kinds):
        kinds = [getattr(one, "type", one) for one in kinds]
    limits = [getattr(one, limit, None) for one in kinds for limit in ("max_length", "le")]
    return next(limit for limit in limits if limit is not None)


BOUNDS = rows("Bounds")


@pytest.mark.parametrize("row", BOUNDS, ids=lambda row: row[0])
def test_each_bound_is_the_one_in_code(row: list[str]) -> None:
    _, bound, _, where = row

    assert number(bound) == in_code(where)


def sized(route: Route) -> set[str]:
    """What a caller gives to a route besides its head."""
    structs = [one for one in (route.query, route.headers, route.body) if one is not None]
    fields = {field.encode_name for struct in structs for field in msgspec.structs.fields(struct)}
    return fields | {name.removesuffix(":path") for name in re.findall(r"\{([\w:]+)\}", route.path)}


def test_each_route_is_there_with_all_that_sizes_its_work(served: Served) -> None:
    listed = {cells[0].strip("`"): cells[1] for cells in rows("Routes")}
    found = {name: set(re.findall(r"`([\w-]+)`", text)) for name, text in listed.items()}

    assert found == {f"{one.method} {one.path}": sized(one) for one in routes_of(served)}
    assert all(found[name] or text == "none sized" for name, text in listed.items())
