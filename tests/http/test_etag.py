from typing import Any

import msgspec
import pytest
from orchestrator.http.api.schemas import StateAnswer
from orchestrator.http.etag import matches, tag_of, tagged, unless_known
from orchestrator.http.routes import Answer

NOW = "2026-01-31T09:30:00.123Z"
LATER = "2026-01-31T09:30:09.000Z"


def asked(if_none_match: str | None = None) -> dict[str, str]:
    return {} if if_none_match is None else {"HTTP_IF_NONE_MATCH": if_none_match}


def state(timestamp: str = NOW, value: Any = 1, updated_at: str = NOW) -> StateAnswer:
    return StateAnswer("ok", timestamp, "key", msgspec.Raw(msgspec.json.encode(value)), updated_at)


def etag(answer: Answer) -> str:
    return dict(answer.headers)["ETag"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ('"a"', True),
        ('W/"a"', True),
        ('"b", W/"a"', True),
        ('"b","a" ', True),
        ("*", True),
        ("", False),
        ('"b"', False),
        ("a", False),
        ('W/"b"', False),
        ('"a', False),
    ],
)
@pytest.mark.parametrize("tag", ['"a"', 'W/"a"'])
def test_a_tag_is_found_among_those_that_the_caller_has(
    given: str, tag: str, expected: bool
) -> None:
    assert matches(given, tag) is expected


def test_only_the_time_of_answering_is_left_out() -> None:
    first = etag(tagged(asked(), state()))

    assert etag(tagged(asked(), state(timestamp=LATER))) == first
    assert etag(tagged(asked(), state(value=2))) != first
    assert etag(tagged(asked(), state(updated_at=LATER))) != first


def test_a_time_in_the_data_counts() -> None:
    data = {"timestamp": NOW}

    assert etag(tagged(asked(), state(value=data))) != etag(tagged(asked(), state(value={})))
    assert etag(tagged(asked(), state(value=data))) == etag(tagged(asked(), state(LATER, data)))


def test_who_has_the_answer_is_not_sent_it_again() -> None:
    first = tagged(asked(), state())

    again = tagged(asked(etag(first)), state(timestamp=LATER))

    assert (again.status, again.body) == (304, b"")
    assert again.headers == first.headers
    assert dict(first.headers)["Cache-Control"] == "private, no-cache"


def test_who_has_another_is_sent_it() -> None:
    again = tagged(asked(etag(tagged(asked(), state()))), state(value=2))

    assert again.status == 200
    assert b'"value":2' in again.body


def test_headers_of_the_answer_stay() -> None:
    answer = Answer(b"x", 200, "text/plain", (("X-A", "b"),))

    assert unless_known(asked("*"), answer, tag_of(b"x"), ()).headers[0] == ("X-A", "b")
