import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from orchestrator.killswitch.rules.settings import MAX_PATTERNS, MAX_RULES, RuleSettings
from orchestrator.protocol.targets import Level, Target
from orchestrator.settings import Settings
from pydantic import ValidationError


def rule(**fields: Any) -> RuleSettings:
    return RuleSettings.model_validate({"kind": "messages", "messages": 3} | fields)


def test_by_default_there_are_none() -> None:
    assert Settings().rules == {}


def test_a_rule_stops_everything_unless_it_says_less() -> None:
    assert rule().target("a", "g") == Target(Level.HALT, "all")
    assert rule(scope="agent").target("a", "g") == Target(Level.HALT, "agent:a")
    assert rule(scope="group", level="reduce").target("a", "g") == Target(Level.REDUCE, "group:g")
    assert rule(scope="group:desk").target("a", "g") == Target(Level.HALT, "group:desk")


@pytest.mark.parametrize(("agent", "group"), [(None, None), ("a\0b", None), ("x" * 600, "")])
def test_whoever_cannot_be_named_stops_everything(agent: str | None, group: str | None) -> None:
    assert rule(scope="agent").target(agent, group) == Target()
    assert rule(scope="group").target(agent, group) == Target()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"messages": None}, "messages = N"),
        ({"scope": "everybody"}, "scope all, agent, group"),
        ({"per": "all", "scope": "agent"}, "another scope than agent"),
        ({"window_s": 0.01}, "greater than or equal to 0.1"),
        ({"kind": "silence"}, "'acting' or 'messages'"),
        ({"channels": ["*" * 17]}, "at most 16 stars"),
        ({"groups": ["g"] * (MAX_PATTERNS + 1)}, "at most"),
        ({"limit": 3}, "Extra inputs"),
    ],
)
def test_what_means_nothing_is_refused(fields: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        rule(**fields)


def test_acting_allows_no_message_unless_it_says_so() -> None:
    assert RuleSettings(kind="acting").limit == 0
    assert RuleSettings(kind="acting", messages=2).limit == 2


def test_the_number_of_rules_is_bounded() -> None:
    with pytest.raises(ValidationError, match="rules"):
        Settings(rules={f"r{number}": rule() for number in range(MAX_RULES + 1)})


def test_the_page_s_example_is_accepted() -> None:
    page = (Path(__file__).parents[3] / "docs" / "killswitch.md").read_text()
    [example] = [
        text for text in re.findall(r"```toml\n(.*?)```", page, re.DOTALL) if "[rules." in text
    ]

    rules = Settings(**tomllib.loads(example)).rules

    assert {name: one.kind for name, one in rules.items()} == {
        "flood": "messages",
        "obey": "acting",
        "errors": "messages",
    }
