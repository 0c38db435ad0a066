import json

import pytest
from orchestrator.protocol.json_object import (
    clean_text,
    count_in,
    read_object,
    text_in,
    write_object,
)


def test_an_object_is_read_from_bytes_and_text() -> None:
    assert read_object(b'{"a": [1, "\xc3\xa9"]}') == {"a": [1, "é"]}
    assert read_object('{"a": 1}') == {"a": 1}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b'"text"',
        b"{",
        b'{"a": 1} x',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": "\xff"}',
        b'\xef\xbb\xbf{"a": 1}',
        '{"a": 1}'.encode("utf-16"),
        '{"a": 1}'.encode("utf-16-le"),
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"a": ' + b"9" * 5_000 + b"}",
    ],
    ids=lambda data: repr(data[:20]),
)
def test_anything_else_is_none(data: bytes) -> None:
    assert read_object(data) is None


def test_of_repeated_names_none_is_taken() -> None:
    assert read_object('{"a": 1, "b": 2, "a": 3}') == {"b": 2}
    assert read_object('{"x": {"a": 1, "a": 1}, "b": 2}') == {"x": {}, "b": 2}


def test_many_repeated_names_are_read_in_no_time() -> None:
    data = "{" + ",".join(f'"k{number % 50_000}": 1' for number in range(100_000)) + "}"

    assert read_object(data) == {}


def test_written_objects_are_compact_utf8() -> None:
    assert write_object({"a": "é", "b": None}) == b'{"a":"\xc3\xa9","b":null}'


def test_nan_is_not_written() -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_object({"a": float("nan")})


def test_text_is_a_string_that_is_not_blank() -> None:
    fields = {"good": " x ", "blank": " \n", "number": 1, "none": None}

    assert {name: text_in(fields, name) for name in (*fields, "absent")} == {
        "good": " x ",
        "blank": None,
        "number": None,
        "none": None,
        "absent": None,
    }


@pytest.mark.parametrize("value", [0, 1, 2**53 - 1])
def test_a_count_is_a_whole_number(value: int) -> None:
    assert count_in({"n": value}, "n") == value


@pytest.mark.parametrize("value", [-1, 2**53, 1.0, True, False, "1", None])
def test_anything_else_is_no_count(value: object) -> None:
    assert count_in({"n": value}, "n") is None


def test_text_is_cut_and_what_cannot_be_stored_is_replaced() -> None:
    assert clean_text("abc", 2) == "ab"
    assert clean_text("abc", 3) == "abc"
    assert clean_text("a\0b", 10) == "a\N{REPLACEMENT CHARACTER}b"
    assert clean_text("a\ud800b", 10) == "a?b"
    assert clean_text("日本\n", 10) == "日本\n"


def test_cleaned_text_can_always_be_written() -> None:
    assert json.loads(write_object({"a": clean_text("\ud83d\0\x07", 9)})) == {
        "a": "?\N{REPLACEMENT CHARACTER}\x07"
    }
