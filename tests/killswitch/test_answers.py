from typing import Any

import msgspec
import pykka
import pytest
from orchestrator.actors.messages.killswitch import Engaged, Standing
from orchestrator.killswitch.answers import (
    GIVE_UP_S,
    PUBLISH_S,
    SETTLE_S,
    Answers,
    EngageUnderWay,
)
from orchestrator.killswitch.receipts import Receipts
from orchestrator.protocol.trips import Stop
from orchestrator.runtime import DeferredReply
from orchestrator.runtime._future import GreenletFuture
from stops import stop, trip

NOTHING = Engaged(trip("A"), False, Standing())


def new_reply() -> tuple[DeferredReply, Any]:
    """A reply, and the asker's future."""
    future = GreenletFuture()
    return DeferredReply(future, set()), future


@pytest.mark.parametrize(
    ("known", "taken_s", "due"),
    [
        ({}, 0.0, False),
        ({}, PUBLISH_S, False),
        ({}, GIVE_UP_S, True),
        ({"latched": True}, 0.0, False),
        ({"latched": True}, PUBLISH_S, True),
        ({"persisted": True}, PUBLISH_S, True),
        ({"streamed": True}, PUBLISH_S, True),
        ({"published_to": 0}, PUBLISH_S, False),
        ({"published_to": 0, "latched": True}, 0.0, False),
        ({"published_to": 0, "latched": True}, SETTLE_S, True),
        ({"published_to": 0, "streamed": True}, SETTLE_S, True),
        ({"published_to": 0, "latched": True, "persisted": True}, 0.0, True),
    ],
)
def test_an_engage_is_answered_once_published_and_held(
    known: dict[str, Any], taken_s: float, due: bool
) -> None:
    result = msgspec.structs.replace(NOTHING, **known)
    engage = EngageUnderWay(new_reply()[0], result, 0.0)

    assert engage.is_due(taken_s) is due


def test_what_has_just_begun_is_not_due() -> None:
    result = msgspec.structs.replace(NOTHING, latched=True)
    engage = EngageUnderWay(new_reply()[0], result, 100.0)

    assert not engage.is_due(100.0)
    assert engage.is_due(100.0 + GIVE_UP_S)


def test_it_says_which_copies_hold_the_trip() -> None:
    answers, (reply, asked) = Answers(), new_reply()
    answers.add(EngageUnderWay(reply, NOTHING, 100.0))
    answers.announced("A", receivers=3, streamed=True)

    answers.settle(latch=stop("A"), row=Stop(), receipts=Receipts(), now=101.0)

    answer = asked.get(timeout=0)
    assert (answer.latched, answer.persisted) == (True, False)
    assert (answer.streamed, answer.published_to) == (True, 3)


def test_each_call_for_one_trip_is_answered() -> None:
    answers, (one, first), (two, second) = Answers(), new_reply(), new_reply()
    answers.add(EngageUnderWay(one, NOTHING, 100.0))
    answers.add(EngageUnderWay(two, NOTHING, 100.5))

    answers.settle(latch=stop("A"), row=Stop(), receipts=Receipts(), now=100.6)
    answers.settle(latch=stop("A"), row=Stop(), receipts=Receipts(), now=101.0)

    assert first.get(timeout=0).latched
    assert second.get(timeout=0).latched


def test_an_announcement_of_another_trip_changes_nothing() -> None:
    answers = Answers()

    answers.announced("B", receivers=3, streamed=True)


def test_a_file_is_answered_once_the_latch_holds_its_trip() -> None:
    answers, (reply, asked) = Answers(), new_reply()
    answers.add_file("A", reply)

    answers.settle(latch=Stop(), row=stop("A"), receipts=Receipts(), now=0.0)
    with pytest.raises(pykka.Timeout):
        asked.get(timeout=0)
    answers.settle(latch=stop("A"), row=Stop(), receipts=Receipts(), now=0.0)

    assert asked.get(timeout=0) is True
