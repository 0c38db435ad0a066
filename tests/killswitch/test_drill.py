"""A drill in the Killswitch, on a real Valkey and a real disk."""

from collections.abc import Callable
from typing import Any

import gevent
import msgspec
import pytest
from orchestrator.actors.messages.killswitch import BeatsHeard, Drill, DrillResult, Sender
from orchestrator.actors.messages.state_keeper import DRILL_KEY, SetState
from orchestrator.killswitch.drill import Answers, NotDrilled
from orchestrator.protocol.drill import CHANNEL, read_drill
from orchestrator.protocol.heartbeat import GateBeat, GateState

from .conftest import Desk

pytestmark = [pytest.mark.db, pytest.mark.redis]


def test_who_answered_and_who_did_not() -> None:
    answers = Answers(["a", "b", "c"], 10.0)
    answers.heard("b", 10.25)
    answers.heard("a", 10.5)
    answers.heard("b", 11.0)

    result = answers.result("n", "at", "anna")

    assert not answers.complete
    assert result.answers == {"a": 500.0, "b": 250.0}
    assert (result.slowest, result.slowest_ms) == ("a", 500.0)
    assert (result.answered, result.missed, result.missing) == (2, 1, ("c",))


def test_it_is_complete_when_all_have_answered_that_are_expected() -> None:
    answers = Answers(["a"], 0.0)
    answers.heard("stranger", 0.1)
    assert not answers.complete

    answers.heard("a", 0.1)

    assert answers.complete
    assert not Answers([], 0.0).complete


def beat(desk: Desk, agent: str, nonce: str | None = None) -> None:
    heard = GateBeat("active", GateState.OPEN, drill=nonce)
    desk.address.tell(BeatsHeard(((Sender(agent, "execution"), heard),)))


def drilled(desk: Desk, answering: Callable[[str], Any]) -> DrillResult:
    """A drill; ``answering`` gets the nonce once Valkey has it."""
    with desk.redis as client, client.pubsub() as heard:
        heard.subscribe(CHANNEL)
        assert heard.get_message(timeout=5)
        under_way = gevent.spawn(desk.ask, Drill("anna"))
        message = None
        while message is None:
            message = heard.get_message(timeout=5)
        nonce = read_drill(message["data"])
        assert nonce is not None
        answering(nonce)
        result: DrillResult = under_way.get(timeout=10)
        return result


def test_it_ends_when_all_agents_with_a_gate_have_answered(desk: Desk) -> None:
    for agent in ("a", "b"):
        beat(desk, agent)

    def answer(nonce: str) -> None:
        beat(desk, "a", "an old one")
        beat(desk, "a", nonce)
        beat(desk, "b", nonce)

    result = drilled(desk, answer)

    assert result.answers.keys() == {"a", "b"}
    assert (result.missed, result.by) == (0, "anna")
    assert desk.status == "inactive"
    assert desk.streamed() == []
    assert desk.not_events == []  # what comes back of it is an event


def test_who_does_not_answer_is_named_and_the_result_is_kept(
    desk: Desk, wait_until: Callable[..., None]
) -> None:
    for agent in ("a", "b"):
        beat(desk, agent)

    result = drilled(desk, lambda nonce: beat(desk, "a", nonce))

    assert (result.answered, result.missing) == (1, ("b",))
    wait_until(lambda: desk.state_keeper.of(SetState))
    [kept] = [one for one in desk.state_keeper.of(SetState) if one.key == DRILL_KEY]
    assert msgspec.json.decode(kept.value, type=DrillResult) == result


def test_there_is_one_at_a_time(desk: Desk) -> None:
    beat(desk, "a")

    def another(nonce: str) -> None:
        with pytest.raises(NotDrilled, match="under way"):
            desk.ask(Drill("bob"))
        beat(desk, "a", nonce)

    assert drilled(desk, another).answered == 1


def test_without_redis_it_is_refused(
    desk: Desk, redis_server: Any, wait_until: Callable[..., None]
) -> None:
    redis_server.stop()
    try:
        wait_until(lambda: not desk.link.connected)

        with pytest.raises(NotDrilled, match="Redis"):
            desk.ask(Drill("anna"))
    finally:
        redis_server.start()
