import io
import json
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any

import gevent
import msgspec
import pytest
from msgspec import Meta
from orchestrator.http.errors import BadRequest, BodyTooLarge, NotJson, TooSlow
from orchestrator.http.requests import (
    MAX_LOADED_CHARS,
    check_content_type,
    convert,
    read_body,
    read_lenient_body,
    read_query,
    read_value,
    request_id_of,
)
from processor import time_scale

from ..hostile import costly_json


class Query(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    type: tuple[str, ...] = ()
    from_: str | None = None
    flag: bool | None = None
    until: datetime | None = None


class Inner(msgspec.Struct):
    n: int


class Body(msgspec.Struct, frozen=True):
    name: Annotated[str, Meta(min_length=1)]
    inner: Inner | None = None


def environ(body: bytes = b"", kind: str = "application/json", **more: Any) -> dict[str, Any]:
    return {
        "CONTENT_TYPE": kind,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    } | more


# -- ids -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["abc-123", "01J9ZX", "a/b=c+d", "A" * 128])
def test_a_sane_request_id_is_kept(given: str) -> None:
    assert request_id_of({"HTTP_X_REQUEST_ID": given}) == given


@pytest.mark.parametrize("given", ["", "A" * 129, "a b", "a\r\nb", "\u00e9", '"', "-a"])
def test_any_other_is_replaced(given: str) -> None:
    made = request_id_of({"HTTP_X_REQUEST_ID": given})

    assert made != given
    assert len(made) == 32


def test_made_ids_differ() -> None:
    assert request_id_of({}) != request_id_of({})


# -- queries -------------------------------------------------------------------------------------


def test_a_query_is_converted() -> None:
    text = "limit=7&type=a&type=b&from=x%20y&flag=true&unknown=1"

    assert read_query({"QUERY_STRING": text}, Query) == Query(7, ("a", "b"), "x y", True)


def test_a_day_is_its_beginning() -> None:
    found = read_query({"QUERY_STRING": "until=2026-11-22"}, Query)

    assert found.until == datetime(2026, 11, 22, tzinfo=UTC)


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    type: tuple[str, ...] = ()
    limit: int = 50


@pytest.mark.parametrize("name", ["types", "Limit", "limit[]", "[]", "type[][]"])
def test_where_unknown_parameters_are_forbidden_one_is_named(name: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read_query({"QUERY_STRING": f"{name}=5"}, Strict)

    assert str(refused.value) == f"{name}: there is no such parameter; there are type, limit."


def test_what_passes_caches_is_not_unknown() -> None:
    text = "_=1&_t=2&t=3&cb=4&nocache=5&type[]=a"

    assert read_query({"QUERY_STRING": text}, Strict) == Strict(("a",))


@pytest.mark.parametrize("value", ["", "undefined", "null"])
def test_a_variable_without_a_value_is_not_given(value: str) -> None:
    text = f"limit={value}&type={value}&type=a&from={value}&until={value}&flag={value}&limit=3"

    assert read_query({"QUERY_STRING": text}, Query) == Query(3, ("a",))


@pytest.mark.parametrize("text", ["1e1", "1.0", "+1", " 1", "1_0", "0x1", "\u0661", "1" * 31, ""])
def test_a_whole_number_has_digits_only(text: str) -> None:
    with pytest.raises(BadRequest, match=r"^id: must be a whole number"):
        read_value(text, int, "id")


def test_text_with_nul_is_refused() -> None:
    with pytest.raises(BadRequest, match=r"^type: must not hold NUL"):
        read_query({"QUERY_STRING": "type=a%00b"}, Query)


@pytest.mark.parametrize("text", ["_=1732270000", "types=a", "Limit=5", "v=2", "t=1"])
def test_a_parameter_like_none_is_ignored(text: str) -> None:
    assert read_query({"QUERY_STRING": text}, Query) == Query()


def test_an_empty_query_has_the_defaults() -> None:
    assert read_query({}, Query) == Query()


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("limit=0", "limit"),
        ("limit=abc", "limit"),
        ("limit=1&limit=2", "limit"),
        ("flag=perhaps", "flag"),
        ("flag=NULL", "flag"),
        ("until=Null", "until"),
        ("limit=1e1", "limit"),
        ("until=0.5", "until"),
        ("until=2026-13-01T00:00:00Z", "until"),
        ("from=a&from=b", "from"),
    ],
)
def test_a_value_that_does_not_fit_is_named(text: str, field: str) -> None:
    with pytest.raises(BadRequest, match=f"^{field}:"):
        read_query({"QUERY_STRING": text}, Query)


@pytest.mark.parametrize("text", ["a=%ff", "&".join("a=1" for _ in range(101))])
def test_a_query_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        read_query({"QUERY_STRING": text}, Query)


def test_a_single_value_is_named_too() -> None:
    with pytest.raises(BadRequest, match=r"^id: must be a whole number"):
        convert("x", int, "id")


