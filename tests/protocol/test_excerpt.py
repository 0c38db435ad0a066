import tracemalloc
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import pytest
from orchestrator.protocol.excerpt import excerpt, shortened


class Struct(msgspec.Struct):
    channel: str
    payload: bytes


class Named(NamedTuple):
    channel: str


@dataclass
class Data:
    a: int
    secret: str = field(repr=False)


@pytest.mark.parametrize(
    "value",
    ["text", b"bytes", 1, None, 1.5, [1, "a", [b"c"]], {"a": {"b": [1]}}, (1, 2), [], {}, ()],
)
def test_what_fits_is_its_repr(value: object) -> None:
    assert excerpt(value) == repr(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Struct("a.b", b"{}"), "Struct(channel='a.b', payload=b'{}')"),
        (Data(1, "hidden"), "Data(a=1)"),
        (Named("a.b"), "Named('a.b')"),
        ({1}, "set(1)"),
        (OrderedDict(a=1), "{'a': 1}"),
        (10**5_000, "<int>"),
        (Struct, repr(Struct)),
    ],
    ids=["struct", "dataclass", "named", "set", "mapping", "digits", "class"],
)
def test_objects_have_their_names(value: object, text: str) -> None:
    assert excerpt(value) == text


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


HUGE: dict[str, Callable[[], object]] = {
    "text": lambda: "x" * 4_000_000,
    "bytes": lambda: b"\0" * 4_000_000,
    "bytearray": lambda: bytearray(4_000_000),
    "texts": lambda: ["x" * 1_000] * 100_000,
    "empty": lambda: [""] * 1_000_000,
    "pairs": lambda: dict.fromkeys(range(100_000)),
    "structs": lambda: (Struct("x" * 1_000_000, b"y" * 1_000_000),) * 100,
    "deep": lambda: nested(10_000),
}


@pytest.mark.parametrize("kind", HUGE)
def test_what_is_huge_is_cut_at_the_cost_of_what_is_shown(kind: str) -> None:
    value = HUGE[kind]()
    tracemalloc.start()
    try:
        text = excerpt(value)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(text) == 500
    assert text[-1] == "…"
    assert peak_bytes < 1_000_000


@pytest.mark.parametrize(("text", "cut"), [("abc", "abc"), ("abcd", "ab…"), ("", "")])
def test_a_text_is_cut_at_its_limit(text: str, cut: str) -> None:
    assert shortened(text, 3) == cut
    assert excerpt([text], 1) == "…"
