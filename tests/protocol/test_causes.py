from typing import Any

import pytest
from orchestrator.protocol.causes import Numbered, event_name, is_of_chain, numbered

FIELDS = {"boot": "b", "seq": 4}


def test_an_event_is_called_by_its_own_id_or_by_its_numbering() -> None:
    assert event_name(FIELDS | {"id": "own"}, "a", "strategy.x") == "own"
    assert event_name(FIELDS, "a", "strategy.x") == "b/a/strategy.x/4"
    assert event_name({"boot": "b"}, "a", "strategy.x") is None


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("b/a/strategy.x/4", Numbered("b", "a/strategy.x", 4)),
        ("b/with/slash/c/4", Numbered("b", "with/slash/c", 4)),
        ("b/4", None),
        ("/a/c/4", None),
        ("b/a/c/x", None),
        ("b/a/c/²", None),
        ("b/a/c/" + "9" * 5000, None),
        ("order-1", None),
        ("", None),
    ],
)
def test_a_numbered_name_is_taken_apart(name: str, parts: Numbered | None) -> None:
    assert numbered(name) == parts


@pytest.mark.parametrize(
    ("fields", "belongs"),
    [
        (FIELDS, True),
        ({"correlation_id": "b/a/c/4"}, True),
        ({"id": "b/a/c/4"}, True),
        (FIELDS | {"seq": 5}, False),
        (FIELDS | {"id": "own"}, False),
        ({}, False),
    ],
)
def test_the_first_event_and_all_that_name_it_are_of_its_chain(
    fields: dict[str, Any], belongs: bool
) -> None:
    assert is_of_chain(fields, "a", "c", chain="b/a/c/4") is belongs
