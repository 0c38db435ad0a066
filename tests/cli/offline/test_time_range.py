import pytest
from orchestrator.cli.errors import BadUsage
from orchestrator.cli.offline.time_range import moment_of


def test_a_time_is_written_as_the_contract_does() -> None:
    assert moment_of("--since", "2026-01-31T09:30:00+01:00") == "2026-01-31T08:30:00.000Z"
    assert moment_of("--since", None) is None


def test_what_is_no_time_is_said_with_its_option() -> None:
    with pytest.raises(BadUsage, match="--until 'soon' is no time"):
        moment_of("--until", "soon")
