from orchestrator.agents.errors import AgentError, BusUnavailable


def test_a_failed_publish_says_where_and_why() -> None:
    error = BusUnavailable("risk.alert", OSError("connection refused"))

    assert str(error) == "not published on risk.alert: connection refused"


def test_a_failed_publish_can_be_caught_as_an_error_of_the_kit() -> None:
    assert isinstance(BusUnavailable("x", OSError()), AgentError)
