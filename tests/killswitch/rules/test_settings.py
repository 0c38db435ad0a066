import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from orchestrator.killswitch.rules.settings import MAX_PATTERNS, MAX_RULES, RuleSettings
from orchestrator.protocol.targets import Level, Target
from orchestrator.settings import Settings, SettingsError, load
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
        ({"kind": "loud"}, "'acting', 'messages', 'silence' or 'errors'"),
        ({"channels": ["heartbeat.*"]}, 'expected "heartbeat"'),
        ({"silent_s": 5}, 'silent_s means nothing .*, only with kind = "silence"'),
        ({"from": "09:00"}, "from means nothing"),
        ({"readings": 2}, 'readings means nothing .* kind = "silence" or kind = "errors"'),
        ({"channels": ["*" * 17]}, "at most 16 stars"),
        ({"groups": ["g"] * (MAX_PATTERNS + 1)}, "at most"),
        ({"limit": 3}, "Extra inputs"),
    ],
)
def test_what_means_nothing_is_refused(fields: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        rule(**fields)


SILENCE = {"kind": "silence", "silent_s": 60, "groups": ["ingestion"]}
ERRORS = {"kind": "errors", "errors": ["order.rejected"], "max_share": 0.2, "window_s": 60}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (SILENCE | {"silent_s": None}, "expected silent_s = S"),
        (SILENCE | {"silent_s": 0.5}, "greater than or equal to 1"),
        (SILENCE | {"groups": ["*"]}, "expected whom it watches"),
        (SILENCE | {"zone": "Europe/Berlyn"}, "expected the IANA name of a zone"),
        (SILENCE | {"zone": "../../etc/passwd"}, "expected the IANA name of a zone"),
        (SILENCE | {"zone": "Europe"}, "expected the IANA name of a zone"),
        (SILENCE | {"from": "24:00"}, "should match pattern"),
        (SILENCE | {"to": "9:30"}, "should match pattern"),
        (SILENCE | {"days": []}, "at least 1 item"),
        (SILENCE | {"days": ["monday"]}, "'mon', 'tue'"),
        (SILENCE | {"window_s": 5}, "window_s means nothing"),
        (SILENCE | {"begin": "09:00"}, "Extra inputs"),
        (ERRORS | {"errors": []}, "expected errors = "),
        (ERRORS | {"max_errors": 3}, "max_share = 0.0 to 0.99 or max_errors = N, one of them"),
        (ERRORS | {"max_share": None}, "max_share = 0.0 to 0.99 or max_errors = N, one of them"),
        (ERRORS | {"max_share": 1.0}, "less than or equal to 0.99"),
        (ERRORS | {"max_share": None, "max_errors": 3, "min_events": 5}, "min_events means"),
        ({key: ERRORS[key] for key in ("kind", "errors", "max_share")}, "expected window_s = S"),
        (ERRORS | {"readings": 0}, "greater than or equal to 1"),
        (ERRORS | {"zone": "UTC"}, "zone means nothing"),
    ],
)
def test_of_the_kinds_that_are_read_now_and_then_too(fields: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        RuleSettings.model_validate(fields)


def test_a_limit_is_of_its_kind() -> None:
    assert RuleSettings.model_validate(SILENCE).limit == 60
    assert RuleSettings.model_validate(ERRORS).limit == 0.2
    assert RuleSettings.model_validate(ERRORS | {"max_share": None, "max_errors": 0}).limit == 0


def test_everybody_together_need_not_be_named() -> None:
    assert RuleSettings(kind="silence", silent_s=5, per="all").reads_every_s == 1


def test_hours_are_all_of_them_unless_it_says_which() -> None:
    hours = RuleSettings.model_validate(SILENCE).hours
    some = RuleSettings.model_validate(SILENCE | {"days": ["fri"], "from": "09:30", "to": "16:00"})

    assert (len(hours.days), hours.begin_min, hours.end_min) == (7, 0, 1440)
    assert (some.hours.days, some.hours.begin_min, some.hours.end_min) == (("fri",), 570, 960)


def test_a_check_of_the_settings_says_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "supervisor.toml"
    file.write_text('[rules.quiet]\nkind = "silence"\nsilent_s = 5\n')

    with pytest.raises(SettingsError, match=r"rules\.quiet: expected whom it watches: agents = "):
        load(file, {})


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
        "failures": "messages",
        "feed": "silence",
        "rejects": "errors",
    }
