"""What PostgreSQL can keep, against PostgreSQL itself."""

import json
import time
from itertools import pairwise

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from orchestrator.actors.payloads import MAX_DEPTH, MAX_PAYLOAD_BYTES, examine, examine_in_turns
from processor import time_scale

REFUSED = {
    b"": "not JSON",
    b"{": "not JSON",
    b"1,2": "not JSON",
    b'{"a":1} x': "not JSON",
    b'{"a":NaN}': "not JSON",
    b'{"a":01}': "not JSON",
    b'{"a":"x\ny"}': "not JSON",
    b'{"a":"\x00"}': "not JSON",
    b'{"a":"\\ud800"}': "not JSON",
    b'{"a":"\\ud800\\u0041"}': "not JSON",
    b'{"\\udc00":1}': "not JSON",
    b'{"a":"\xff"}': "not UTF-8",
    b'{"\xed\xa0\x80":1}': "not UTF-8",
    b'{"source":"\xff"}': "not UTF-8",
    b'{"a":"\\u0000"}': "contains \\u0000",
    b'{"a":"\\\\\\u0000"}': "contains \\u0000",
    b'{"source":"\\u0000"}': "contains \\u0000",
    b"[" * 513 + b"]" * 513: "nested deeper than 512",
    b"[" * 100_000: "nested deeper than 512",
    b'{"a":1e131072}': "a number out of range",
    b'{"a":1E+131072}': "a number out of range",
    b'{"a":1e-16384}': "a number out of range",
    b'{"a":1e99999999999999999999}': "a number out of range",
    b"[" + b"1" * 131_073 + b"]": "a number out of range",
    b"[0." + b"1" * 16_384 + b"]": "a number out of range",
    b'"' + b"x" * MAX_PAYLOAD_BYTES + b'"': "larger than",
}

KEPT = [
    b"{}",
    b"null",
    b"5",
    b'"text"',
    b" [1, 2]\n",
    b'{"a":"\\\\u0000"}',
    b'{"a":"\\ud83d\\ude00"}',
    b'{"a":1,"a":2}',
    b"[" * MAX_DEPTH + b"]" * MAX_DEPTH,
    b"[" + b"[]," * 1000 + b"[]]",
    b'["' + b"[" * 1000 + b'"]',
    b'{"a":1e131071}',
    b'{"a":1e-16383}',
    b'{"a":0e131075}',
    b'{"a":0.0001e131075}',
    b'{"e0000":"1e999999"}',
    b"[" + b"1" * 131_072 + b"]",
]


@pytest.mark.parametrize(("payload", "reason"), REFUSED.items(), ids=range(len(REFUSED)))
def test_what_cannot_be_kept_is_refused_with_a_reason(payload: bytes, reason: str) -> None:
    found = examine(payload)

    assert found.source is None
    assert found.reason is not None
    assert found.reason.startswith(reason)


@pytest.mark.parametrize("payload", KEPT, ids=range(len(KEPT)))
def test_what_can_be_kept_is_taken(payload: bytes) -> None:
    assert examine(payload).reason is None


@pytest.mark.parametrize(
    ("payload", "source"),
    [
        (b'{"source":"s","agent_id":"a"}', "s"),
        (b'{"agent_id":"a"}', "a"),
        (b'{"source":"","agent_id":"a"}', "a"),
        (b'{"source":5,"agent_id":"a"}', "a"),
        (b'{"source":{"x":1}}', None),
        (b'{"other":"x"}', None),
        (b'["source"]', None),
    ],
)
def test_the_source_is_the_first_non_empty_string(payload: bytes, source: str | None) -> None:
    assert examine(payload).source == source


def _takes(connection: psycopg.Connection, payload: bytes) -> bool:
    try:
        with connection.transaction():
            connection.execute("SELECT %s::text::jsonb", [payload.decode()])
    except (psycopg.DataError, psycopg.errors.ProgramLimitExceeded, UnicodeDecodeError):
        return False
    except psycopg.errors.StatementTooComplex:  # deeper than its stack
        return False
    return True