# -- bodies --------------------------------------------------------------------------------------


def test_a_body_is_decoded() -> None:
    body = json.dumps({"name": "x", "inner": {"n": 5}, "more": 1}).encode()

    assert read_body(environ(body), Body, 1000) == Body("x", Inner(5))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{}", "name: required."),
        (b'{"name":""}', "name: must not be empty."),
        (b'{"name":5}', "name: must be text."),
        (b'{"name":"x","inner":{"n":"y"}}', "inner.n: must be a whole number."),
        (b"[]", "body: must be a JSON object."),
        (b"", "The body is not JSON."),
        (b"{", "The body is not JSON."),
        (b"\xff", "The body is not JSON."),
    ],
)
def test_a_body_that_does_not_fit_says_which_field(body: bytes, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read_body(environ(body), Body, 1_000_000)

    assert str(caught.value) == message


def test_a_route_without_a_body_ignores_it() -> None:
    assert read_body(environ(b"whatever"), None, 1000) is None


@pytest.mark.parametrize(
    "kind",
    ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"'],
)
def test_json_is_taken(kind: str) -> None:
    check_content_type({"CONTENT_TYPE": kind})


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/jsonp",
        "text/plain; application/json",
        "application/json; charset=latin-1",
    ],
)
def test_anything_else_is_415(kind: str) -> None:
    with pytest.raises(NotJson):
        check_content_type({"CONTENT_TYPE": kind})


def test_a_body_over_the_limit_is_refused_before_it_is_read() -> None:
    source = environ(CONTENT_LENGTH="1001")

    with pytest.raises(BodyTooLarge):
        read_body(source, Body, 1000)
    assert source["wsgi.input"].tell() == 0


def test_a_body_of_unknown_length_is_refused_once_it_is_over_the_limit() -> None:
    source = environ(b"x" * 500_000, CONTENT_LENGTH="")

    with pytest.raises(BodyTooLarge):
        read_body(source, Body, 1000)
    assert source["wsgi.input"].tell() < 500_000


def test_a_body_that_breaks_off_is_400_and_ends_the_connection() -> None:
    class Broken:
        def read(self, _size: int) -> bytes:
            raise OSError

    with pytest.raises(BadRequest) as caught:
        read_body(environ() | {"wsgi.input": Broken()}, Body, 1000)

    assert ("Connection", "close") in caught.value.headers


def test_a_body_that_does_not_come_is_408() -> None:
    class Slow:
        def read(self, _size: int) -> bytes:
            gevent.sleep(5)
            return b""

    with pytest.raises(TooSlow):
        read_body(environ() | {"wsgi.input": Slow()}, Body, 1000, 0.01)


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"name":' * 100_000])
def test_a_body_nested_without_end_is_400(body: bytes) -> None:
    with pytest.raises(BadRequest):
        read_body(environ(body), Body, 1_000_000)


class Stop(msgspec.Struct):
    reason: str
    level: Any = "halt"


SMALL, LARGE = 0, MAX_LOADED_CHARS


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('"level": "reduce", "reason": "x"', "x"),
        ('"level": "reduce", "reason": "\\u00e9"', "\xe9"),
        ('"level": "reduce", "other": [1], "reason": "x"', "x"),
        ('"level": "reduce", "other": NaN, "reason": "x"', "x"),
        ('"level": "reduce", "other": -Infinity, "reason": "x"', "x"),
        ('"level": "reduce", "other": "\\ud800", "reason": "x"', "x"),
        ('"level": "reduce", "other": "\\uD800", "reason": "x"', "x"),
        ('"level": "reduce", "other": \xff, "reason": "x"'.replace("\xff", "9" * 5_000), "x"),
    ],
)
def test_a_lenient_body_of_any_size_says_the_same(text: str, reason: str, size: int) -> None:
    body = f'{{"padding": "{"x" * size}", {text}}}'.encode()

    assert read_lenient_body(environ(body), Stop, 1_000_000) == Stop(reason, "reduce")


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"padding": "%s"}', "reason: required."),
        ('{"padding": "%s", "reason": [1]}', "reason: must be text."),
        ('["%s"]', "body: must be a JSON object."),
        ('{"padding": "%s", "reason": "x"', "The body is not JSON."),
    ],
)
def test_a_lenient_body_of_any_size_that_says_nothing_is_400(
    body: str, message: str, size: int
) -> None:
    with pytest.raises(BadRequest) as found:
        read_lenient_body(environ((body % ("x" * size)).encode()), Stop, 1_000_000)

    assert found.value.message == message


def test_a_lenient_body_does_not_make_lists_of_a_megabyte() -> None:
    for name, document in costly_json(1024 * 1024):
        body = b'{"reason": "x", "level": ' + document + b"}"
        began = time.thread_time()
        with suppress(BadRequest):
            read_lenient_body(environ(body), Stop, 2 * 1024 * 1024)
        assert time.thread_time() - began < 0.04 * time_scale(), name
