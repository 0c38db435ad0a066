import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchestrator.protocol.patterns import (
    MAX_STARS,
    TypeMatcher,
    checked,
    compiled,
    matches,
)
from processor import time_scale
from quiet_clock import quiet_s

# The page's filter is held to the same cases (tests/browser/unit/filter.test.mjs).
CASES = json.loads(Path(__file__).with_name("patterns.json").read_text())
LIMIT_S = 0.005


def fits(pattern: str, name: str) -> bool:
    """The rule itself, place by place: which ends of the pattern so far may the name have."""
    ends = [True, *(False for _ in name)]
    for one in pattern:
        if one == "*":
            ends = [any(ends[: place + 1]) for place in range(len(ends))]
        else:
            ends = [False, *(ends[at] and name[at] == one for at in range(len(name)))]
    return ends[-1]


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        *((case["pattern"], case["name"], case["matches"]) for case in CASES),
        ("risk.*", "risk.a.b", True),
        ("a.b", "axb", False),
        ("*.1m", "data.AAPL.1m", True),
        ("data.*.1m", "data.market.AAPL.5m", False),
        ("risk.killswitch", "risk.killswitch.x", False),
        ("*\n*", "a\nb", True),
        ("a*b*b", "ab", False),
        ("ab*b*bc", "abc", False),
    ],
)
def test_only_the_star_is_special(pattern: str, name: str, *, expected: bool) -> None:
    assert matches(pattern, name) is expected


@given(st.text("ab.*", max_size=12), st.text("ab.", max_size=16))
def test_a_name_matches_as_the_rule_says(pattern: str, name: str) -> None:
    assert matches(pattern, name) is fits(pattern, name)


@given(st.lists(st.text(), min_size=2, max_size=6), st.lists(st.text(), min_size=5, max_size=5))
def test_stars_stand_for_any_runs_of_characters(parts: list[str], runs: list[str]) -> None:
    parts = [part.replace("*", "") for part in parts]
    name = parts[0] + "".join(run + part for run, part in zip(runs, parts[1:], strict=False))

    assert matches("*".join(parts), name)


@pytest.mark.timing
def test_no_pattern_takes_long() -> None:
    hard = [(case["pattern"], case["name"]) for case in CASES]
    hard += [("*a" * MAX_STARS + "*b", "a" * 512), ("*" + "a" * 99 + "b*" + "a" * 99, "a" * 512)]

    started = quiet_s()
    for pattern, name in hard:
        compiled(pattern)(name)

    assert quiet_s() - started < LIMIT_S * time_scale()


def test_a_pattern_has_at_most_sixteen_stars() -> None:
    assert checked("*a" * 16) == "*a" * 16
    with pytest.raises(ValueError, match="at most 16 stars"):
        checked("*a" * 17)


def test_a_matcher_names_the_first_pattern_that_fits() -> None:
    matcher = TypeMatcher(["risk.kill*", "risk.*"])

    assert [matcher.first(n) for n in ("risk.killswitch", "risk.limit", "x")] == [
        "risk.kill*",
        "risk.*",
        None,
    ]
    assert matcher("risk.limit")
    assert not matcher("x")


def test_a_matcher_does_not_remember_names_for_ever() -> None:
    matcher = TypeMatcher(["*"])
    for number in range(10_005):
        matcher(str(number))
        assert len(matcher._first) <= 10_000
