"""Keys as they are written, and which of them hold tables or lists."""

import pytest
from orchestrator.settings import Settings
from orchestrator.settings.keys import all_keys, is_table_or_list, keys_at, leaves


def test_leaves_have_their_paths_and_an_empty_table_is_one() -> None:
    tree = {"a": {"b": 1, "c": {"d": (2,)}}, "e": {}}

    assert list(leaves(tree)) == [(("a", "b"), 1), (("a", "c", "d"), (2,)), (("e",), {})]


def test_a_table_below_a_name_that_people_choose_has_its_keys() -> None:
    assert "mode" in keys_at(Settings, ("agents", "quotes-agent"))
    assert "tokens" in keys_at(Settings, ("http", "auth"))


def test_an_unknown_table_has_those_of_the_one_around_it() -> None:
    assert keys_at(Settings, ("http", "no-such")) == keys_at(Settings, ("http",))


def test_all_keys_have_their_sections() -> None:
    assert {"redis.url", "http.port", "journal.keep_hours"} <= set(all_keys(Settings))


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("http", True),
        ("http.port", False),
        ("http.allowed_hosts", True),
        ("http.auth.tokens", True),
        ("bus.data_patterns", True),
        ("registry.group_timeouts", True),
        ("registry.group_timeouts.slow", False),
        ("retention", True),
        ("retention.data", False),
        ("agents.quotes-agent", True),
        ("agents.quotes-agent.mode", False),
        ("agents.quotes-agent.env", True),
        ("agents.quotes-agent.env.symbols", False),
        ("http.no-such", False),
        ("no-such.key", False),
    ],
)
def test_tables_and_lists_are_known(key: str, expected: bool) -> None:
    assert is_table_or_list(Settings, tuple(key.split("."))) is expected