@pytest.mark.db
def test_postgresql_agrees_on_the_corpus(pg_url: str) -> None:
    with psycopg.connect(pg_url) as connection:
        kept = [payload for payload in KEPT if not _takes(connection, payload)]
        refused = [
            payload
            for payload, reason in REFUSED.items()
            if reason not in ("larger than", "nested deeper than 512")
            and _takes(connection, payload)
        ]

    assert (kept, refused) == ([], [])


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
number_texts = st.builds(
    lambda integer, fraction, exponent: f"{integer}{fraction}e{exponent}".encode(),
    st.integers(-1000, 1000),
    st.sampled_from(["", ".0", ".5", ".000123"]),
    st.integers(-17_000, 140_000),
)


@pytest.mark.db
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.one_of(
        json_values.map(lambda value: json.dumps(value).encode()),
        json_values.map(
            lambda value: json.dumps(value, ensure_ascii=False).encode(errors="replace")
        ),
        number_texts,
        st.binary(max_size=50),
        st.text(max_size=50).map(lambda text: text.encode(errors="surrogatepass")),
        st.text(alphabet='\\u0{}[]",:de8', max_size=20).map(str.encode),
    )
)
@example(b"0e-17000")
@example(b'"\\\\u0000"')
def test_we_never_let_through_what_postgresql_refuses(pg_url: str, payload: bytes) -> None:
    found = examine(payload)
    with psycopg.connect(pg_url, autocommit=True) as connection:
        taken = _takes(connection, payload)

    assert (found.reason is None) == taken


MEGABYTE = 1024 * 1024
CRAFTED = {
    "backslashes": b'"' + b"\\\\" * (MEGABYTE // 2 - 1) + b'"',
    "strings": b"[" + b'"",' * (MEGABYTE // 3 - 2) + b'""]',
    "brackets": b"[" + b"[]," * (MEGABYTE // 3 - 2) + b"[]]",
    "brackets in strings": b"[" + b'"[",' * (MEGABYTE // 4 - 2) + b'"["]',
    "exponents": b"[" + b"1e0000," * (MEGABYTE // 7 - 2) + b"1]",
    "digits": b"1" * MEGABYTE,
    "escaped NUL that is none": b'"' + b"\\\\u0000" * (MEGABYTE // 7 - 2) + b'"',
    "deep": b"[" + (b"[" * 500 + b"]" * 500 + b",") * 1000 + b"0]",
    "a number of long fractions": b'{"seq":[' + b"1.7976931348623157e308," * 45_000 + b"1]}",
    "a source of lists": b'{"source":[' + b"[]," * 340_000 + b"1]}",
}


def turns_s(payload: bytes) -> list[float]:
    """How long each turn took, in processor time."""
    moments = [time.thread_time()]
    examine_in_turns(payload, lambda: moments.append(time.thread_time()))
    moments.append(time.thread_time())
    return [after - before for before, after in pairwise(moments)]


@pytest.mark.timing
@pytest.mark.parametrize("name", CRAFTED)
def test_a_payload_made_to_be_slow_is_looked_at_in_short_turns(name: str) -> None:
    assert examine_in_turns(CRAFTED[name], lambda: None) == examine(CRAFTED[name])

    # A turn that is too long is so each time.
    runs = [turns_s(CRAFTED[name]) for _ in range(3)]

    assert max(map(min, zip(*runs, strict=True))) < 0.010 * time_scale()


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b'["' + b"\\" * 40_000 + b'",1e131072]', "a number out of range"),
        (b'["' + b'\\"[' * 40_000 + b'"]', None),
        (b"[" * 513 + b'"' + b"]" * 40_000 + b'"' + b"]" * 513, "nested deeper than 512"),
        (b"[" + b"1," * 20_000 + b"0." + b"1" * 16_384 + b"]", "a number out of range"),
        (b"[0." + b"1" * 16_000 + b"e-999]", "a number out of range"),
        (b'"' + b"1" * 200_000 + b'"', None),
    ],
)
def test_what_lies_across_slices_is_judged_as_a_whole(payload: bytes, reason: str | None) -> None:
    assert examine(payload).reason == reason
