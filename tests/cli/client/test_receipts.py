import pytest
from orchestrator.cli.client.receipts import follow, is_complete, is_unknown_who
from orchestrator.cli.client.rest import Client

from ..conftest import Double

PATH = "/risk/killswitch"
WAITING = {"status": "active", "complete": False, "agents": {"pending": ["a"]}}


@pytest.mark.parametrize(
    ("changed", "complete"),
    [
        ({}, True),
        ({"complete": False}, False),
        ({"agents": {"pending": ["a"]}}, False),
        ({"agents": {"unreachable": ["a"]}}, False),
        ({"status": "unknown"}, False),
        ({"agents": None}, True),
    ],
)
def test_complete_is_what_is_known_to_have_halted(
    changed: dict[str, object], complete: bool
) -> None:
    assert is_complete({"status": "active", "complete": True, "agents": {}} | changed) is complete


def test_one_look_is_enough_where_all_have_halted(double: Double) -> None:
    double.answers[PATH] = (200, {"status": "active", "complete": True, "agents": {}})

    with Client(double.url, timeout_s=5) as client:
        assert len(list(follow(client))) == 1
    assert len(double.requests) == 1


def test_the_same_standing_is_said_once_until_the_limit(double: Double) -> None:
    double.answers[PATH] = (200, WAITING)

    with Client(double.url, timeout_s=5) as client:
        assert list(follow(client, limit_s=0.7)) == [WAITING]
    assert len(double.requests) > 1


def test_what_becomes_known_is_said_though_nobody_else_has_halted(double: Double) -> None:
    early = {"status": "active", "complete": False, "agents_known": False, "agents": {}}
    double.answers[PATH] = (200, early)

    with Client(double.url, timeout_s=5) as client:
        states = follow(client)
        first = next(states)
        double.answers[PATH] = (200, early | {"complete": True, "agents_known": True})
        rest = list(states)

    assert is_unknown_who(first)
    assert [is_complete(state) for state in rest] == [True]


def test_a_daemon_that_answers_no_more_ends_it(double: Double) -> None:
    double.answers[PATH] = (200, WAITING)

    with Client(double.url, timeout_s=5) as client:
        states = follow(client)
        assert next(states) == WAITING
        double.answers[PATH] = (500, {"error": "broken"})
        assert list(states) == []
