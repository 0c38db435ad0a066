import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchestrator.sql.events.copy_text import copy_field, copy_row


def unescape(field: bytes) -> bytes:
    names = {ord("n"): b"\n", ord("t"): b"\t", ord("r"): b"\r", ord("\\"): b"\\"}
    out, rest = b"", field
    while rest:
        if rest[:1] == b"\\":
            out, rest = out + names[rest[1]], rest[2:]
        else:
            out, rest = out + rest[:1], rest[1:]
    return out


@pytest.mark.parametrize(
    ("plain", "escaped"),
    [
        (b"plain", b"plain"),
        (b"a\tb", b"a\\tb"),
        (b"a\nb\r", b"a\\nb\\r"),
        (b'"\\n"', b'"\\\\n"'),
        (b"\\N", b"\\\\N"),
    ],
)
def test_what_copy_would_read_as_structure_is_escaped(plain: bytes, escaped: bytes) -> None:
    assert copy_field(plain) == escaped


@given(st.binary())
def test_any_bytes_come_back_and_never_break_a_line(value: bytes) -> None:
    field = copy_field(value)

    assert unescape(field) == value
    assert not set(field) & set(b"\t\n\r")


@given(st.text(st.sampled_from('\\\t\n\r"x~ \x7f\x00é'), min_size=1), st.integers(1000, 3000))
def test_long_values_are_escaped_as_short_ones_are(text: str, size: int) -> None:
    value = (text.encode() * size)[:size]

    assert copy_field(value) == b"".join(copy_field(bytes([byte])) for byte in value)


def test_a_row_is_a_line_in_the_order_of_columns() -> None:
    row = copy_row(7, "heartbeat", None, "2026-01-31T09:30:00.123Z", b'{"a":\t1}')

    assert row == b'7\theartbeat\t\\N\t2026-01-31T09:30:00.123Z\t{"a":\\t1}\n'
