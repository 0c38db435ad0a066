"""What peers hold: it outlives every incarnation, until it is closed."""

import gevent
import pytest
from orchestrator.runtime import ActorUnavailable, Address, AskTimeout, Mailbox, MailboxFull
from orchestrator.runtime.messages import Ping
from pykka._envelope import Envelope


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
