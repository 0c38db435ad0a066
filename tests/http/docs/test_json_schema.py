from typing import Any

import msgspec
from orchestrator.http.docs.json_schema import Schemas, field_docs, plain


class Below(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """A part.

    With ``code`` in it.
    """

    from_: int
    """Where it
    begins."""
    until: int | None = None
    tags: tuple[str, ...] = ()


class Above(Below, frozen=True, kw_only=True):
    """The whole."""

    parts: list[Below]
    """Its parts."""


def test_docstrings_below_fields_are_read_under_the_names_in_json() -> None:
    assert field_docs(Below) == {"from": "Where it begins."}


def test_docstrings_of_a_base_are_read_too() -> None:
    assert field_docs(Above) == {"from": "Where it begins.", "parts": "Its parts."}


def test_a_type_without_source_has_no_docstrings_of_fields() -> None:
    assert field_docs(msgspec.defstruct("Made", [("one", int)])) == {}


def test_components_are_described_at_every_depth() -> None:
    schemas = Schemas([Above])

    assert schemas.of(Above) == {"$ref": "#/components/schemas/Above"}
    below = schemas.components["Below"]
    assert below["description"] == "A part.\n\nWith `code` in it."
    assert below["properties"]["from"]["description"] == "Where it begins."


def test_defaults_that_mean_absent_are_not_told() -> None:
    properties: dict[str, Any] = Schemas([Below]).components["Below"]["properties"]

    assert "default" not in properties["until"]
    assert "default" not in properties["tags"]


def test_what_is_no_struct_has_its_schema_inline() -> None:
    assert Schemas([int]).of(int) == {"type": "integer"}


def test_a_docstring_becomes_paragraphs_of_one_line() -> None:
    assert plain("One\n    two.\n\n    ``three``") == "One two.\n\n`three`"
