import msgspec
import pytest
from orchestrator.agents.errors import BadOptions
from orchestrator.agents.options import NoOptions, read_options


class Some(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    every_s: float = 2.0
    symbols: tuple[str, ...] = ("AAPL",)


def test_what_is_not_given_has_its_default() -> None:
    assert read_options(Some, {"symbols": ["TSLA"]}) == Some(2.0, ("TSLA",))
    assert read_options(Some, None) == Some()


def test_an_unknown_option_is_named_with_those_there_are() -> None:
    with pytest.raises(BadOptions, match="unknown option evry_s; there is every_s, symbols"):
        read_options(Some, {"evry_s": 1})


def test_a_value_of_the_wrong_type_is_named() -> None:
    with pytest.raises(BadOptions, match=r"Expected `float`, got `str`.*every_s"):
        read_options(Some, {"every_s": "often"})


def test_an_agent_without_options_takes_none() -> None:
    assert read_options(NoOptions, {}) == NoOptions()
    with pytest.raises(BadOptions, match="there is none"):
        read_options(NoOptions, {"x": 1})
