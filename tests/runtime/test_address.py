"""What peers hold: it outlives every run, until it is closed."""

import gevent
import pytest
from orchestrator.runtime import ActorUnavailable, Address, AskTimeout, Mailbox, MailboxFull
from orchestrator.runtime._envelope import Envelope
from orchestrator.runtime.address import BUCKETS_S, HandlingTimes
from orchestrator.runtime.messages import Ping


def test_a_message_to_a_closed_address_is_a_dead_letter() -> None:
    address = Address("gone")
    address.close()

    address.tell("told")
    assert address.offer("offered")

    assert [letter.message for letter in address.dead_letters.snapshot()] == ["'told'", "'offered'"]


def test_what_waits_when_an_address_is_closed_is_dead_and_its_askers_are_told() -> None:
    address = Address("closing")
    address.tell("told")
    address.mailbox.put_system(Envelope(Ping()))
    asker = gevent.spawn(address.ask, "asked", timeout_s=5)
    gevent.sleep(0)

    address.close("the test is over")
    asker.join(1)

    assert isinstance(asker.exception, ActorUnavailable)
    letters = address.dead_letters.snapshot()
    assert [(letter.message, letter.reason) for letter in letters] == [
        ("'told'", "the test is over")
    ]


@pytest.mark.parametrize("question", [False, True], ids=["tell", "ask"])
def test_whoever_waits_for_room_when_an_address_is_closed_is_told(question: bool) -> None:
    address = Address("closing", Mailbox(1))
    address.tell("first")
    if question:
        sender = gevent.spawn(address.ask, "second", timeout_s=5)
    else:
        sender = gevent.spawn(address.tell, "second")
    gevent.sleep(0)

    address.close()
    sender.join(1)

    assert isinstance(sender.exception, ActorUnavailable) is question
    assert address.dead_letters.total == (1 if question else 2)


def test_a_question_waits_for_room_and_answer_together() -> None:
    full, busy = Address("full", Mailbox(1)), Address("busy")
    full.tell("first")

    with pytest.raises(MailboxFull):
        full.ask("no room", timeout_s=0.01)
    with pytest.raises(AskTimeout, match="busy did not answer within"):
        busy.ask("no answer", timeout_s=0.01)


@pytest.mark.parametrize(
    ("seconds", "first_bucket"),
    [(0.003, "0.005"), (0.005, "0.005"), (0.02, "0.02"), (0.3, "0.5"), (7.0, "+Inf")],
)
def test_a_slow_turn_is_sorted_in_by_its_upper_bound(seconds: float, first_bucket: str) -> None:
    times = HandlingTimes()
    times.turns = 1

    times.note_slow(seconds)

    assert next(bound for bound, count in times.buckets() if count == 1) == first_bucket


def test_a_noted_time_is_counted_summed_up_and_sorted_in() -> None:
    times = HandlingTimes()

    times.note(0.0005)
    times.note(0.25)

    assert (times.turns, times.busy_s) == (2, 0.2505)
    assert dict(times.buckets()) | {"0.001": 1.0, "0.1": 1.0, "0.5": 2.0} == dict(times.buckets())


def test_turns_that_were_not_sorted_in_were_fast() -> None:
    times = HandlingTimes()
    times.turns = 10
    times.note_slow(0.1)

    assert times.buckets()[0] == (str(BUCKETS_S[0]), 9.0)
    assert times.buckets()[-1] == ("+Inf", 10.0)
