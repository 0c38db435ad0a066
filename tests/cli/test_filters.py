from typing import Any

import click
import pytest
from orchestrator.cli.errors import BadUsage
from orchestrator.cli.filters import Filter, filter_options


def filter_of(*words: str) -> Filter:
    """What a command gets for these words."""
    got: list[Filter] = []

    @click.command()
    @filter_options
    def command(**given: Any) -> None:
        got.append(given["wanted"])

    command.main(list(words), standalone_mode=False)
    return got[0]


def test_words_become_one_filter() -> None:
    found = filter_of(
        *("strategy.*", "--topic", "risk.*", "--not", "heartbeat", "--not", "data.*"),
        *("--where", "data.score >= 0.8", "--where", "data.x == 1", "--severity", "warning"),
    )

    assert found.types == ("strategy.*", "risk.*")
    assert found.where == (
        "data.score >= 0.8 and data.x == 1"
        ' and topic != "heartbeat" and topic != "data.*" and severity >= "warning"'
    )


def test_source_and_trace_are_parameters_of_pages_and_terms_for_live_events() -> None:
    found = filter_of("--source", "dev-1", "--trace", "c-1", "--where", "data.x == 1")

    assert found.query() == {
        "type": None,
        "source": "dev-1",
        "from": None,
        "to": None,
        "correlation_id": "c-1",
        "where": "data.x == 1",
    }
    assert found.whole == 'data.x == 1 and source == "dev-1" and trace == "c-1"'


def test_a_source_may_be_a_pattern() -> None:
    found = filter_of("--source", "quotes-*")

    assert (found.source, found.where) == (None, 'source == "quotes-*"')


def test_no_words_are_no_filter() -> None:
    assert filter_of() == Filter()
    assert Filter().whole is None


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (["--where", "score > 1"], "expected topic, source"),
        (["--where", ""], "not the end"),
        (["--not", "*a" * 17], "at most 16 stars"),
        ([word for n in range(17) for word in ("--not", f"x{n}")], "at most 16 comparisons"),
    ],
)
def test_what_cannot_be_read_says_where(words: list[str], cause: str) -> None:
    with pytest.raises(BadUsage) as caught:
        filter_of(*words)

    assert cause in caught.value.cause
    assert "--where 'data.symbol" in caught.value.advice
