import json
from datetime import datetime
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta
from orchestrator.http.api.event_schemas import EventsQuery, MarkProcessed, PostEvent
from orchestrator.http.api.schemas import MAX_ID, Engage, EventId
from orchestrator.http.validation_messages import A_TIME, explain


class Odd(msgspec.Struct):
    pair: tuple[int, str] | None = None
    either: int | list[int] | None = None
    share: float = 0.0
    by_name: dict[str, int] = {}
    when: datetime | None = None
    names: Annotated[list[str], Meta(min_length=2)] | None = None
    most: Annotated[int, Meta(le=9)] = 0
    at_least: Annotated[int, Meta(ge=3)] = 3


def said(values: Any, wanted: Any, *, strict: bool = True, name: str = "") -> str:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(values, wanted, strict=strict)
    return explain(caught.value, wanted, name)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"limit": "x"}, "limit: must be a whole number, 1 or more."),
        ({"limit": "0"}, "limit: must be a whole number, 1 or more."),
        ({"since": "-1"}, "since: must be a whole number, 0 or more."),
        ({"since": str(MAX_ID + 1)}, "since: must be a whole number, 0 or more."),
        ({"processed": "perhaps"}, "processed: must be true or false."),
        ({"order": "foo"}, "order: must be asc or desc."),
        ({"from": "yesterday"}, f"from: {A_TIME}."),
        ({"type": ["a", ""]}, "type[1]: must not be empty."),
        ({"type": ["a" * 201]}, "type[0]: must have at most 200 characters."),
        ({"type": ["a"] * 51}, "type: must have at most 50 entries."),
    ],
)
def test_a_query_is_told_what_is_allowed(query: dict[str, Any], message: str) -> None:
    assert said(query, EventsQuery, strict=False) == message


@pytest.mark.parametrize(
    ("body", "wanted", "message"),
    [
        ({}, Engage, "reason: required."),
        ({"reason": " "}, Engage, "reason: must not be blank."),
        ({"reason": ""}, Engage, "reason: must not be empty."),
        ({"reason": 5}, Engage, "reason: must be text."),
        ({"ids": []}, MarkProcessed, "ids: must not be empty."),
        ({"ids": 5}, MarkProcessed, "ids: must be a list."),
        ({"ids": [1, "x"]}, MarkProcessed, "ids[1]: must be a whole number, 0 or more."),
        ([], MarkProcessed, "body: must be a JSON object."),
        ({"type": "a", "payload": 1, "source": 5}, PostEvent, "source: must be text."),
        (
            {"type": "a b", "payload": 1},
            PostEvent,
            "type: must have no spaces and no control characters.",
        ),
    ],
)
def test_a_body_is_told_what_is_allowed(body: Any, wanted: Any, message: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(json.dumps(body), type=wanted)

    assert explain(caught.value, wanted) == message


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"share": "x"}, "share: must be a number."),
        ({"by_name": []}, "by_name: must be a JSON object."),
        ({"by_name": {"a": "x"}}, "by_name[...]: must be a whole number."),
        ({"names": ["x"]}, "names: must have 2 entries or more."),
        ({"names": 3}, "names: must be a list."),
        ({"most": 10}, "most: must be a whole number, 9 or less."),
        ({"at_least": 2}, "at_least: must be a whole number, 3 or more."),
        ({"either": "x"}, "either: expected int | array | null, got str."),
        ({"pair": "x"}, "pair: expected array | null, got str."),
    ],
)
def test_other_kinds_have_words_too_or_msgspecs(values: Any, message: str) -> None:
    assert said(values, Odd) == message


def test_a_single_value_has_its_own_name() -> None:
    assert said("x", EventId, strict=False, name="id") == "id: must be a whole number, 0 or more."


def test_a_field_missing_further_down_is_named_with_its_place() -> None:
    class Outer(msgspec.Struct):
        inner: Engage

    assert said({"inner": {}}, Outer) == "inner.reason: required."
