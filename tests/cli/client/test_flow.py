from typing import Any

import pytest
from orchestrator.cli.client.flow import figure, flow_of
from orchestrator.cli.client.rest import Client
from orchestrator.cli.errors import Failure

from ..conftest import Double

METRICS = b"""\
# HELP orchestrator_journal_events Events not committed yet.
# TYPE orchestrator_journal_events gauge
orchestrator_journal_events 12.0
orchestrator_persist_behind_seconds 0.25
orchestrator_journal_bytes nonsense
"""


def flow(double: Double) -> Any:
    with Client(double.url, timeout_s=30) as client:
        return flow_of(client)


def test_figures_are_read_off_the_metrics_and_the_types(double: Double) -> None:
    double.answers["/metrics"] = (200, METRICS)
    types = [{"type": "a", "per_minute": 90}, {"type": "b", "per_minute": 30.0}]
    double.answers["/bus/types"] = (200, {"types": types})

    assert flow(double) == {"per_second": 2.0, "behind_events": 12.0, "behind_seconds": 0.25}


def test_what_does_not_answer_is_not_known(double: Double) -> None:
    double.answers["/bus/types"] = (200, {"types": [{"type": "a"}]})

    assert set(flow(double).values()) == {None}


def test_one_who_may_not_see_them_is_told(double: Double) -> None:
    double.answers["/metrics"] = (403, {"error": "Forbidden"})

    with pytest.raises(Failure):
        flow(double)


def test_a_figure_that_is_none_is_not_taken_for_zero() -> None:
    assert figure(METRICS.decode(), "orchestrator_journal_bytes") is None
    assert figure(METRICS.decode(), "orchestrator_journal") is None
