import logging

import pytest
from orchestrator.agents import BadAgent, BusUnavailable, Event, TypedEvent, on_event
from orchestrator.agents.attempts import Attempts, name_of
from orchestrator.agents.health import Health
from orchestrator.agents.payloads import Candidate, Heartbeat
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


# -- models --------------------------------------------------------------------------------------


class Taker:
    """Wants candidates."""

    def __init__(self) -> None:
        self.got: list[TypedEvent[Candidate]] = []

    @on_event("strategy.*", model=Candidate)
    def on_candidate(self, event: TypedEvent[Candidate]) -> None:
        self.got.append(event)
        if event.payload.symbol == "FAIL":
            raise ValueError("no such symbol")


def deliver(kit: Kit, taker: Taker, data: bytes) -> None:
    kit.attempts.deliver(Received("strategy.*", "strategy.x", data), [taker.on_candidate])


def test_a_handler_with_a_model_gets_an_instance_and_the_names_of_the_event() -> None:
    kit, taker = Kit(), Taker()

    deliver(kit, taker, b'{"symbol":"AAPL","action":"BUY","boot":"b","seq":4,"agent_id":"a"}')

    (event,) = taker.got
    assert event.payload == Candidate("AAPL", "BUY")
    assert (event.id, event.source) == ("b/a/strategy.x/4", "a")
    assert kit.attempts.dead_letters.total == 0


@pytest.mark.parametrize("data", [b"7", b'{"symbol":"AAPL"}', b'{"symbol":1,"action":"BUY"}'])
def test_what_is_not_of_the_model_is_refused_with_a_reason(
    data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    kit, taker = Kit(), Taker()

    deliver(kit, taker, data)

    (letter,) = kit.attempts.dead_letters.last()
    assert taker.got == []
    assert (letter.event.channel, letter.handler) == ("strategy.x", "on_candidate")
    assert letter.reason.startswith("Refused: refused an event on strategy.x: ")
    assert (kit.said()["status"], kit.said()["errors"], kit.troubles) == ("error", 1, 1)
    assert [(r.levelname, r.exc_info) for r in caplog.records] == [("ERROR", None)]


def test_a_per_cent_sign_in_a_payload_is_no_format(caplog: pytest.LogCaptureFixture) -> None:
    deliver(Kit(), Taker(), b'{"symbol":"A","action":"100 %s"}')

    assert "Invalid enum value '100 %s'" in caplog.text


def test_an_event_that_a_handler_failed_on_is_a_dead_letter_too() -> None:
    kit = Kit()

    deliver(kit, Taker(), b'{"symbol":"FAIL","action":"BUY"}')

    (letter,) = kit.attempts.dead_letters.last()
    assert letter.reason == "ValueError: no such symbol"
    assert letter.event.payload == {"symbol": "FAIL", "action": "BUY"}


def test_a_method_has_one_model() -> None:
    def method(event: Event) -> None:
        """Handles."""

    once = on_event("a.*", model=Candidate)(method)
    assert on_event("b.*", model=Candidate)(on_event("c.*")(once)) is method
    with pytest.raises(BadAgent, match="method has two models"):
        on_event("d.*", model=Heartbeat)(method)


def test_a_function_without_a_name_is_called_by_what_it_is() -> None:
    assert name_of(fail) == "fail"
    assert name_of(Kit) == "Kit"
