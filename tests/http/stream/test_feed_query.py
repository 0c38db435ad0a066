import pytest
from orchestrator.http.errors import BadRequest
from orchestrator.http.requests import read_query
from orchestrator.http.stream.feed_query import EventStreamQuery, check_types


def patterns(text: str) -> tuple[str, ...]:
    return read_query({"QUERY_STRING": text}, EventStreamQuery).patterns


def test_types_are_sorted_once_each_without_blanks() -> None:
    assert patterns("types=b,%20a,,b&types=c&type=d") == ("a", "b", "c", "d")
    assert patterns("") == patterns("types=&type=undefined") == ("*",)


def test_types_are_limited_in_number_and_length() -> None:
    with pytest.raises(BadRequest):
        check_types([str(n) for n in range(101)])
    with pytest.raises(BadRequest):
        check_types(["x" * 201])


def test_stars_are_limited() -> None:
    assert check_types(["*a" * 16]) == ("*a" * 16,)
    with pytest.raises(BadRequest, match="at most 16 stars"):
        check_types(["*a" * 17])
