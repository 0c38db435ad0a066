import pytest
from orchestrator.cli.errors import BadUsage
from orchestrator.cli.offline.time_range import selected_times


def test_a_time_is_written_as_the_contract_does() -> None:
    since = "2026-01-31T09:30:00+01:00"

    assert selected_times(since, None) == ("2026-01-31T08:30:00.000Z", None)


def test_an_option_that_is_not_a_time_is_named() -> None:
    with pytest.raises(BadUsage, match="--until 'soon' is not a time"):
        selected_times(None, "soon")
