import json
import operator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orchestrator.protocol.where import (
    MAX_CHARS,
    MAX_DEPTH,
    MAX_TERMS,
    BadWhere,
    Subject,
    severity_of,
    term,
    where,
)
from processor import time_scale
from quiet_clock import quiet_s

# The page's rule is held to the same cases (tests/browser/unit/preview.test.mjs).
SEVERITIES = json.loads(Path(__file__).with_name("severities.json").read_text())
LIMIT_S = 0.25

PAYLOAD = {
    "symbol": "AAPL",
    "score": 0.9,
    "n": 5,
    "yes": True,
    "none": None,
    "a": {"b-c": {"1": 7}},
}


def subject(
    data: Any = PAYLOAD, event_type: str = "strategy.x", source: str | None = "s-1"
) -> Subject:
    return Subject(event_type, source, json.dumps(data).encode())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('data.symbol == "AAPL" and data.score >= 0.8', True),
        ("payload.symbol=='AAPL'and data.score<1", True),
        ("data.score > 0.9", False),
        ("data.n == 5.0 and data.n<=5 and data.n >= 5 and data.n!=4", True),
        ("data.a.b-c.1 == 7", True),
        ('data."a"."b-c".1 > 6.9e0', True),
        ("data.yes == true", True),
        ("data.yes != false", True),
        ("data.none == null", True),
        ("data.none != null", False),
        ("data.n != null", True),
        ('data.symbol < "B" and data.symbol > "A"', True),
        ('topic == "strategy.*" and topic != "strategy.y"', True),
        ('source == "s-*"', True),
        ('source != "s-1"', False),
        ('severity == "info" and severity < "warning"', True),
    ],
)
def test_a_comparison_holds_or_not(text: str, *, expected: bool) -> None:
    assert where(text)(subject()) is expected


@pytest.mark.parametrize("sign", ["==", "!=", "<", "<=", ">", ">="])
def test_what_is_not_there_or_of_another_kind_compares_false(sign: str) -> None:
    for text in (f"data.nope {sign} 1", f"data.n.deeper {sign} 1", f'data.n {sign} "5"'):
        assert not where(text)(subject())
    assert not where(f"data.yes {sign} 1")(subject())
    assert not where(f"data.a {sign} 1")(subject())
    assert not where(f"data {sign} 1")(Subject("x", None, b"no JSON"))
    assert not where(f"data {sign} 1")(Subject("x", None, b"[" * 100_000))


def test_absent_is_neither_null_nor_anything_else() -> None:
    for text in ("data.nope == null", "data.nope != null", 'source == "*"', 'source != "a"'):
        assert not where(text)(subject(source=None))


def test_a_payload_need_not_be_an_object() -> None:
    assert where("data >= 3")(subject(4))
    assert where('data == "x"')(subject("x"))
    assert not where('trace == "x"')(subject("x"))


def test_a_heartbeat_is_also_known_by_its_channel() -> None:
    beat = subject({}, "heartbeat", "q-1")

    assert not where('topic != "heartbeat"')(beat)
    assert not where('topic != "heartbeat.*"')(beat)
    assert where('topic == "heartbeat.q-*"')(beat)


def test_a_trace_is_a_chain_of_causes() -> None:
    first, later = {"id": "c-1"}, {"correlation_id": "c-1"}

    assert [where('trace == "c-1"')(subject(one)) for one in (first, later, {})] == [
        True,
        True,
        False,
    ]
    assert where('trace != "c-1"')(subject({}))


@pytest.mark.parametrize("case", SEVERITIES, ids=lambda case: case["type"])
def test_severities_are_the_pages(case: dict[str, Any]) -> None:
    assert severity_of(subject(case["payload"], case["type"])) == case["severity"]
    assert where(f'severity == "{case["severity"]}"')(subject(case["payload"], case["type"]))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected topic, source"),
        ("x == 1", "not 'x' (character 1)"),
        ("data. x == 1", "expected a key, not 'x' (character 7)"),
        ("data.x = 1", "cannot read '= 1' (character 8)"),
        ("data.x == 1 or data.y == 2", "expected `and` or the end, not 'or'"),
        ("data.x == 1 and", "not the end (character 16)"),
        ("data.x == 01", "not '01'"),
        ("data.x == 1e999", "out of range"),
        ("data.x > true", "compared with == or != only"),
        ('topic > "a"', "topic is compared with == or !="),
        ("source == 1", "source is compared with == or !="),
        ('severity == "bad"', 'severity is compared with "info", "warning", "critical"'),
        ('data.x == "\\q"', "no JSON string"),
        ('data.x == "a', "cannot read"),
        ("data.é == 1", "cannot read"),
        (f"topic == '{'*a' * 17}'", "at most 16 stars"),
        ("data" + ".a" * (MAX_DEPTH + 1) + " == 1", f"at most {MAX_DEPTH} keys"),
        (" and ".join(["data.x == 1"] * (MAX_TERMS + 1)), f"at most {MAX_TERMS} comparisons"),
        ("data.x == " + "1" * MAX_CHARS, f"at most {MAX_CHARS} characters"),
    ],
)
def test_what_is_no_filter_says_where_and_why(text: str, said: str) -> None:
    with pytest.raises(BadWhere) as caught:
        where(text)

    assert said in str(caught.value)


