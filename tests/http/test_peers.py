import pytest
from orchestrator.http.peers import Instance, ask
from orchestrator.runtime import Address, AskTimeout


def test_the_uptime_counts_from_the_start() -> None:
    instance = Instance("desk-a", "paper", "1.0", started_at=0.0)

    assert instance.uptime_s > 0


def test_asking_has_a_deadline() -> None:
    with pytest.raises(AskTimeout):
        ask(Address("nobody"), "hello", 0.01)
