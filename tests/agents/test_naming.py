import pytest
from orchestrator.agents import BadAgent
from orchestrator.agents.naming import checked_id, kebab_case


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("QuotesAgent", "quotes-agent"),
        ("Prices", "prices"),
        ("VWAPAgent", "vwapagent"),
        ("Top10Movers", "top10-movers"),
    ],
)
def test_a_class_name_becomes_words_with_dashes(name: str, expected: str) -> None:
    assert kebab_case(name) == expected


@pytest.mark.parametrize("agent_id", ["a", "x" * 128, "prices-1", "desk/eu:2"])
def test_an_id_of_visible_characters_is_taken_as_it_is(agent_id: str) -> None:
    assert checked_id(agent_id) == agent_id


@pytest.mark.parametrize("agent_id", ["", "x" * 129, "two words", "all*", "ümlaut", "line\n"])
def test_an_id_that_no_channel_could_have_is_refused(agent_id: str) -> None:
    with pytest.raises(BadAgent, match="cannot be an agent's id"):
        checked_id(agent_id)