def test_the_bounds_themselves_are_allowed() -> None:
    where(" and ".join(["data" + ".a" * MAX_DEPTH + "==1"] * MAX_TERMS))
    where("data.x == " + "1" * (MAX_CHARS - 10))


FEW = "data . a b-c == != < >= and 1 -2.5 1e5 true null topic source severity trace 'y' \"info\""
WORDS = st.sampled_from([*FEW.split(), " ", "\n", '"', "\\"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.text(max_size=60) | st.lists(WORDS, max_size=24).map("".join), JSON)
def test_any_text_is_a_filter_or_says_why_not(text: str, data: Any) -> None:
    with suppress(BadWhere):
        assert where(text)(subject(data)) in (True, False)


@settings(deadline=None)
@given(st.binary(max_size=40))
def test_no_payload_makes_a_test_fail(payload: bytes) -> None:
    everything = 'data.a >= 1 and severity >= "info" and trace != "x" and data != null'

    assert where(everything)(Subject("x", None, payload)) in (True, False)


SIGNS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
KEYS = st.text(max_size=3)
LITERALS = st.none() | st.booleans() | st.integers() | st.floats(-1e9, 1e9) | st.text(max_size=3)


def said_plainly(data: Any, path: list[str], sign: str, literal: Any) -> bool:
    """The rule in other words: by kinds of JSON."""
    for key in path:
        if type(data) is not dict or key not in data:
            return False
        data = data[key]
    if literal is None:
        return (data is None) == (sign == "==")
    numbers = (int, float)
    alike = type(data) is type(literal) or (type(data) in numbers and type(literal) in numbers)
    return alike and bool(SIGNS[sign](data, literal))


@settings(deadline=None)
@given(JSON, st.lists(st.sampled_from("abc"), max_size=3), st.sampled_from(list(SIGNS)), LITERALS)
def test_a_comparison_holds_as_the_rule_says(
    data: Any, path: list[str], sign: str, literal: Any
) -> None:
    if literal is None or isinstance(literal, bool):
        sign = "==" if sign in ("==", "<", "<=") else "!="

    text = term(".".join(["data", *path]), sign, literal)

    assert where(text)(subject(data)) is said_plainly(data, path, sign, literal)


@settings(deadline=None)
@given(KEYS, st.text(max_size=5))
def test_any_key_and_any_text_can_be_written(key: str, value: str) -> None:
    text = term(f"data.{json.dumps(key)}", "==", value)

    assert where(text)(subject({key: value}))
    assert not where(text)(subject({key: value + "."}))


def test_a_field_is_read_once_and_only_if_it_must_be() -> None:
    read: list[Any] = []

    def once(item: Any) -> Any:
        read.append(item)
        return json.loads(item) if isinstance(item, bytes) else item

    payload = b'{"a": 1}'
    one = Subject("risk.x", "s", payload, once)
    assert not where('data.a == 1 and topic == "news.*"')(one)
    assert read == []
    assert where("data.a == 1 and data.a > 0")(one)
    assert where("data.a < 2")(one)
    assert read == [payload, 1]


@pytest.mark.timing
def test_no_filter_takes_long() -> None:
    path = "data" + ".a" * MAX_DEPTH
    hard = [
        " and ".join([f"{path} == 1"] * MAX_TERMS),
        "data.x == '" + "\\" * 900 + "'",
        'data.x == "' + "\\\\" * 400 + '"',
        "data.x == " + "-" * 900,
        "data" + ".1" * 400 + " == 1",
        " " * 990 + "x",
        "data.x == " + "1" * 900 + "e",
    ]

    begun = quiet_s()
    for _ in range(100):
        for text in hard:
            where.cache_clear()
            try:
                compiled = where(text)
            except BadWhere:
                continue
            compiled(subject({"a": {"a": {"a": {"a": 1}}}}))

    assert quiet_s() - begun < LIMIT_S * time_scale()
