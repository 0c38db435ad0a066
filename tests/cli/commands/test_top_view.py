from typing import Any

import pytest
from orchestrator.cli.commands.top_view import View, pressed, shown

AGENTS = [
    {"id": "a", "liveness": "up", "agent_group": "signals", "seconds_since_beat": 1},
    {"id": "b", "liveness": "down", "agent_group": "execution", "seconds_since_beat": 40},
    {"id": "c", "liveness": "up", "agent_group": "execution", "seconds_since_beat": None},
]
TOPICS = [
    {"type": "x", "count": 5, "per_minute": 1},
    {"type": "y", "count": 3, "per_minute": 9.5},
]
DATA: dict[str, Any] = {"agents": AGENTS, "topics": TOPICS}


def after(keys: str, view: View | None = None) -> View:
    found = view or View()
    for key in keys:
        pressed_view = pressed(found, key)
        assert pressed_view is not None
        found = pressed_view
    return found


def names(keys: str) -> list[str]:
    rows, _, name = shown(after(keys), DATA)
    return [str(row[name]) for row in rows]


@pytest.mark.parametrize(
    ("keys", "order", "found"),
    [
        ("", "trouble", ["b", "a", "c"]),
        ("s", "id", ["a", "b", "c"]),
        ("ss", "group", ["b", "c", "a"]),
        ("sss", "beat", ["b", "a", "c"]),
        ("ssss", "trouble", ["b", "a", "c"]),
        ("t", "rate", ["y", "x"]),
        ("ts", "count", ["x", "y"]),
        ("tss", "type", ["x", "y"]),
        ("sstt", "trouble", ["b", "a", "c"]),
    ],
)
def test_keys_choose_what_is_shown_and_its_order(keys: str, order: str, found: list[str]) -> None:
    assert after(keys).order_name == order
    assert names(keys) == found


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ("fEXEC\r", ["b", "c"]),
        ("/down\n", ["b"]),
        ("fdownx\x7f\r", ["b"]),
        ("fdown\x1b", ["b", "a", "c"]),
        ("fdown\r\x1b", ["b", "a", "c"]),
        ("fq\r", []),
        ("tfY\r", ["y"]),
    ],
)
def test_a_filter_is_typed_and_cleared(keys: str, found: list[str]) -> None:
    assert names(keys) == found


def test_a_filter_has_a_bound_and_no_control_characters() -> None:
    assert after("f" + "a" * 100 + "\x01").text == "a" * 60


def test_q_ends_and_other_keys_do_nothing() -> None:
    assert pressed(View(), "q") is None
    assert after("zQ9") == View()
    assert after(" ").frozen
    assert after("  ") == View()


def test_topics_that_have_not_been_read_are_no_rows() -> None:
    assert shown(after("t"), {"agents": AGENTS, "topics": None})[0] == []


def test_the_last_line_says_what_is_shown() -> None:
    assert View().words(3) == "3 agents by trouble   t s f space q"
    assert after("t").words(None) == "topics not read yet, by rate   t s f space q"
    assert after("tfab").words(3) == "filter: ab_"
    assert after("fab\r ").words(1).startswith("1 agent by trouble, filter 'ab', frozen")
