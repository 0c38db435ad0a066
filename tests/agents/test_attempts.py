import logging

import pytest
from orchestrator.agents import BusUnavailable, Event
from orchestrator.agents.attempts import Attempts, name_of
from orchestrator.agents.health import Health
from orchestrator.agents.subscriber import Received


class Kit:
    """Attempts, and what comes of them."""

    def __init__(self) -> None:
        self.health = Health(0.0, 60)
        self.troubles = 0
        self.attempts = Attempts(
            self.health, on_trouble=self._note, log=logging.getLogger("agent.probe")
        )

    def _note(self) -> None:
        self.troubles += 1

    def said(self) -> dict[str, object]:
        return self.health.beat(0.0)[0]


def fail() -> None:
    raise ValueError("no price")


def test_a_failure_ends_here_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    kit = Kit()

    kit.attempts.run("on_price", fail)
    kit.attempts.run("on_price", fail)

    assert kit.said()["last_error"] == "on_price: ValueError: no price"
    assert kit.troubles == 1
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert kit.said()["errors"] == 2


def test_a_bus_that_is_away_is_counted_and_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    def publish() -> None:
        raise BusUnavailable("strategy.a", OSError("refused"))

    kit = Kit()

    kit.attempts.run("suggest", publish)

    assert (kit.said()["status"], kit.said()["unpublished"]) == ("active", 1)
    assert kit.troubles == 0
    assert [record.getMessage() for record in caplog.records] == [
        "suggest: not published on strategy.a: refused"
    ]


def test_a_message_goes_to_all_its_handlers_though_one_fails() -> None:
    got: list[Event] = []

    def broken(_event: Event) -> None:
        fail()

    kit = Kit()

    kit.attempts.deliver(Received("data.*", "data.a", b'{"price": 1}'), [broken, got.append])

    assert got == [Event("data.a", {"price": 1})]
    assert kit.said()["handled"] == 2


@pytest.mark.parametrize("data", [b"", b"{", b'"\xff"', b"[" * 100_000])
def test_what_is_no_json_reaches_no_handler(data: bytes) -> None:
    got: list[Event] = []
    kit = Kit()

    kit.attempts.deliver(Received("data.*", "data.a", data), [got.append])

    assert got == []
    assert kit.said()["undecodable"] == 1


def test_a_function_without_a_name_is_called_by_what_it_is() -> None:
    assert name_of(fail) == "fail"
    assert name_of(Kit) == "Kit"
